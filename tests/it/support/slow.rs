//! A client that does not read, beside one that does.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use wingbeat::Config;

use super::http::Client;
use super::{Node, eventually, within};

/// Connects with little memory for what is not read.
pub(crate) async fn narrow(addr: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a new socket");
    let addr = (Ipv4Addr::LOCALHOST, addr.port()).into();
    Client::over(
        within(socket.connect(addr))
            .await
            .expect("the node listens"),
    )
}

/// Settings by which a slow client is found soon.
pub(crate) fn impatient() -> Config {
    let mut config = Config::default();
    config.outbox.bytes = 256 << 10;
    config
}

/// Makes events of the service `messages` until one of two clients is closed as slow; `hear` waits for the next event of the
/// other one, which has to hear them all.
pub(crate) async fn until_closed(node: &Node, mut hear: impl AsyncFnMut() -> (String, Value)) {
    eventually("both are connected", || node.app.n_connections() == 2).await;
    let text = "x".repeat(64 << 10);
    let mut sent = 0;
    // The kernel takes some megabytes for a client that does not read; after that its outbox fills.
    while node.app.n_connections() == 2 {
        let record = json!({ "n": sent, "text": text });
        let messages = node.app.service_at("messages");
        messages.emit("created", record).expect("a known event");
        assert_eq!(hear().await.1["n"], sent);
        sent += 1;
        assert!(sent < 2_000, "the slow client is never found");
    }
    let stats = node.app.stats();
    assert_eq!((stats.closed_slow, stats.connections), (1, 1));
    assert!(stats.frames_dropped > 0);
}

/// Waits until the kernel has nothing left of the node's end of a connection.
pub(crate) async fn until_forgotten(node: &Node, client_port: u16) {
    let (near, far) = (port(node.addr.port()), port(client_port));
    eventually("the kernel forgets the connection", || {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
        let mut rows = table.lines().map(|row| row.split_whitespace());
        !rows.any(|mut row| {
            let ends = (
                row.nth(1).unwrap_or_default(),
                row.next().unwrap_or_default(),
            );
            ends.0.ends_with(&near) && ends.1.ends_with(&far)
        })
    })
    .await;
}

/// Writes a port as the kernel does behind an address.
fn port(number: u16) -> String {
    format!(":{number:04X}")
}
