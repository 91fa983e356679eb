//! `tls://`, against a server with a certificate of an authority made for the test.

use std::process::Command;

use super::*;
use crate::nats_server::Scratch;

/// A certificate authority and a server certificate for 127.0.0.1, in a directory that goes with it.
struct Authority(Scratch);

impl Authority {
    fn new() -> Self {
        let authority = Self(Scratch::new());
        let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        authority.openssl(&format!(
            "req -x509 {curve} -subj /CN=test-authority -keyout ca.key -out ca.pem"
        ));
        let leaf = "-CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
                    -addext subjectAltName=IP:127.0.0.1";
        authority.openssl(&format!(
            "req -x509 {curve} -subj /CN=test-server -keyout server.key -out server.pem {leaf}"
        ));
        authority
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl is installed");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {why}");
    }

    fn server(&self) -> NatsServer {
        let [cert, key] = ["server.pem", "server.key"].map(|name| self.0.file(name));
        NatsServer::start_with(&format!(
            "tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}"
        ))
    }

    /// The URI of a server for those who trust this authority and no other.
    fn trusted(&self, server: &NatsServer) -> String {
        let ca = self.0.file("ca.pem");
        format!("tls://127.0.0.1:{}?ca_cert={ca}", server.port())
    }
}

#[tokio::test]
async fn tls_with_the_right_ca_cert_carries_messages_and_without_it_is_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let server = authority.server();
    let mut one = open_at(&authority.trusted(&server)).await;
    let mut two = open_at(&authority.trusted(&server)).await;
    expect_joined(&mut one, &mut two).await;
    assert!(server.ask("/connz").contains("\"tls_version\": \"1.3\""));

    let plain = server.uri();
    for uri in [
        stranger.trusted(&server),
        plain.replace("nats://", "tls://"),
        // The server asks for TLS, so it is spoken, and its certificate is not the system's.
        plain,
    ] {
        let error = refusal(&uri).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{uri}: {error:?}");
    }
}

#[tokio::test]
async fn tls_insisted_on_at_a_plain_server_fails_and_does_not_hang() {
    let authority = Authority::new();
    let server = NatsServer::start();
    let uri = authority.trusted(&server);
    let options = LinkOptions::new("k");
    assert!(within(LIMIT, connect(&uri, &options)).await.is_err());
}
