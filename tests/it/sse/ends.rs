//! How streams end.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpSocket;
use wingbeat::{App, AppBuilder, Config, Leftover, Memory};

use crate::support::events::{EventStream, get};
use crate::support::http::Client;
use crate::support::{Node, eventually, within};

fn app() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

/// Connects with little memory for what is not read.
async fn narrow(node: &Node) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let addr = (Ipv4Addr::LOCALHOST, node.addr.port()).into();
    Client::over(within(socket.connect(addr)).await.unwrap())
}

#[tokio::test]
async fn clients_that_go_leave_their_channels() {
    let node = Node::start(app()).await;
    let streams = [
        EventStream::open(node.addr, "?service=messages").await,
        EventStream::open(node.addr, "?service=messages").await,
    ];
    assert_eq!(
        (node.app.n_connections(), node.app.channel("all").len()),
        (2, 2)
    );
    drop(streams);
    eventually("both are out", || node.app.channel("all").is_empty()).await;
    eventually("both are gone", || node.app.n_connections() == 0).await;
    assert_eq!(node.app.stats().closed_slow, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_is_closed_and_the_others_hear_everything() {
    let mut config = Config::default();
    config.outbox.bytes = 256 << 10;
    let node = Node::start(app().config(config)).await;
    let mut fast = EventStream::open(node.addr, "?service=messages").await;
    let mut slow = narrow(&node).await;
    slow.begin(&get("?service=messages")).await;
    eventually("both are connected", || node.app.n_connections() == 2).await;
    let text = "x".repeat(64 << 10);
    let mut sent = 0;
    // The kernel takes some megabytes for a client that does not read; after that its outbox fills.
    while node.app.n_connections() == 2 {
        let record = json!({ "n": sent, "text": text });
        node.app
            .service_at("messages")
            .emit("created", record)
            .unwrap();
        assert_eq!(fast.event().await.1["n"], sent);
        sent += 1;
        assert!(sent < 2_000, "the slow client is never found");
    }
    let stats = node.app.stats();
    assert_eq!((stats.closed_slow, stats.connections), (1, 1));
    assert!(stats.frames_dropped > 0);
    // Its connection ends before the body does: it is not to take the end for the whole.
    let rest = slow.ended().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_says_when_to_come_back() {
    let node = Node::start(app()).await;
    let mut stream = EventStream::open(node.addr, "?service=messages").await;
    let mut mute = narrow(&node).await;
    mute.begin(&get("?service=messages")).await;
    eventually("both are connected", || node.app.n_connections() == 2).await;
    node.app
        .service_at("messages")
        .emit("created", json!(1))
        .unwrap();
    assert_eq!(stream.event().await.1, 1);
    assert_eq!(node.stop().await, Leftover::default());
    let last = stream.last().await.expect("a farewell");
    let wait: u64 = last.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((1_000..5_000).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_who_reads_nothing() {
    let mut config = Config::default();
    config.outbox.bytes = 64 << 20;
    config.shutdown_deadline = Duration::from_secs(15);
    let node = Node::start(app().config(config)).await;
    let mut fast = EventStream::open(node.addr, "?service=messages").await;
    let mut mute = narrow(&node).await;
    mute.begin(&get("?service=messages")).await;
    eventually("both are connected", || node.app.n_connections() == 2).await;
    // More than the kernel takes for a client that does not read.
    let text = "x".repeat(1 << 20);
    for n in 0..32 {
        let messages = node.app.service_at("messages");
        let record = json!({ "n": n, "text": text });
        messages.emit("created", record).unwrap();
        assert_eq!(fast.event().await.1["n"], n);
    }
    assert_eq!(node.stop().await, Leftover::default());
    assert!(!mute.ended().await.ends_with(b"0\r\n\r\n"));
}
