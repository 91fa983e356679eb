//! What one client may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wingbeat::error::Result;
use wingbeat::service::Id;
use wingbeat::{App, Config, Memory, Params, Service};

use crate::support::socket::{Heard, SocketClient};
use crate::support::{Node, eventually};

/// Calls wait until they are let through, and are counted.
#[derive(Clone, Default)]
struct Gate(Arc<Counts>);

struct Counts {
    open: AtomicUsize,
    peak: AtomicUsize,
    passes: Semaphore,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            open: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            passes: Semaphore::new(0),
        }
    }
}

impl Service for Gate {
    const METHODS: &'static [&'static str] = &["get"];

    async fn get(&self, id: Id, _: &Params) -> Result<Value> {
        let open = self.0.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.peak.fetch_max(open, Ordering::SeqCst);
        self.0
            .passes
            .acquire()
            .await
            .expect("it is never closed")
            .forget();
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        Ok(id.to_json())
    }
}

async fn gated(max_open_calls: usize) -> (Node, Gate) {
    let gate = Gate::default();
    let mut config = Config::default();
    config.max_open_calls = max_open_calls;
    let builder = App::builder()
        .service("gate", gate.clone())
        .service("messages", Memory::new());
    (Node::start(builder.config(config)).await, gate)
}

#[tokio::test]
async fn a_message_may_have_its_size_and_no_more() {
    let mut config = Config::default();
    config.max_message = 10_000;
    let node = Node::start(
        App::builder()
            .service("messages", Memory::new())
            .config(config),
    )
    .await;
    let fill = |length: usize| {
        let empty = r#"421["create","messages",{"text":""},{}]"#;
        empty.replace(
            r#""""#,
            &format!(r#""{}""#, "x".repeat(length - empty.len())),
        )
    };
    let mut client = SocketClient::connect(node.addr).await;
    client.send(&fill(10_000)).await;
    assert!(client.answer(1).await.is_ok());
    client.send(&fill(10_001)).await;
    assert_eq!(client.end().await, Heard::Closed(Some(1009)));
    assert_eq!(node.app.stats().closed_too_large, 1);
}

#[tokio::test]
async fn a_client_that_still_sends_its_too_large_message_hears_why() {
    let node = Node::start(App::builder().service("messages", Memory::new())).await;
    let mut client = SocketClient::connect(node.addr).await;
    let text = "x".repeat(8_000_000);
    client
        .send(&format!(
            r#"421["create","messages",{{"text":"{text}"}},{{}}]"#
        ))
        .await;
    assert_eq!(client.end().await, Heard::Closed(Some(1009)));
}

#[tokio::test]
async fn attachments_count_together() {
    use tokio_tungstenite::tungstenite::Message;
    let mut config = Config::default();
    config.max_message = 1_000;
    let node = Node::start(
        App::builder()
            .service("messages", Memory::new())
            .config(config),
    )
    .await;
    let mut client = SocketClient::connect(node.addr).await;
    client.send(r#"452-["create","messages",{},{}]"#).await;
    for _ in 0..2 {
        client.send_message(Message::binary(vec![0_u8; 600])).await;
    }
    assert_eq!(client.end().await, Heard::Closed(Some(1009)));
}

#[tokio::test]
async fn calls_run_side_by_side_and_answers_come_as_they_are_done() {
    let (_node, gate) = gated(256).await;
    let mut client = SocketClient::connect(_node.addr).await;
    let slow = client.begin("get", "gate", json!([1])).await;
    assert_eq!(
        client.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
    gate.0.passes.add_permits(1);
    assert_eq!(client.answer(slow).await, Ok(json!(1)));
}

#[tokio::test]
async fn at_the_bound_of_open_calls_messages_wait_and_none_is_lost() {
    let (node, gate) = gated(3).await;
    let mut client = SocketClient::connect(node.addr).await;
    let mut acks = Vec::new();
    for id in 0..50 {
        acks.push(client.begin("get", "gate", json!([id])).await);
    }
    eventually("three calls are open", || {
        gate.0.open.load(Ordering::SeqCst) == 3
    })
    .await;
    // Another client has a bound of its own.
    let mut other = SocketClient::connect(node.addr).await;
    assert_eq!(
        other.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
    gate.0.passes.add_permits(50);
    for (id, ack) in acks.into_iter().enumerate() {
        assert_eq!(client.answer(ack).await, Ok(json!(id)));
    }
    assert_eq!(gate.0.peak.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_client_whose_calls_take_long_is_not_taken_for_dead() {
    use std::time::Duration;
    let gate = Gate::default();
    let mut config = Config::default();
    (
        config.max_open_calls,
        config.ping_interval,
        config.ping_timeout,
    ) = (1, Duration::from_millis(20), Duration::from_millis(60));
    let node = Node::start(App::builder().service("gate", gate.clone()).config(config)).await;
    let mut client = SocketClient::connect(node.addr).await;
    let ack = client.begin("get", "gate", json!([1])).await;
    // It is not read, but pinged: each ping after the first shows that a timeout has passed.
    for _ in 0..4 {
        assert_eq!(client.hear().await, Heard::Packet("2".to_owned()));
        client.send("3").await;
    }
    gate.0.passes.add_permits(1);
    assert_eq!(client.answer(ack).await, Ok(json!(1)));
}

#[tokio::test]
async fn calls_of_a_client_that_is_gone_run_to_their_end() {
    let (node, gate) = gated(256).await;
    let mut client = SocketClient::connect(node.addr).await;
    client.begin("get", "gate", json!([1])).await;
    eventually("the call is open", || {
        gate.0.open.load(Ordering::SeqCst) == 1
    })
    .await;
    drop(client);
    eventually("the client is gone", || node.app.n_connections() == 0).await;
    gate.0.passes.add_permits(1);
    eventually("the call is done", || {
        gate.0.open.load(Ordering::SeqCst) == 0
    })
    .await;
}

#[tokio::test]
async fn an_answer_may_be_larger_than_the_outbox() {
    let node = Node::start(App::builder().service("messages", Memory::new())).await;
    let text = "x".repeat(3 << 20);
    node.app
        .service_at("messages")
        .create(json!({ "text": text }))
        .await
        .unwrap();
    let mut client = SocketClient::connect(node.addr).await;
    let found = client.call("find", "messages", json!([{}])).await.unwrap();
    assert_eq!(found[0]["text"], text);
}
