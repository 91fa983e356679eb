//! One bad message costs one message, and one bad client itself: what strangers can do to a node, on the broker and at its door.

mod clients;
#[cfg(feature = "redis")]
mod process;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::{App, Memory};
use wingbeat_adapter::{Lane, Link, LinkOptions, MemoryBroker, SyncAdapter};

use crate::support::{eventually, within};

const FORGED: &str = "00112233445566778899aabbccddeeff";

struct Bystander {
    app: App,
    heard: Arc<Mutex<Vec<Value>>>,
}

async fn bystander(broker: &MemoryBroker, name: &str) -> Bystander {
    let app = App::builder()
        .name(name)
        .service("messages", Memory::new())
        .sync(broker.clone())
        .build()
        .unwrap();
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = Arc::clone(&heard);
    app.service_at("messages").on_any("created", move |event| {
        noted.lock().push(event.data().value().clone())
    });
    within(app.sync().ready()).await.unwrap();
    Bystander { app, heard }
}

async fn stranger(broker: &MemoryBroker) -> Link {
    within(broker.connect(&LinkOptions::new("feathers-sync")))
        .await
        .unwrap()
}

/// Sends a payload on both lanes.
async fn send(link: &mut Link, payload: Vec<u8>) {
    let payload = [Bytes::from(payload)];
    for lane in [Lane::Events, Lane::Control] {
        link.outbound.publish(lane, &payload).await.unwrap();
    }
}

/// Payload number `n`: noise, cut envelopes, deep ones, forged sequences and control messages without end.
fn hostile(n: u64) -> Vec<u8> {
    let envelope = r#"{"event":"created","path":"messages","data":{"text":"hi"}"#;
    let wb = |rest: &str| format!(r#"{{"wb":{{"v":1,{rest}}}}}"#).into_bytes();
    let seq = n << (n % 64);
    match n % 8 {
        0 => rand::random::<[u8; 32]>().to_vec(),
        1 => envelope.as_bytes()[..usize::try_from(n).unwrap() % envelope.len()].to_vec(),
        2 => format!("{}{}", "[".repeat(100), "]".repeat(100)).into_bytes(),
        3 => format!(r#"{envelope},"wb":{{"v":1,"node":"{FORGED}","seq":{seq}}}}}"#).into_bytes(),
        4 => wb(&format!(
            r#""control":{{"want":{{"from_node":"{FORGED}","of_node":"{FORGED}","from":0,"to":{},"max_age":1}}}}"#,
            u64::MAX
        )),
        5 => wb(&format!(
            r#""control":{{"hello":{{"node":"{FORGED}","name":"x","v":1,"codec":"json","nonce":{n},"low":{seq},"sent":{}}}}}"#,
            u64::MAX
        )),
        6 => wb(&format!(
            r#""control":{{"void":{{"node":"{FORGED}","seqs":[[0,{}]]}}}}"#,
            u64::MAX
        )),
        _ => format!(r#"{envelope},"wb":{{"v":{}}}}}"#, n + 2).into_bytes(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_hostile_payloads_cost_the_others_nothing() {
    let broker = MemoryBroker::new();
    let (a, b) = (bystander(&broker, "a").await, bystander(&broker, "b").await);
    let mut link = stranger(&broker).await;
    for n in 0..10_000 {
        send(&mut link, hostile(n)).await;
        if n % 100 == 0 {
            a.app
                .service_at("messages")
                .create(json!({ "text": n }))
                .await
                .unwrap();
        }
    }
    let wanted: Vec<Value> = (0..100)
        .map(|n| json!({ "text": n * 100, "id": n }))
        .collect();
    let from_a = || {
        b.heard
            .lock()
            .iter()
            .filter(|data| data.get("id").is_some())
            .cloned()
            .collect::<Vec<_>>()
    };
    eventually("b hears what a made meanwhile", || from_a().len() == 100).await;
    assert_eq!(from_a(), wanted);
    let counts = || b.app.sync().stats().quarantine;
    // Noise may by chance be JSON, and never an envelope; both lanes count.
    let count = |reason| {
        counts()
            .iter()
            .find(|(known, _)| known.as_str() == reason)
            .map_or(0, |(_, count)| *count)
    };
    // The last payload of all is one of these.
    eventually("b has read them all", || count("version") == 2 * 1_250).await;
    assert_eq!(count("too_deep"), 2 * 1_250);
    assert!(count("malformed") >= 2 * 2_500 - 2, "{:?}", counts());
    let peers = b.app.sync().peers();
    let row_of_a = peers.iter().find(|peer| &*peer.name == "a").unwrap();
    assert_eq!(
        (row_of_a.missing, row_of_a.received),
        (0, 100),
        "what strangers forge is not held against a"
    );
}

#[tokio::test]
async fn payloads_over_the_limit_are_put_aside_unread() {
    let broker = MemoryBroker::new();
    let a = bystander(&broker, "a").await;
    let mut options = LinkOptions::new("feathers-sync");
    options.max_payload = 16 << 20;
    let mut link = within(broker.connect(&options)).await.unwrap();
    send(&mut link, vec![b'['; 8 << 20]).await;
    send(
        &mut link,
        br#"{"event":"created","path":"messages","data":{"text":"good"}}"#.to_vec(),
    )
    .await;
    eventually("the good ones arrive", || a.heard.lock().len() == 2).await;
    assert_eq!(
        json!(a.app.sync().stats())["quarantine"],
        json!({ "too_large": 2 })
    );
    assert!(
        a.app
            .sync()
            .quarantine()
            .iter()
            .all(|message| message.excerpt.is_empty())
    );
}
