//! How fast one client may send: whoever sends more is closed with the code of its transport and counted, and nobody else is.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use wingbeat::{App, Config, Memory};

use crate::support::plain::PlainClient;
use crate::support::polling::PollClient;
use crate::support::socket::{Heard, SocketClient};
use crate::support::{Node, within};

async fn with(change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::default();
    change(&mut config);
    Node::start(
        App::builder()
            .service("messages", Memory::new())
            .config(config),
    )
    .await
}

/// Two messages a second, and so twenty at once.
async fn with_messages() -> Node {
    with(|config| config.max_messages_per_second = Some(2)).await
}

/// Few bytes a second, and so two messages of the largest size at once.
async fn with_bytes() -> Node {
    with(|config| (config.max_bytes_per_second, config.max_message) = (Some(10), 1_000)).await
}

/// Clients closed for too many messages, and for too many bytes.
fn closed(node: &Node) -> (u64, u64) {
    let stats = node.app.stats();
    (stats.closed_too_many_messages, stats.closed_too_many_bytes)
}

#[tokio::test]
async fn a_socket_that_sends_too_many_messages_is_closed_with_1008() {
    let node = with_messages().await;
    let mut other = SocketClient::connect(node.addr).await;
    let mut client = SocketClient::connect(node.addr).await;
    for _ in 0..15 {
        let found = client.call("find", "messages", json!([{}])).await;
        assert_eq!(found, Ok(json!([])), "so many may come at once");
    }
    for _ in 0..200 {
        client.send("3").await;
    }
    assert_eq!(client.end().await, Heard::Closed(Some(1008)));
    let found = other.call("find", "messages", json!([{}])).await;
    assert_eq!(found, Ok(json!([])));
    assert_eq!((closed(&node), node.app.n_connections()), ((1, 0), 1));
}

#[tokio::test]
async fn a_plain_websocket_that_sends_too_many_messages_is_closed_with_4429() {
    let node = with_messages().await;
    let mut other = PlainClient::connect(node.addr).await;
    let mut calls = PlainClient::connect(node.addr).await;
    for _ in 0..15 {
        let found = calls.call("find", "messages", json!([])).await;
        assert_eq!(found, Ok(json!([])), "so many may come at once");
    }
    for id in 0..200 {
        calls.send(&json!([id, "find", "messages"])).await;
    }
    assert_eq!(calls.end().await, Heard::Closed(Some(4429)));
    let mut pings = PlainClient::connect(node.addr).await;
    for _ in 0..200 {
        pings.send_message(Message::Ping(Vec::new().into())).await;
    }
    assert_eq!(pings.end().await, Heard::Closed(Some(4429)));
    let found = other.call("find", "messages", json!([])).await;
    assert_eq!(found, Ok(json!([])));
    assert_eq!(closed(&node), (2, 0));
}

#[tokio::test]
async fn too_many_packets_of_long_polling_are_answered_with_429() {
    let node = with_messages().await;
    let mut client = PollClient::connect(node.addr).await;
    client.post(&["3"; 10].join(SEPARATOR)).await;
    let answer = client.try_post(&["3"; 200].join(SEPARATOR)).await;
    assert_eq!((answer.status, answer.text()), (429, ""));
    assert_eq!(client.packet().await, "1");
    assert_eq!(client.poll().await.status, 400, "the session is over");
    assert_eq!((closed(&node), node.app.n_connections()), ((1, 0), 0));
}

#[tokio::test]
async fn too_many_bytes_close_a_client_whatever_they_are() {
    let node = with_bytes().await;
    let large = "x".repeat(900);
    let mut socket = SocketClient::connect(node.addr).await;
    let mut plain = PlainClient::connect(node.addr).await;
    for _ in 0..2 {
        let arguments = json!([{ "text": large }]);
        let created = socket.call("create", "messages", arguments.clone()).await;
        assert!(created.is_ok(), "two of the largest may come at once");
        assert!(plain.call("create", "messages", arguments).await.is_ok());
    }
    socket
        .begin("create", "messages", json!([{ "text": large }]))
        .await;
    assert_eq!(socket.end().await, Heard::Closed(Some(1008)));
    let message = json!([9, "create", "messages", { "text": large }]);
    plain.send(&message).await;
    assert_eq!(plain.end().await, Heard::Closed(Some(4429)));
    assert_eq!(closed(&node), (0, 2));

    let mut polling = PollClient::connect(node.addr).await;
    let create = format!(r#"42["create","messages",{{"text":"{large}"}},{{}}]"#);
    polling.post(&create).await;
    polling.post(&create).await;
    assert_eq!(polling.try_post(&create).await.status, 429);
    assert_eq!(closed(&node), (0, 3));
}

/// A message that never ends has no size and no number: it is its bytes that count.
#[tokio::test]
async fn fragments_without_end_are_too_many_bytes() {
    let node = with_bytes().await;
    let mut stream = PlainClient::connect(node.addr).await.into_stream();
    let begin = b"\x01\x80\x00\x00\x00\x00";
    let go_on = b"\x00\x80\x00\x00\x00\x00".repeat(1_000);
    within(stream.write_all(&[begin, go_on.as_slice()].concat()))
        .await
        .unwrap();
    let mut heard = Vec::new();
    within(stream.read_to_end(&mut heard)).await.unwrap();
    let [high, low] = 4429_u16.to_be_bytes();
    assert_eq!(heard, [0x88, 2, high, low]);
    assert_eq!(closed(&node), (0, 1));
}

#[tokio::test]
async fn what_was_sent_by_long_polling_counts_after_the_change_to_a_websocket() {
    let node = with(|config| config.max_messages_per_second = Some(1)).await;
    let mut client = PollClient::connect(node.addr).await;
    client.post(&["3"; 8].join(SEPARATOR)).await;
    let mut socket = SocketClient::probe(node.addr, &client.sid).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    socket.send("5").await;
    // With a bucket of its own it could send ten.
    for _ in 0..8 {
        socket.send("3").await;
    }
    assert_eq!(socket.end().await, Heard::Closed(Some(1008)));
    assert_eq!(closed(&node), (1, 0));
}

#[tokio::test]
async fn a_websocket_that_is_tried_while_polling_is_no_way_around_it() {
    let node = with_messages().await;
    let mut client = PollClient::connect(node.addr).await;
    let mut socket = SocketClient::probe(node.addr, &client.sid).await;
    for _ in 0..200 {
        socket.send_message(Message::Ping(Vec::new().into())).await;
    }
    assert_eq!(socket.end().await, Heard::Closed(None));
    assert_eq!(client.packet().await, "1");
    assert_eq!((closed(&node), node.app.n_connections()), ((1, 0), 0));
}

const SEPARATOR: &str = "\u{1e}";
