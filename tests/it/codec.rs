//! Envelopes in every encoding, over the memory broker.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::service::Registration;
use wingbeat::sync::{BoxError, Codec, Serializer, Status, SyncOptions};
use wingbeat::{App, AppBuilder, Memory};
use wingbeat_adapter::{Lane, LinkOptions, MemoryBroker, SyncAdapter};

use crate::support::{eventually, within};

/// JSON upside down.
#[derive(Debug)]
struct Reversed;

impl Serializer for Reversed {
    fn name(&self) -> &str {
        "reversed"
    }

    fn serialize(&self, envelope: &Value) -> Result<Vec<u8>, BoxError> {
        let mut bytes = serde_json::to_vec(envelope)?;
        bytes.reverse();
        Ok(bytes)
    }

    fn deserialize(&self, payload: &[u8]) -> Result<Value, BoxError> {
        let bytes: Vec<u8> = payload.iter().rev().copied().collect();
        Ok(serde_json::from_slice(&bytes)?)
    }
}

struct Node {
    app: App,
    heard: Arc<Mutex<Vec<Value>>>,
}

fn builder(broker: &MemoryBroker, codec: &Codec) -> AppBuilder {
    let mut options = SyncOptions::default();
    options.codec = codec.clone();
    App::builder()
        .service("messages", Registration::new(Memory::new()).dates(["at"]))
        .service("rooms", Memory::new())
        .sync_options(options)
        .node_peers(["messages"])
        .sync(broker.clone())
}

fn node(broker: &MemoryBroker, codec: &Codec) -> Node {
    let app = builder(broker, codec).build().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    for path in ["messages", "rooms"] {
        let heard = Arc::clone(&heard);
        app.service_at(path).on_any("created", move |event| {
            heard.lock().push(event.data().value().clone());
        });
    }
    Node { app, heard }
}

async fn ready(node: Node) -> Node {
    within(node.app.sync().ready()).await.unwrap();
    node
}

async fn create(node: &Node, path: &str, data: Value) -> Value {
    node.app.service_at(path).create(data).await.unwrap()
}

fn codecs() -> Vec<Codec> {
    vec![
        Codec::Json,
        Codec::Custom(Arc::new(Reversed)),
        #[cfg(feature = "bson")]
        Codec::Bson,
        #[cfg(feature = "msgpack")]
        Codec::MessagePack,
    ]
}

#[tokio::test]
async fn events_cross_on_both_lanes_in_every_codec() {
    for codec in codecs() {
        let broker = MemoryBroker::new();
        let (a, b) = (node(&broker, &codec), node(&broker, &codec));
        let (a, b) = (ready(a).await, ready(b).await);
        let knows = || a.app.sync().peers().len() + b.app.sync().peers().len() == 2;
        eventually("they know each other", knows).await;
        let text = json!({ "text": "\u{1f600}", "n": [1, -1, 0.5, 5_000_000_000_u64], "no": null });
        let wanted = [
            create(&a, "messages", text.clone()).await,
            create(&b, "rooms", text).await,
        ];
        for node in [&a, &b] {
            eventually("both are heard", || node.heard.lock().len() == 2).await;
            assert_eq!(*node.heard.lock(), wanted, "{codec}");
            let stats = json!(node.app.sync().stats());
            assert_eq!(stats["quarantine"], json!({}), "{codec}");
            assert_eq!(stats["gaps"], json!(1), "the one of a new link, {codec}");
        }
    }
}

#[tokio::test]
async fn a_node_that_meets_only_another_codec_publishes_nothing_and_says_so() {
    let broker = MemoryBroker::new();
    let odd = Codec::Custom(Arc::new(Reversed));
    let (a, b) = (node(&broker, &Codec::Json), node(&broker, &odd));
    for node in [&a, &b] {
        let status = || node.app.sync().status() == Status::Incompatible;
        eventually("it is incompatible", status).await;
    }
    create(&a, "messages", json!({ "text": "kept" })).await;
    create(&b, "messages", json!({ "text": "kept" })).await;
    for node in [&a, &b] {
        eventually("its own listeners are served", || {
            node.heard.lock().len() == 1
        })
        .await;
        let stats = node.app.sync().stats();
        assert_eq!((stats.delivery.sent, stats.delivery.unsettled), (0, 1));
        let reasons = json!(stats)["quarantine"].clone();
        assert!(reasons["codec"].as_u64() >= Some(1), "{reasons}");
        assert_eq!(reasons.as_object().map(serde_json::Map::len), Some(1));
    }
}

#[tokio::test]
async fn a_secret_needs_json() {
    let mut options = SyncOptions::default();
    options.codec = Codec::Custom(Arc::new(Reversed));
    options.sync_secret = Some("s3cret".to_owned());
    let error = App::builder()
        .sync_options(options)
        .sync(MemoryBroker::new())
        .build()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("sync_secret works with the codec json only, not with reversed"),
        "{text}"
    );
}

async fn publish(broker: &MemoryBroker, payload: Vec<u8>) {
    let options = LinkOptions::new("feathers-sync");
    let mut link = within(broker.connect(&options)).await.unwrap();
    let batch = [Bytes::from(payload)];
    let report = within(link.outbound.publish(Lane::Events, &batch)).await;
    assert!(report.unwrap().failed.is_empty());
}

#[cfg(feature = "bson")]
#[tokio::test]
async fn a_date_of_a_node_process_is_one_for_listeners_and_its_iso_string_for_clients() {
    use bson::{DateTime, doc};

    let broker = MemoryBroker::new();
    let node = ready(node(&broker, &Codec::Bson)).await;
    let typed = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&typed);
    node.app
        .service_at("messages")
        .on_any("created", move |event| {
            *noted.lock() = event.data().bson();
        });
    let date = DateTime::from_millis(1_700_000_000_000);
    let envelope = doc! { "event": "created", "path": "messages", "data": { "at": date } };
    publish(&broker, envelope.to_vec().unwrap()).await;
    eventually("it is heard", || typed.lock().is_some()).await;
    assert_eq!(*typed.lock(), Some(doc! { "at": date }.into()));
    assert_eq!(
        *node.heard.lock(),
        [json!({ "at": "2023-11-14T22:13:20.000Z" })]
    );
}

#[cfg(feature = "bson")]
#[tokio::test]
async fn an_event_that_can_not_be_written_reaches_own_clients_and_is_counted() {
    let broker = MemoryBroker::new();
    let node = ready(node(&broker, &Codec::Bson)).await;
    create(&node, "messages", json!({ "a\0b": 1 })).await;
    eventually("it is heard here", || node.heard.lock().len() == 1).await;
    let stats = node.app.sync().stats();
    assert_eq!((stats.unwritable, stats.delivery.synced), (1, 0));
}

#[tokio::test]
async fn what_a_codec_can_not_read_costs_one_message() {
    for codec in codecs() {
        let broker = MemoryBroker::new();
        let node = ready(node(&broker, &codec)).await;
        publish(&broker, vec![0xc1; 40]).await;
        let is_counted = || json!(node.app.sync().stats())["quarantine"]["malformed"] == json!(1);
        eventually("it is put aside", is_counted).await;
        create(&node, "messages", json!({ "text": "next" })).await;
        eventually("the next one is heard", || node.heard.lock().len() == 1).await;
    }
}
