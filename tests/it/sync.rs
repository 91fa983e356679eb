//! Nodes in one process, joined by a memory broker: what happens on one is heard on all.

use std::sync::Arc;

use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::event::Origin;
use wingbeat::hooks::RegisterHooks;
use wingbeat::service::Registration;
use wingbeat::stores::Multi;
use wingbeat::sync::{Delivery, Status, SyncMode, SyncOptions};
use wingbeat::{App, AppBuilder, Memory, Method};
use wingbeat_adapter::MemoryBroker;

use crate::support::{eventually, within};

/// What a node's listeners heard: `(label of the origin, event, data)`.
type Heard = Arc<Mutex<Vec<(String, String, Value)>>>;

struct Node {
    app: App,
    heard: Heard,
}

fn builder(name: &str) -> AppBuilder {
    let messages = Registration::new(Memory::new().multi(Multi::All)).events(["typing"]);
    App::builder().name(name).service("messages", messages)
}

async fn node(builder: AppBuilder) -> Node {
    let app = builder.build().unwrap();
    let heard = Heard::default();
    for event in ["created", "updated", "patched", "removed", "typing"] {
        let heard = Arc::clone(&heard);
        app.service_at("messages").on_any(event, move |event| {
            let origin = match event.origin() {
                Origin::Local => "local".to_owned(),
                Origin::Node { name, .. } => name.to_string(),
                other => format!("{other:?}"),
            };
            heard.lock().push((
                origin,
                event.name().to_owned(),
                event.data().value().clone(),
            ));
        });
    }
    within(app.sync().ready()).await.unwrap();
    Node { app, heard }
}

async fn pair(broker: &MemoryBroker) -> (Node, Node) {
    let a = node(builder("a").sync(broker.clone())).await;
    let b = node(builder("b").sync(broker.clone())).await;
    let know_each_other = || a.app.sync().peers().len() == 1 && b.app.sync().peers().len() == 1;
    eventually("both nodes know each other", know_each_other).await;
    (a, b)
}

impl Node {
    fn texts(&self) -> Vec<Value> {
        self.heard
            .lock()
            .iter()
            .map(|(_, _, data)| data["text"].clone())
            .collect()
    }

    async fn hears(&self, n: usize) -> Vec<(String, String, Value)> {
        eventually("the events are heard", || self.heard.lock().len() >= n).await;
        self.heard.lock().clone()
    }
}

#[tokio::test]
async fn an_event_of_one_node_is_heard_once_on_each_with_its_origin() {
    let (a, b) = pair(&MemoryBroker::new()).await;
    a.app
        .service_at("messages")
        .create(json!({ "text": "hi" }))
        .await
        .unwrap();
    let data = json!({ "text": "hi", "id": 0 });
    assert_eq!(
        b.hears(1).await,
        [("a".to_owned(), "created".to_owned(), data.clone())]
    );
    assert_eq!(
        a.hears(1).await,
        [("local".to_owned(), "created".to_owned(), data)]
    );
}

#[tokio::test]
async fn every_method_and_custom_events_cross_in_order() {
    let (a, b) = pair(&MemoryBroker::new()).await;
    let messages = a.app.service_at("messages");
    messages
        .create(json!([{ "text": "one" }, { "text": "two" }]))
        .await
        .unwrap();
    messages
        .update(0, json!({ "text": "three" }))
        .await
        .unwrap();
    messages.patch(1, json!({ "text": "four" })).await.unwrap();
    messages.emit("typing", json!({ "text": "five" })).unwrap();
    messages.remove(0).await.unwrap();
    let heard = b.hears(6).await;
    let names: Vec<&str> = heard.iter().map(|(_, event, _)| event.as_str()).collect();
    assert_eq!(
        names,
        [
            "created", "created", "updated", "patched", "typing", "removed"
        ]
    );
    assert_eq!(b.texts(), ["one", "two", "three", "four", "five", "three"]);
    eventually("the own clients hear the same", || a.texts() == b.texts()).await;
}

#[tokio::test]
async fn sync_false_stays_here_and_keeps_its_place() {
    let (a, b) = pair(&MemoryBroker::new()).await;
    let messages = a.app.service_at("messages");
    for (text, sync) in [("one", true), ("two", false), ("three", true)] {
        messages
            .create(json!({ "text": text }))
            .sync(sync)
            .await
            .unwrap();
    }
    b.hears(2).await;
    a.hears(3).await;
    assert_eq!(b.texts(), ["one", "three"]);
    assert_eq!(a.texts(), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_hook_can_keep_a_call_here() {
    let broker = MemoryBroker::new();
    let quiet = builder("a")
        .sync(broker.clone())
        .before(Method::Create, |context| {
            let is_private = context
                .data
                .as_ref()
                .is_some_and(|data| data["private"] == json!(true));
            Box::pin(async move {
                context.sync(!is_private);
                Ok(())
            })
        });
    let (a, b) = (node(quiet).await, node(builder("b").sync(broker)).await);
    eventually("b knows a", || !b.app.sync().peers().is_empty()).await;
    let messages = a.app.service_at("messages");
    messages
        .create(json!({ "text": "secret", "private": true }))
        .await
        .unwrap();
    messages.create(json!({ "text": "open" })).await.unwrap();
    b.hears(1).await;
    assert_eq!(b.texts(), ["open"]);
}

#[tokio::test]
async fn what_leaves_is_the_dispatch_and_the_named_context() {
    let broker = MemoryBroker::new();
    let guarded = builder("a")
        .sync(broker.clone())
        .after(Method::Create, |context| {
            Box::pin(async move {
                context.dispatch = Some(json!({ "text": "safe" }));
                Ok(())
            })
        });
    let (a, b) = (node(guarded).await, node(builder("b").sync(broker)).await);
    eventually("b knows a", || !b.app.sync().peers().is_empty()).await;
    a.app
        .service_at("messages")
        .create(json!({ "text": "secret" }))
        .await
        .unwrap();
    b.hears(1).await;
    a.hears(1).await;
    assert_eq!(
        (a.texts(), b.texts()),
        (vec![json!("secret")], vec![json!("safe")])
    );
}

#[tokio::test]
async fn what_is_emitted_while_the_broker_is_down_reaches_the_others_later() {
    for delivery in [Delivery::Ordered, Delivery::LocalFirst] {
        let broker = MemoryBroker::new();
        let mut options = SyncOptions::default();
        options.delivery = delivery;
        let a = node(
            builder("a")
                .sync_options(options.clone())
                .sync(broker.clone()),
        )
        .await;
        let b = node(builder("b").sync_options(options).sync(broker.clone())).await;
        eventually("b knows a", || !b.app.sync().peers().is_empty()).await;
        broker.cut();
        eventually("a has lost its link", || {
            a.app.sync().status() == Status::Reconnecting
        })
        .await;
        for n in 0..100 {
            within(
                a.app
                    .service_at("messages")
                    .create(json!({ "text": n }))
                    .into_future(),
            )
            .await
            .unwrap();
        }
        assert_eq!(
            a.hears(100).await.len(),
            100,
            "own listeners are served while the broker is down"
        );
        assert!(b.heard.lock().is_empty());
        broker.heal();
        b.hears(100).await;
        eventually("both are ready", || {
            [&a, &b]
                .iter()
                .all(|node| node.app.sync().status() == Status::Ready)
        })
        .await;
        assert_eq!(b.texts(), (0..100).map(Value::from).collect::<Vec<_>>());
        assert_eq!(a.heard.lock().len(), 100);
    }
}

#[tokio::test]
async fn events_of_unknown_services_are_counted_and_cost_nothing_else() {
    let broker = MemoryBroker::new();
    let a = node(
        builder("a")
            .service("rooms", Memory::new())
            .sync(broker.clone()),
    )
    .await;
    let b = node(builder("b").sync(broker)).await;
    eventually("b knows a", || !b.app.sync().peers().is_empty()).await;
    a.app.service_at("rooms").create(json!({})).await.unwrap();
    a.app
        .service_at("messages")
        .create(json!({ "text": "hi" }))
        .await
        .unwrap();
    b.hears(1).await;
    assert_eq!(
        json!(b.app.sync().stats())["quarantine"],
        json!({ "unknown_service": 1 })
    );
    assert_eq!(b.app.sync().quarantine()[0].what, "service 'rooms'");
}

#[tokio::test]
async fn a_service_can_send_only_receive_only_or_stay_here() {
    let broker = MemoryBroker::new();
    let rooms = |mode| Registration::new(Memory::new()).sync(mode);
    let a = node(
        builder("a")
            .service("rooms", rooms(SyncMode::Send))
            .sync(broker.clone()),
    )
    .await;
    let b = node(
        builder("b")
            .service("rooms", rooms(SyncMode::Receive))
            .sync(broker),
    )
    .await;
    eventually("both know each other", || {
        !a.app.sync().peers().is_empty() && !b.app.sync().peers().is_empty()
    })
    .await;
    let heard: Heard = Heard::default();
    let noted = Arc::clone(&heard);
    b.app.service_at("rooms").on_any("created", move |event| {
        noted.lock().push((
            format!("{:?}", event.origin()),
            String::new(),
            event.data().value()["name"].clone(),
        ));
    });
    b.app
        .service_at("rooms")
        .create(json!({ "name": "stays" }))
        .await
        .unwrap();
    a.app
        .service_at("rooms")
        .create(json!({ "name": "leaves" }))
        .await
        .unwrap();
    eventually("b hears both", || heard.lock().len() == 2).await;
    assert_eq!(b.app.sync().stats().delivery.synced, 0);
    assert_eq!(a.app.sync().stats().delivery.synced, 1);
}

#[tokio::test]
async fn redacted_properties_reach_no_other_node() {
    let broker = MemoryBroker::new();
    let users = || Registration::new(Memory::new()).redact(["password"]);
    let a = node(
        App::builder()
            .name("a")
            .service("messages", users())
            .sync(broker.clone()),
    )
    .await;
    let b = node(
        App::builder()
            .name("b")
            .service("messages", users())
            .sync(broker),
    )
    .await;
    eventually("b knows a", || !b.app.sync().peers().is_empty()).await;
    let data = json!({ "text": "x", "password": "p", "links": [{ "password": "q", "at": 1 }] });
    let answer = a
        .app
        .service_at("messages")
        .create(data.clone())
        .await
        .unwrap();
    assert_eq!(answer["password"], "p", "the caller still has it");
    assert_eq!(
        b.hears(1).await[0].2,
        json!({ "text": "x", "links": [{ "at": 1 }], "id": 0 })
    );
}

#[tokio::test]
async fn a_publisher_that_reads_what_is_not_synced_fails_on_the_origin_too() {
    let messages = Registration::new(Memory::new()).publish(|event, channels| {
        let error = event.field("tenant").unwrap_err();
        assert!(error.to_string().contains("sync_context"), "{error}");
        channels.channel("everybody")
    });
    let app = App::builder()
        .service("messages", messages)
        .build()
        .unwrap();
    app.service_at("messages").create(json!({})).await.unwrap();
    assert_eq!(
        (app.stats().not_synced, app.stats().publisher_panics),
        (1, 0)
    );
}

#[tokio::test]
async fn an_event_too_large_for_the_others_reaches_own_clients() {
    let broker = MemoryBroker::new();
    let mut options = SyncOptions::default();
    options.max_payload = 1_000;
    let a = node(builder("a").sync_options(options).sync(broker.clone())).await;
    let b = node(builder("b").sync(broker)).await;
    eventually("b knows a", || !b.app.sync().peers().is_empty()).await;
    a.app
        .service_at("messages")
        .create(json!({ "text": "x".repeat(2_000) }))
        .await
        .unwrap();
    a.app
        .service_at("messages")
        .create(json!({ "text": "small" }))
        .await
        .unwrap();
    b.hears(1).await;
    a.hears(2).await;
    assert_eq!(
        (b.texts(), a.app.sync().stats().oversize),
        (vec![json!("small")], 1)
    );
}

#[tokio::test]
async fn taps_see_what_passes_and_gaps_are_told() {
    let broker = MemoryBroker::new();
    let (a, b) = pair(&broker).await;
    let (out, incoming) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (counted_out, counted_in) = (Arc::clone(&out), Arc::clone(&incoming));
    a.app.on_sync_out(move |_| *counted_out.lock() += 1);
    b.app.on_sync_in(move |_| *counted_in.lock() += 1);
    a.app
        .service_at("messages")
        .create(json!({ "text": 1 }))
        .await
        .unwrap();
    a.app
        .service_at("messages")
        .create(json!({ "text": 2 }))
        .sync(false)
        .await
        .unwrap();
    b.hears(1).await;
    a.hears(2).await;
    assert_eq!((*out.lock(), *incoming.lock()), (1, 1));
}

#[tokio::test]
async fn status_is_watched_from_connecting_to_closed() {
    let app = builder("a").sync(MemoryBroker::new()).build().unwrap();
    let statuses = app.sync().watch();
    within(app.sync().ready()).await.unwrap();
    within(app.close()).await;
    let seen: Vec<Status> = within(
        statuses
            .take_while(|status| std::future::ready(*status != Status::Closed))
            .collect(),
    )
    .await;
    assert!(
        seen.len() <= 4 && app.sync().status() == Status::Closed,
        "{seen:?}"
    );
}

#[tokio::test]
async fn closing_leaves_nothing_unsettled_and_no_link() {
    let broker = MemoryBroker::new();
    let (a, b) = pair(&broker).await;
    for n in 0..500 {
        a.app
            .service_at("messages")
            .create(json!({ "text": n }))
            .await
            .unwrap();
    }
    let leftover = within(a.app.close()).await;
    assert_eq!(leftover, wingbeat::Leftover::default());
    b.hears(500).await;
    within(b.app.close()).await;
    assert_eq!(broker.links(), 0);
}

#[tokio::test]
async fn a_dropped_app_leaves_no_link() {
    let broker = MemoryBroker::new();
    let (a, b) = pair(&broker).await;
    drop((a, b));
    eventually("both links are gone", || broker.links() == 0).await;
}

#[tokio::test]
async fn a_second_sync_is_an_error_that_says_so() {
    let twice = builder("a")
        .sync(MemoryBroker::new())
        .sync_uri("memory://x");
    assert!(
        twice
            .build()
            .unwrap_err()
            .to_string()
            .contains("sync is set more than once")
    );
}

#[tokio::test]
async fn without_sync_the_node_is_alone_and_ready() {
    let app = builder("a").build().unwrap();
    within(app.sync().ready()).await.unwrap();
    assert_eq!(
        (app.sync().status(), app.sync().peers().len()),
        (Status::Off, 0)
    );
}
