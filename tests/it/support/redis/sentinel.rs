//! A primary, a replica, and three sentinels that watch them and fail over within seconds.

use std::process::{Child, Command};

use super::{RedisServer, Scratch, cli, free_port, spawn, wait_for_line, wait_until};

/// Real processes on 127.0.0.1. Dropping it kills them all.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) primary: RedisServer,
    pub(crate) replica: RedisServer,
    pub(crate) sentinels: Vec<Sentinel>,
}

/// A sentinel process. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Sentinel {
    port: u16,
    child: Child,
    _files: Scratch,
}

impl Watched {
    /// Starts all of them under the service name [`SERVICE`] and waits until they know each other.
    pub(crate) fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// As [`start`](Self::start), with further arguments for the servers and further lines for the sentinels' settings.
    pub(crate) fn start_with(arguments: &[&str], lines: &[&str]) -> Self {
        let primary = RedisServer::start_with(arguments);
        let port = primary.port().to_string();
        let mut of_replica = arguments.to_vec();
        of_replica.extend(["--replicaof", "127.0.0.1", &port]);
        of_replica.extend(["--repl-diskless-sync-delay", "0"]);
        let replica = RedisServer::start_with(&of_replica);
        let sentinel = |_| Sentinel::start(primary.port(), lines);
        let watched = Self {
            sentinels: (0..N_SENTINELS).map(sentinel).collect(),
            primary,
            replica,
        };
        watched.wait_until_complete();
        watched
    }

    /// The hosts of a `redis+sentinel://` URI.
    pub(crate) fn hosts(&self) -> String {
        let hosts = self.sentinels.iter().map(Sentinel::host);
        hosts.collect::<Vec<_>>().join(",")
    }

    pub(crate) fn uri(&self) -> String {
        format!("redis+sentinel://{}/{SERVICE}", self.hosts())
    }

    /// A failover needs a majority that sees each other, and a replica that is in step.
    fn wait_until_complete(&self) {
        for sentinel in &self.sentinels {
            let knows = |field: &str, n: usize| {
                let state = sentinel.cli(&["sentinel", "master", SERVICE]);
                let mut lines = state.lines().skip_while(|line| *line != field);
                lines.nth(1).and_then(|value| value.parse().ok()) == Some(n)
            };
            wait_until("a sentinel knows the others and the replica", || {
                knows("num-other-sentinels", N_SENTINELS - 1) && knows("num-slaves", 1)
            });
        }
        wait_until("the replica is in step", || {
            let state = self.replica.cli(&["info", "replication"]);
            state.contains("master_link_status:up")
        });
    }
}

impl Sentinel {
    /// Starts one that watches the server on a port of this machine.
    pub(crate) fn start(primary: u16, lines: &[&str]) -> Self {
        let files = Scratch::new();
        let file = files.path().join("sentinel.conf");
        let port = free_port();
        std::fs::write(&file, settings(port, primary, lines)).expect("it is our own directory");
        let mut command = Command::new("redis-server");
        let (child, stdout) = spawn(command.arg(&file).arg("--sentinel"));
        let sentinel = Self {
            port,
            child,
            _files: files,
        };
        if let Err(log) = wait_for_line(stdout, "+monitor master") {
            panic!("a sentinel does not start: {log}");
        }
        sentinel
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn cli(&self, command: &[&str]) -> String {
        cli(self.port, command)
    }

    pub(crate) fn freeze(&self) {
        super::signal(&self.child, "STOP");
    }

    pub(crate) fn thaw(&self) {
        super::signal(&self.child, "CONT");
    }

    pub(crate) fn kill(&mut self) {
        // Both fail only if the process was waited for already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Half a second until a server counts as down, and no pause before a failover is tried again.
fn settings(port: u16, primary: u16, lines: &[&str]) -> String {
    let mut text = format!(
        "port {port}\nbind 127.0.0.1\ndaemonize no\n\
         sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {SERVICE} 500\n\
         sentinel failover-timeout {SERVICE} 2000\n"
    );
    for line in lines {
        text += &line
            .replace("{service}", SERVICE)
            .replace("{port}", &port.to_string());
        text.push('\n');
    }
    text
}

/// The name under which the sentinels watch the primary.
pub(crate) const SERVICE: &str = "mymaster";
const N_SENTINELS: usize = 3;
