//! Sessions that the app ends: `41`, and nothing behind it (feathers.md §2.5).

use serde_json::json;
use wingbeat::connections::CloseReason;
use wingbeat::{App, Memory};

use crate::support::polling::PollClient;
use crate::support::socket::{Heard, SocketClient};
use crate::support::{Node, eventually};

async fn chat() -> Node {
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"));
    Node::start(builder).await
}

/// Ends all sessions, between two events of which only the first may come.
async fn revoke(node: &Node) {
    let messages = node.app.service_at("messages");
    messages.create(json!({ "text": "before" })).await.unwrap();
    for connection in node.app.channel("all").connections() {
        connection.close(CloseReason::Revoked);
    }
    messages.create(json!({ "text": "after" })).await.unwrap();
}

const BEFORE: &str = r#"42["messages created",{"text":"before","id":0}]"#;

async fn nobody_is_left(node: &Node) {
    eventually("it is gone", || node.app.n_connections() == 0).await;
    assert!(node.app.channel("all").is_empty());
    let stats = node.app.stats();
    assert_eq!((stats.closed_slow, stats.closed_protocol), (0, 0));
}

#[tokio::test]
async fn a_websocket_gets_what_waits_then_41_then_its_end() {
    let node = chat().await;
    let mut client = SocketClient::connect(node.addr).await;
    revoke(&node).await;
    for packet in [BEFORE, "41"] {
        assert_eq!(client.hear().await, Heard::Packet(packet.to_owned()));
    }
    assert_eq!(client.hear().await, Heard::Closed(None));
    nobody_is_left(&node).await;
}

/// A stock client takes `1` along with `41` for a fault, so that has to wait for the next poll.
#[tokio::test]
async fn a_poll_that_waits_gets_41_and_the_next_one_the_end() {
    let node = chat().await;
    let mut client = PollClient::connect(node.addr).await;
    client.begin_poll().await;
    for connection in node.app.channel("all").connections() {
        connection.close(CloseReason::Revoked);
    }
    let answer = client.polled().await;
    assert_eq!((answer.status, answer.text()), (200, "41"));
    // The node waits for two seconds; after that it knows the session no more.
    let answer = client.poll().await;
    assert!(answer.text() == "1" || answer.status == 400, "{answer:?}");
    nobody_is_left(&node).await;
    assert_eq!(client.poll().await.status, 400, "the session is over");
}

#[tokio::test]
async fn what_a_revoked_client_sends_is_not_read() {
    let node = chat().await;
    let mut client = SocketClient::connect(node.addr).await;
    revoke(&node).await;
    client.begin("create", "messages", json!([{}, {}])).await;
    assert_eq!(client.end().await, Heard::Closed(None));
    nobody_is_left(&node).await;
    let messages = node.app.service_at("messages").find().await.unwrap();
    assert_eq!(
        messages.as_array().map(Vec::len),
        Some(2),
        "before and after"
    );
}

#[tokio::test]
async fn a_client_that_changes_to_a_websocket_gets_41_there() {
    let node = chat().await;
    let mut client = PollClient::connect(node.addr).await;
    let mut socket = SocketClient::probe(node.addr, &client.sid).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    revoke(&node).await;
    client.post(r#"421["create","messages",{},{}]"#).await;
    socket.send("5").await;
    for packet in [BEFORE, "41"] {
        assert_eq!(socket.hear().await, Heard::Packet(packet.to_owned()));
    }
    assert_eq!(socket.end().await, Heard::Closed(None));
    nobody_is_left(&node).await;
    let messages = node.app.service_at("messages").find().await.unwrap();
    assert_eq!(
        messages.as_array().map(Vec::len),
        Some(2),
        "none of its own"
    );
}
