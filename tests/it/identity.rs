//! Nodes that share an id, and nodes that do not read each other.

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use wingbeat::sync::Status;
use wingbeat::{App, Memory};
use wingbeat_adapter::{Incoming, Lane, Link, LinkOptions, MemoryBroker, SyncAdapter};

use crate::support::{eventually, within};

async fn node(broker: &MemoryBroker) -> App {
    let app = App::builder()
        .service("messages", Memory::new())
        .sync(broker.clone())
        .build()
        .unwrap();
    within(app.sync().ready()).await.unwrap();
    app
}

async fn link(broker: &MemoryBroker) -> Link {
    let options = LinkOptions::new("feathers-sync");
    within(broker.connect(&options)).await.unwrap()
}

async fn publish(link: &mut Link, message: &Value) {
    let batch = [Bytes::from(message.to_string())];
    let report = within(link.outbound.publish(Lane::Control, &batch)).await;
    assert!(report.unwrap().failed.is_empty());
}

/// The next hello on the broker.
async fn hello(link: &mut Link) -> Value {
    loop {
        let Some(Ok(Incoming::Message { payload, .. })) = within(link.inbound.next()).await else {
            panic!("the link is over")
        };
        let message: Value = serde_json::from_slice(&payload).unwrap();
        if !message["wb"]["control"]["hello"].is_null() {
            return message;
        }
    }
}

async fn create(app: &App, text: &str) {
    let messages = app.service_at("messages");
    messages.create(json!({ "text": text })).await.unwrap();
}

#[tokio::test]
async fn a_node_among_strangers_publishes_nothing_until_somebody_reads_it() {
    let broker = MemoryBroker::new();
    let alone = node(&broker).await;
    let mut stranger = link(&broker).await;
    let id = "5e".repeat(16);
    let hello = json!({ "wb": { "v": 2, "control": { "hello": { "node": id } } } });
    publish(&mut stranger, &hello).await;
    let is = |status| move |app: &App| app.sync().status() == status;
    eventually("it is incompatible", || is(Status::Incompatible)(&alone)).await;
    create(&alone, "waits").await;
    assert_eq!(alone.sync().stats().delivery.sent, 0);
    assert_eq!(alone.sync().stats().delivery.delivered, 1);
    assert_eq!(
        json!(alone.sync().stats())["quarantine"],
        json!({ "version": 1 })
    );

    let reader = node(&broker).await;
    eventually("it goes on", || is(Status::Ready)(&alone)).await;
    eventually("what waited is heard", || {
        reader.sync().stats().delivery.released == 1
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_id_another_one_uses_goes_on_under_a_new_one() {
    let broker = MemoryBroker::new();
    let mut twin = link(&broker).await;
    let app = node(&broker).await;
    let peer = node(&broker).await;
    create(&app, "before").await;
    eventually("it is heard", || peer.sync().stats().delivery.released == 1).await;

    let mut forged = hello(&mut twin).await;
    forged["wb"]["control"]["hello"]["nonce"] = json!(1);
    publish(&mut twin, &forged).await;
    let renamed = || app.sync().stats().delivery.renamed + peer.sync().stats().delivery.renamed;
    eventually("one of them has a new id", || renamed() == 1).await;
    create(&app, "after").await;
    create(&peer, "after").await;
    eventually("both are heard", || {
        peer.sync().stats().delivery.released == 2 && app.sync().stats().delivery.released == 1
    })
    .await;
}
