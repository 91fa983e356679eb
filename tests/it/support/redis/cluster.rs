//! A Redis Cluster of three primaries, and a replica for one of them where a test wants that.

use std::process::Command;

use super::{RedisServer, Scratch, free_port, is_free, wait_until};

/// Real processes on 127.0.0.1. Dropping it kills them all.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) servers: Vec<RedisServer>,
    files: Vec<Scratch>,
}

impl Cluster {
    /// Starts three primaries that share the slots and waits until all of them know it.
    pub(crate) fn start() -> Self {
        let mut cluster = Self {
            servers: Vec::new(),
            files: Vec::new(),
        };
        for _ in 0..N_PRIMARIES {
            cluster.add_server();
        }
        let hosts: Vec<String> = cluster.servers.iter().map(host).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        manage(&[&["create"], hosts.as_slice(), &["--cluster-yes"]].concat());
        cluster.wait_until("ok");
        cluster
    }

    /// The hosts of a `redis+cluster://` URI.
    pub(crate) fn hosts(&self) -> String {
        let hosts: Vec<String> = self.servers.iter().map(host).collect();
        hosts.join(",")
    }

    pub(crate) fn uri(&self) -> String {
        format!("redis+cluster://{}", self.hosts())
    }

    /// Which of the servers serves the slot of a topic.
    pub(crate) fn owner_of(&self, topic: &str) -> usize {
        let slot = self.servers[0].cli(&["cluster", "keyslot", topic]);
        let slot: u16 = slot.trim().parse().expect("a slot is a number");
        let has = |server: &RedisServer| slots(server).iter().any(|range| range.contains(&slot));
        self.servers
            .iter()
            .position(has)
            .expect("every slot is served")
    }

    /// Adds a replica of a primary, waits until it is in step, and returns its index.
    pub(crate) fn add_replica_of(&mut self, primary: usize) -> usize {
        self.add_server();
        let index = self.servers.len() - 1;
        let id = self.id(primary);
        let (new, known) = (host(&self.servers[index]), host(&self.servers[primary]));
        manage(&[
            "add-node",
            &new,
            &known,
            "--cluster-slave",
            "--cluster-master-id",
            &id,
        ]);
        let replica = &self.servers[index];
        wait_until("the replica is in step", || {
            replica
                .cli(&["info", "replication"])
                .contains("master_link_status:up")
        });
        let is_known = |server: &RedisServer| {
            let nodes = server.cli(&["cluster", "nodes"]);
            nodes
                .lines()
                .any(|line| line.contains(&new) && line.contains("slave"))
        };
        wait_until("all know the replica", || self.servers.iter().all(is_known));
        index
    }

    pub(crate) fn id(&self, server: usize) -> String {
        self.servers[server]
            .cli(&["cluster", "myid"])
            .trim()
            .to_owned()
    }

    fn add_server(&mut self) {
        let files = Scratch::new();
        let port = free_pair();
        self.servers.push(RedisServer::start_on_with(
            port,
            &[
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                NODE_TIMEOUT,
                "--repl-diskless-sync-delay",
                "0",
                "--dir",
                files.text(),
            ],
        ));
        self.files.push(files);
    }

    /// Waits until all servers say that the cluster is in this state.
    fn wait_until(&self, state: &str) {
        let line = format!("cluster_state:{state}");
        let agrees = |server: &RedisServer| server.cli(&["cluster", "info"]).contains(&line);
        wait_until(&line, || self.servers.iter().all(agrees));
    }
}

fn host(server: &RedisServer) -> String {
    format!("127.0.0.1:{}", server.port())
}

/// The ranges of slots that a server has, which stand at the end of its own line.
fn slots(server: &RedisServer) -> Vec<std::ops::RangeInclusive<u16>> {
    let nodes = server.cli(&["cluster", "nodes"]);
    let own = nodes.lines().find(|line| line.contains("myself"));
    let range = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    let words = own.unwrap_or_default().split(' ').skip(8);
    words.filter_map(range).collect()
}

fn manage(arguments: &[&str]) {
    let output = Command::new("redis-cli")
        .arg("--cluster")
        .args(arguments)
        .output()
        .expect("redis-cli is installed with redis-server");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "--cluster {arguments:?}: {said}");
}

/// A port whose companion on the cluster's bus, 10,000 above, is free too and below the ports of outgoing connections.
pub(crate) fn free_pair() -> u16 {
    loop {
        let port = free_port();
        if port + BUS < FIRST_OUTGOING && is_free(port + BUS) {
            return port;
        }
    }
}

const N_PRIMARIES: usize = 3;
/// Milliseconds until a silent server counts as failing.
const NODE_TIMEOUT: &str = "1000";
const BUS: u16 = 10_000;
const FIRST_OUTGOING: u16 = 32_768;
