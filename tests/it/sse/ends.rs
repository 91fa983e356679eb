//! How streams end.

use std::time::Duration;

use serde_json::json;
use wingbeat::{App, AppBuilder, Config, Leftover, Memory};

use crate::support::events::{EventStream, get};
use crate::support::slow::{impatient, narrow, until_closed};
use crate::support::{Node, eventually};

fn app() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
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
    let node = Node::start(app().config(impatient())).await;
    let mut fast = EventStream::open(node.addr, "?service=messages").await;
    let mut slow = narrow(node.addr).await;
    slow.begin(&get("?service=messages")).await;
    until_closed(&node, async || fast.event().await).await;
    // Its connection ends before the body does: it is not to take the end for the whole.
    let rest = slow.ended().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_says_when_to_come_back() {
    let node = Node::start(app()).await;
    let mut stream = EventStream::open(node.addr, "?service=messages").await;
    let mut mute = narrow(node.addr).await;
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
    let mut mute = narrow(node.addr).await;
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
