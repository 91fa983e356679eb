//! `amqps://`, against a server with a certificate of an authority made for the test.

use std::process::Command;

use super::*;
use crate::rabbitmq::{PASSWORD, Scratch, USER, free_port};

/// A certificate authority and a server certificate for 127.0.0.1.
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

    fn path(&self, file: &str) -> String {
        self.0.path().join(file).to_str().unwrap().to_owned()
    }

    /// A server that speaks TLS on this port besides its plain one.
    fn server(&self, port: u16) -> RabbitMq {
        RabbitMq::start_with(&[
            format!("listeners.ssl.default = 127.0.0.1:{port}"),
            format!("ssl_options.certfile = {}", self.path("server.pem")),
            format!("ssl_options.keyfile = {}", self.path("server.key")),
        ])
    }
}

fn uri(port: u16, ca: &Authority) -> String {
    let ca = ca.path("ca.pem");
    format!("amqps://{USER}:{PASSWORD}@127.0.0.1:{port}?ca_cert={ca}")
}

#[tokio::test]
async fn amqps_carries_messages_with_the_right_ca_cert_and_is_refused_without_it() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let port = free_port();
    let server = authority.server(port);
    let mut one = open(&uri(port, &authority), "k").await;
    let mut two = open(&server.uri(), "k").await;
    expect_joined(&mut one, &mut two).await;
    let large = Bytes::from(vec![b'x'; 1024 * 1024]);
    let batch = [large];
    let report = one.outbound.publish(Lane::Events, &batch).await;
    assert!(report.unwrap().failed.is_empty());
    assert_eq!(next(&mut two.inbound).await.1, batch[0]);

    let system = format!("amqps://{USER}:{PASSWORD}@127.0.0.1:{port}");
    let by_name = uri(port, &authority).replace("127.0.0.1", "localhost");
    for uri in [system, uri(port, &stranger), by_name] {
        let error = connect(&uri, &LinkOptions::new("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    }

    // TLS and plain that meet each other fail and do not hang.
    for uri in [
        server
            .uri()
            .replace(&server.port().to_string(), &port.to_string()),
        uri(server.port(), &authority),
    ] {
        let options = LinkOptions::new("k");
        let opened = within(LIMIT, connect(&uri, &options)).await;
        assert!(opened.is_err(), "{uri}");
    }

    drop(two);
    server.kill();
    let (_, took) = wait_for_end(&mut one.inbound, LIMIT).await;
    println!("a killed server was noticed over TLS after {took:?}");
}
