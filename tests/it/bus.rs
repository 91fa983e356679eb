//! What is on the broker: read by a link of the test's own.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use wingbeat::service::Registration;
use wingbeat::stores::Multi;
use wingbeat::{App, AppBuilder, Memory, Params};
use wingbeat_adapter::{Incoming, Lane, LinkOptions, MemoryBroker, SyncAdapter};

use crate::support::{eventually, within};

type Seen = Arc<Mutex<Vec<(Lane, Bytes)>>>;

/// Reads everything that passes over the broker from here on.
async fn observer(broker: &MemoryBroker) -> Seen {
    let seen = Seen::default();
    let mut link = within(broker.connect(&LinkOptions::new("feathers-sync")))
        .await
        .unwrap();
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Some(Ok(incoming)) = link.inbound.next().await {
            if let Incoming::Message { lane, payload } = incoming {
                noted.lock().push((lane, payload));
            }
        }
    });
    seen
}

fn app(broker: &MemoryBroker) -> AppBuilder {
    App::builder()
        .service("messages", Memory::new().multi(Multi::All))
        .service("rooms", Registration::new(Memory::new()).events(["typing"]))
        .node_peers(["messages"])
        .sync(broker.clone())
}

fn on(lane: Lane, seen: &Seen) -> Vec<Value> {
    let read = |(_, payload): &(Lane, Bytes)| serde_json::from_slice(payload).unwrap();
    seen.lock()
        .iter()
        .filter(|(on, _)| *on == lane)
        .map(read)
        .collect()
}

fn events(seen: &Seen) -> usize {
    seen.lock()
        .iter()
        .filter(|(_, payload)| payload.starts_with(br#"{"event""#))
        .count()
}

#[tokio::test]
async fn the_events_lane_has_only_what_node_processes_know() {
    let broker = MemoryBroker::new();
    let seen = observer(&broker).await;
    let app = app(&broker).build().unwrap();
    within(app.sync().ready()).await.unwrap();
    app.service_at("messages")
        .create(json!({ "text": "hi" }))
        .await
        .unwrap();
    app.service_at("rooms")
        .create(json!({ "name": "hall" }))
        .await
        .unwrap();
    app.service_at("rooms")
        .emit("typing", json!({ "user": 1 }))
        .unwrap();
    eventually("the bus has all three", || events(&seen) == 3).await;
    let mut shared = on(Lane::Events, &seen);
    let wb = shared[0].as_object_mut().unwrap().remove("wb").unwrap();
    assert_eq!((shared.len(), &wb["seq"]), (1, &json!(0)));
    assert_eq!(
        shared[0],
        json!({
            "event": "created", "path": "messages", "data": { "text": "hi", "id": 0 },
            "context": {
                "type": "around", "event": "created", "path": "messages", "method": "create",
                "params": { "query": {} }, "result": { "text": "hi", "id": 0 },
            },
        })
    );
}

#[tokio::test]
async fn headers_queries_and_properties_never_leave() {
    let broker = MemoryBroker::new();
    let seen = observer(&broker).await;
    let app = app(&broker).build().unwrap();
    within(app.sync().ready()).await.unwrap();
    let mut params = Params::default();
    let headers = Arc::make_mut(&mut params.headers);
    headers.insert("authorization", "Bearer planted".parse().unwrap());
    headers.insert("cookie", "session=planted".parse().unwrap());
    params.query.insert("token".to_owned(), "planted".into());
    params
        .properties
        .insert("user".to_owned(), json!({ "password": "planted" }));
    for path in ["messages", "rooms"] {
        app.service_at(path)
            .create(json!({ "text": "hi" }))
            .params(params.clone())
            .await
            .unwrap();
    }
    eventually("the bus has both", || events(&seen) == 2).await;
    assert!(
        seen.lock()
            .iter()
            .all(|(_, payload)| !String::from_utf8_lossy(payload).contains("planted"))
    );
}

#[tokio::test]
async fn a_trace_travels_in_wb_and_adds_nothing_else() {
    let broker = MemoryBroker::new();
    let seen = observer(&broker).await;
    let app = app(&broker).build().unwrap();
    within(app.sync().ready()).await.unwrap();
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut traced = Params::default();
    traced.trace = text.parse().ok();
    for name in ["traceparent", "tracestate", "baggage"] {
        Arc::make_mut(&mut traced.headers).insert(name, "planted".parse().unwrap());
    }
    for params in [Params::default(), traced] {
        let data = json!({ "id": 7 });
        let messages = app.service_at("messages");
        messages.create(data).params(params).await.unwrap();
        messages.remove(7).await.unwrap();
    }
    eventually("the bus has all four", || events(&seen) == 4).await;
    let mut shared = on(Lane::Events, &seen);
    let mut traced = shared.remove(2);
    let wb = traced["wb"].as_object_mut().unwrap();
    assert_eq!(wb.remove("trace"), Some(text.into()));
    // Besides, it is the same message as without a trace, later.
    traced["wb"]["seq"] = 0.into();
    assert_eq!(traced, shared[0]);
    assert_eq!(shared[0]["wb"].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn named_context_leaves_and_publishers_see_it_everywhere() {
    let broker = MemoryBroker::new();
    let seen = observer(&broker).await;
    let tenants = Registration::new(Memory::new()).sync_context(|context| {
        let tenant = context
            .params
            .properties
            .get("tenant")
            .cloned()
            .unwrap_or_default();
        let kind = context.data.as_ref().map(|data| data["kind"].clone());
        Map::from_iter([
            ("tenant".to_owned(), tenant),
            ("kind".to_owned(), kind.unwrap_or_default()),
        ])
    });
    let app = App::builder()
        .service("messages", tenants)
        .sync(broker.clone())
        .build()
        .unwrap();
    within(app.sync().ready()).await.unwrap();
    let mut params = Params::default();
    params.properties.insert("tenant".to_owned(), "acme".into());
    app.service_at("messages")
        .create(json!({ "kind": "note" }))
        .params(params)
        .await
        .unwrap();
    eventually("the bus has it", || events(&seen) == 1).await;
    let context = on(Lane::Control, &seen)
        .into_iter()
        .find(|message| message["event"] == "created")
        .unwrap();
    assert_eq!(context["context"]["tenant"], "acme");
    assert_eq!(context["context"]["kind"], "note");
}

#[tokio::test]
async fn a_bulk_create_costs_the_broker_what_its_items_weigh() {
    for path in ["messages", "rooms"] {
        let broker = MemoryBroker::new();
        let seen = observer(&broker).await;
        let bulk = || Memory::new().multi(Multi::All);
        let app = App::builder()
            .service("messages", bulk())
            .service("rooms", bulk())
            .node_peers(["messages"]);
        let app = app.sync(broker.clone()).build().unwrap();
        within(app.sync().ready()).await.unwrap();
        let items: Value = (0..1_000)
            .map(|n| json!({ "n": n, "text": "x".repeat(180) }))
            .collect();
        app.service_at(path).create(items).await.unwrap();
        eventually("the bus has all items", || events(&seen) == 1_000).await;
        let bytes: usize = seen.lock().iter().map(|(_, payload)| payload.len()).sum();
        assert!(bytes < 1_000_000, "{path}: {bytes} bytes");
    }
}
