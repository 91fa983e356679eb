//! Nodes that share a secret: they hear each other, and nobody without it is heard.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::sync::{Reason, SyncOptions};
use wingbeat::{App, AppBuilder, Memory};
use wingbeat_adapter::{Incoming, Lane, Link, LinkOptions, MemoryBroker, SyncAdapter};

use crate::support::{eventually, within};

struct Sealed {
    app: App,
    heard: Arc<Mutex<Vec<Value>>>,
}

async fn node(broker: &MemoryBroker, name: &str, secret: Option<&str>) -> Sealed {
    start(App::builder().sync(broker.clone()), name, secret).await
}

/// A node with one service that Node processes have and one that they have not.
async fn start(builder: AppBuilder, name: &str, secret: Option<&str>) -> Sealed {
    let mut options = SyncOptions::default();
    options.sync_secret = secret.map(str::to_owned);
    let app = builder
        .name(name)
        .sync_options(options)
        .service("messages", Memory::new())
        .service("rooms", Memory::new())
        .node_peers(["messages"])
        .build()
        .unwrap();
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    for path in ["messages", "rooms"] {
        let heard = Arc::clone(&heard);
        app.service_at(path).on_any("created", move |event| {
            heard.lock().push(event.data().value()["text"].clone());
        });
    }
    within(app.sync().ready()).await.unwrap();
    Sealed { app, heard }
}

impl Sealed {
    async fn create(&self, path: &str, text: &str) {
        let data = json!({ "text": text });
        self.app.service_at(path).create(data).await.unwrap();
    }

    /// Waits until it has heard as many events as there are texts; they may come from several nodes.
    async fn hears(&self, texts: &[&str]) {
        let is_complete = || self.heard.lock().len() >= texts.len();
        eventually("the events are heard", is_complete).await;
        let mut heard = self.heard.lock().clone();
        heard.sort_by_key(Value::to_string);
        assert_eq!(heard, texts);
    }

    fn knows(&self) -> Vec<String> {
        let peers = self.app.sync().peers();
        peers.iter().map(|peer| peer.name.to_string()).collect()
    }

    fn refused(&self) -> u64 {
        let counts = self.app.sync().stats().quarantine;
        assert!(
            counts
                .keys()
                .all(|reason| *reason == Reason::Unauthenticated),
            "{counts:?}"
        );
        counts.values().sum()
    }
}

async fn link(broker: &MemoryBroker) -> Link {
    let options = LinkOptions::new("feathers-sync");
    within(broker.connect(&options)).await.unwrap()
}

async fn send(link: &mut Link, lane: Lane, text: impl Into<Bytes>) {
    link.outbound.publish(lane, &[text.into()]).await.unwrap();
}

#[tokio::test]
async fn nodes_with_one_secret_hear_each_other_and_nobody_with_another() {
    let broker = MemoryBroker::new();
    let a = node(&broker, "a", Some("one")).await;
    let b = node(&broker, "b", Some("one")).await;
    let c = node(&broker, "c", Some("two")).await;
    eventually("a and b know each other", || {
        (a.knows(), b.knows()) == (vec!["b".to_owned()], vec!["a".to_owned()])
    })
    .await;
    let before = [a.refused(), b.refused(), c.refused()];
    // On both lanes, and c first: what it sends is there before what the others wait for.
    c.create("messages", "c-1").await;
    c.create("rooms", "c-2").await;
    a.create("messages", "a-1").await;
    b.create("rooms", "b-1").await;
    a.hears(&["a-1", "b-1"]).await;
    b.hears(&["a-1", "b-1"]).await;
    c.hears(&["c-1", "c-2"]).await;
    eventually("all three count what they refused", || {
        let now = [a.refused(), b.refused(), c.refused()];
        now.iter()
            .zip(before)
            .all(|(now, before)| *now >= before + 2)
    })
    .await;
    assert!(c.knows().is_empty());
    let refused = a.app.sync().quarantine();
    assert!(
        refused
            .iter()
            .any(|message| message.excerpt.contains("c-1")),
        "{refused:?}"
    );
    let missing = [&a, &b, &c].map(|node| node.app.sync().stats().delivery.missing);
    assert_eq!(missing, [0, 0, 0]);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn over_redis_too() {
    let redis = crate::support::redis::RedisServer::start();
    let node = async |name, secret| {
        let builder = App::builder().sync_uri(redis.uri());
        start(builder, name, Some(secret)).await
    };
    let (a, b) = (node("a", "one").await, node("b", "one").await);
    let c = node("c", "two").await;
    eventually("b knows a", || b.knows() == ["a"]).await;
    c.create("messages", "c-1").await;
    c.hears(&["c-1"]).await;
    a.create("messages", "a-1").await;
    a.create("rooms", "a-2").await;
    b.hears(&["a-1", "a-2"]).await;
    a.hears(&["a-1", "a-2"]).await;
    assert!(c.knows().is_empty());
    assert!(b.refused() > 0 && c.refused() > 0);
}

#[tokio::test]
async fn a_node_without_the_secret_hears_and_is_not_heard() {
    let broker = MemoryBroker::new();
    let a = node(&broker, "a", Some("one")).await;
    let open = node(&broker, "open", None).await;
    eventually("the open one knows a", || open.knows() == ["a"]).await;
    a.create("messages", "a-1").await;
    open.hears(&["a-1"]).await;
    let before = a.refused();
    open.create("messages", "open-1").await;
    open.hears(&["a-1", "open-1"]).await;
    eventually("a counts what it refused", || a.refused() > before).await;
    a.hears(&["a-1"]).await;
    assert!(a.knows().is_empty());
    assert_eq!(open.refused(), 0);
}

#[tokio::test]
async fn node_processes_are_heard_for_the_services_they_have() {
    let broker = MemoryBroker::new();
    let a = node(&broker, "a", Some("one")).await;
    let mut stranger = link(&broker).await;
    let envelope = |path: &str, text: &str| {
        let data = json!({ "text": text });
        json!({ "event": "created", "path": path, "data": data }).to_string()
    };
    send(&mut stranger, Lane::Events, envelope("rooms", "refused")).await;
    send(
        &mut stranger,
        Lane::Control,
        envelope("messages", "refused"),
    )
    .await;
    send(&mut stranger, Lane::Events, envelope("messages", "foreign")).await;
    a.hears(&["foreign"]).await;
    assert_eq!((a.refused(), a.app.sync().stats().delivery.foreign), (2, 1));
}

#[tokio::test]
async fn a_recorded_message_counts_neither_twice_nor_on_the_other_lane() {
    let broker = MemoryBroker::new();
    let a = node(&broker, "a", Some("one")).await;
    let b = node(&broker, "b", Some("one")).await;
    eventually("b knows a", || b.knows() == ["a"]).await;
    let mut thief = link(&broker).await;
    a.create("messages", "a-1").await;
    b.hears(&["a-1"]).await;
    let recorded = loop {
        let incoming = within(thief.inbound.next()).await.unwrap().unwrap();
        let Incoming::Message { lane, payload } = incoming else {
            continue;
        };
        if lane == Lane::Events {
            break payload;
        }
    };
    send(&mut thief, Lane::Control, recorded.clone()).await;
    send(&mut thief, Lane::Events, recorded).await;
    eventually("b has dealt with both", || {
        b.refused() == 1 && b.app.sync().stats().delivery.duplicates == 1
    })
    .await;
    b.hears(&["a-1"]).await;
}

#[tokio::test]
async fn an_empty_secret_is_an_error_that_says_so() {
    let mut options = SyncOptions::default();
    options.sync_secret = Some(String::new());
    let builder = App::builder()
        .sync_options(options)
        .sync(MemoryBroker::new());
    let error = builder.build().unwrap_err().to_string();
    assert_eq!(error, "sync_secret is empty, so everybody would know it");
}
