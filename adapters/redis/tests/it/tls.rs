//! `rediss://`, against a server with a certificate of an authority made for the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

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
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        RedisServer::start_with(&[
            "--port",
            "0",
            "--tls-port",
            "{port}",
            "--tls-auth-clients",
            "no",
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
        ])
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
