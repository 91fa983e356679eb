//! `rediss://`, against a server with a certificate of an authority made for the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::redis_server::Scratch;
use crate::redis_server::cluster::free_pair;
use crate::redis_server::sentinel::{SERVICE, Sentinel};

/// A certificate authority and a server certificate for 127.0.0.1, in a directory that goes with it.
struct Authority {
    directory: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let unique = format!("wingbeat-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&directory).unwrap();
        let authority = Self { directory };
        authority.issue();
        authority
    }

    fn issue(&self) {
        let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        self.openssl(&format!(
            "req -x509 {curve} -subj /CN=test-authority -keyout ca.key -out ca.pem"
        ));
        let leaf = "-CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
                    -addext subjectAltName=IP:127.0.0.1";
        self.openssl(&format!(
            "req -x509 {curve} -subj /CN=test-server -keyout server.key -out server.pem {leaf}"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.directory)
            .output()
            .expect("openssl is installed");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {why}");
    }

    fn path(&self, file: &str) -> String {
        let path: &Path = &self.directory.join(file);
        path.to_str().unwrap().to_owned()
    }

    fn server(&self) -> RedisServer {
        let words = self.settings("--");
        let words: Vec<&str> = words.iter().flat_map(|line| line.split(' ')).collect();
        RedisServer::start_with(&words)
    }

    /// What makes a server or a sentinel speak TLS on its port and nothing else.
    fn settings(&self, prefix: &str) -> Vec<String> {
        let files = |name: &str, file: &str| format!("{name} {}", self.path(file));
        let lines = [
            "port 0".to_owned(),
            "tls-port {port}".to_owned(),
            "tls-auth-clients no".to_owned(),
            files("tls-cert-file", "server.pem"),
            files("tls-key-file", "server.key"),
            files("tls-ca-cert-file", "ca.pem"),
        ];
        lines.map(|line| format!("{prefix}{line}")).into()
    }

    fn cli(&self, port: u16, command: &str) -> String {
        let output = Command::new("redis-cli")
            .args(["--tls", "--cacert", &self.path("ca.pem")])
            .args(["-p", &port.to_string()])
            .args(command.split(' '))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn rediss_with_the_right_ca_cert_carries_messages_and_without_it_is_refused() {
    let authority = Authority::new("right");
    let stranger = Authority::new("stranger");
    let server = authority.server();
    let uri = format!("rediss://127.0.0.1:{}", server.port());
    let trusting = |ca: &Authority| format!("{uri}?ca_cert={}", ca.path("ca.pem"));
    let options = LinkOptions::new("k");

    let mut link = connect(&trusting(&authority), &options).await.unwrap();
    publish(&mut link, Lane::Events, &["a"]).await;
    publish(&mut link, Lane::Control, &["b"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Control, &["b"]).await;

    for uri in [uri.clone(), trusting(&stranger)] {
        let error = connect(&uri, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    }
}

#[tokio::test]
async fn tls_and_plain_that_meet_each_other_fail_and_do_not_hang() {
    let authority = Authority::new("mixed");
    let encrypted = authority.server();
    let plain = RedisServer::start();
    let options = LinkOptions::new("k");
    for uri in [
        format!("redis://127.0.0.1:{}", encrypted.port()),
        format!("rediss://127.0.0.1:{}", plain.port()),
    ] {
        let connecting = connect(&uri, &options);
        assert!(within(LIMIT, connecting).await.is_err(), "{uri}");
    }
}

#[tokio::test]
async fn sentinels_are_asked_over_tls_too() {
    let authority = Authority::new("sentinel");
    let server = authority.server();
    let mut lines = authority.settings("");
    lines.push("tls-replication yes".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let sentinel = Sentinel::start(server.port(), &lines);
    let tail = format!("{}/{SERVICE}", sentinel.host());
    let uri = format!(
        "rediss+sentinel://{tail}?ca_cert={}",
        authority.path("ca.pem")
    );
    let mut link = connect(&uri, &LinkOptions::new("k")).await.unwrap();
    publish(&mut link, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    let error = connect(&format!("rediss+sentinel://{tail}"), &LinkOptions::new("k"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
}

/// A server that never met another one does not know its own address.
#[tokio::test]
async fn a_cluster_is_reached_over_tls_too() {
    let authority = Authority::new("cluster");
    let files = Scratch::new();
    let mut words = authority.settings("--");
    words.push("--cluster-enabled yes".to_owned());
    words.push("--tls-cluster yes".to_owned());
    words.push(format!("--dir {}", files.text()));
    let words: Vec<&str> = words.iter().flat_map(|line| line.split(' ')).collect();
    let server = RedisServer::start_on_with(free_pair(), &words);
    let said = authority.cli(server.port(), "cluster addslotsrange 0 16383");
    assert_eq!(said.trim(), "OK");
    let host = format!("127.0.0.1:{}", server.port());
    let uri = format!(
        "rediss+cluster://{host}?ca_cert={}",
        authority.path("ca.pem")
    );
    let adapter = RedisAdapter::from_uri(&uri).unwrap();
    let mut one = reopen(&adapter, &LinkOptions::new("k")).await;
    let mut two = reopen(&adapter, &LinkOptions::new("k")).await;
    expect_joined(&mut one, &mut two).await;
}
