//! What is asked for, and what is heard.

use std::time::Duration;

use serde_json::{Value, json};
use wingbeat::service::Registration;
use wingbeat::{App, AppBuilder, Config, Memory};
use wingbeat_adapter::{Lane, LinkOptions, MemoryBroker, SyncAdapter};

use crate::support::events::{EventStream, get};
use crate::support::http::{Client, Request};
use crate::support::{Node, eventually, within};

fn app() -> AppBuilder {
    let rooms = Registration::new(Memory::new()).events(["typing"]);
    App::builder()
        .service("messages", Memory::new())
        .service("rooms", rooms)
        .service("org/:org/items", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

fn emit(node: &Node, path: &str, event: &str, data: Value) {
    node.app.service_at(path).emit(event, data).unwrap();
}

#[tokio::test]
async fn a_stream_is_written_as_documented() {
    let node = Node::start(app()).await;
    let mut stream = EventStream::open(node.addr, "?service=messages").await;
    let header = |name: &str| stream.head.header(name);
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
    assert_eq!(header("access-control-allow-origin"), None);
    let id = stream.opening.strip_prefix("retry: 2000\nid: ").unwrap();
    assert_eq!(id.len(), 12, "{id}");
    node.post("/messages", &json!({ "text": "é" })).await;
    let block = "event: messages created\ndata: {\"text\":\"é\",\"id\":0}";
    assert_eq!(stream.block().await.as_deref(), Some(block));
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_heard() {
    let node = Node::start(app()).await;
    let queries = [
        ("?service=rooms", vec!["rooms created", "rooms typing"]),
        (
            "?service=/messages/&event=created&event=removed&service=rooms",
            vec!["messages created", "rooms created", "messages removed"],
        ),
        (
            "?service=rooms&event=typing&event=typing",
            vec!["rooms typing"],
        ),
        ("?service=org/:org/items", vec!["org/:org/items patched"]),
        (
            "?event=patched&service=org%2F%3Aorg%2Fitems",
            vec!["org/:org/items patched"],
        ),
    ];
    let mut streams = Vec::new();
    for (query, expected) in queries {
        streams.push((EventStream::open(node.addr, query).await, expected));
    }
    emit(&node, "messages", "created", json!(1));
    emit(&node, "messages", "updated", json!(2));
    emit(&node, "rooms", "created", json!(3));
    emit(&node, "rooms", "typing", json!(4));
    emit(&node, "org/:org/items", "patched", json!(5));
    emit(&node, "messages", "removed", json!(6));
    for (stream, expected) in &mut streams {
        for name in expected {
            assert_eq!(stream.event().await.0, *name);
        }
    }
    // What each would hear next shows that nothing else came.
    for (path, event) in [
        ("messages", "created"),
        ("rooms", "typing"),
        ("org/:org/items", "patched"),
    ] {
        emit(&node, path, event, json!("last"));
    }
    for (stream, _) in &mut streams {
        assert_eq!(stream.event().await.1, "last");
    }
}

#[tokio::test]
async fn what_can_not_be_asked_for_is_refused() {
    let node = Node::start(app()).await;
    let many = format!("?service=rooms{}", "&event=typing".repeat(100));
    let table = [
        ("", 400),
        ("?event=created", 400),
        (many.as_str(), 400),
        ("?service=nobody", 404),
        ("?service=messages&service=nobody", 404),
        ("?service=messages&event=typing", 400),
        ("?service=messages&event=", 400),
        ("?service=org/7/items", 404),
    ];
    for (query, status) in table {
        let (answered, error) = node.send(get(query)).await.pair();
        assert_eq!(
            (answered, error["code"].as_u64()),
            (status, Some(status.into())),
            "{query}"
        );
    }
    let post = node
        .send(Request::new("POST", "/events?service=rooms"))
        .await;
    assert_eq!(
        (post.status, post.header("allow").as_deref()),
        (405, Some("GET"))
    );
    let stats = node.app.stats();
    assert_eq!(stats.refused_handshakes, table.len() as u64 + 1);
    assert_eq!(stats.refused_subscriptions, 1);
}

#[tokio::test]
async fn a_stream_names_as_much_as_the_node_lets_it() {
    let mut config = Config::default();
    config.max_subscriptions = 3;
    let node = Node::start(app().config(config)).await;
    let twice = "?service=messages&service=/messages/&event=created";
    let mut stream = EventStream::open(node.addr, twice).await;
    let (answered, error) = node
        .send(get(&format!("{twice}&event=removed")))
        .await
        .pair();
    let message = "1 to 3 services and events are named";
    assert_eq!((answered, &error["message"]), (400, &json!(message)));
    let thousands = format!("?service=messages{}", "&event=created".repeat(3_000));
    assert_eq!(node.send(get(&thousands)).await.status, 400);
    assert_eq!(node.app.stats().refused_subscriptions, 2);
    emit(&node, "messages", "created", json!(1));
    emit(&node, "messages", "created", json!(2));
    assert_eq!([stream.event().await.1, stream.event().await.1], [1, 2]);
}

#[tokio::test]
async fn paths_without_a_service_are_heard_where_they_are_open() {
    let node = Node::start(app().open_paths()).await;
    let mut orders = EventStream::open(node.addr, "?service=orders").await;
    let query = "?service=/orders/&service=messages&event=paid&event=removed";
    let mut some = EventStream::open(node.addr, query).await;
    emit(&node, "orders", "paid", json!(1));
    emit(&node, "bills", "paid", json!(2));
    emit(&node, "orders", "shipped", json!(3));
    emit(&node, "messages", "created", json!(4));
    emit(&node, "messages", "removed", json!(5));
    emit(&node, "orders", "removed", json!(6));
    for (name, n) in [("paid", 1), ("shipped", 3), ("removed", 6)] {
        assert_eq!(orders.event().await, (format!("orders {name}"), json!(n)));
    }
    for (name, n) in [("orders paid", 1), ("messages removed", 5)] {
        assert_eq!(some.event().await, (name.to_owned(), json!(n)));
    }
    let closed = node.send(get("?service=authentication")).await;
    assert_eq!(closed.status, 404, "what is done there goes to nobody");
}

#[tokio::test]
async fn cookies_are_taken_from_own_and_allowed_origins_only() {
    let mut config = Config::default();
    config.allowed_origins = vec!["https://app.example".to_owned()];
    let node = Node::start(app().config(config)).await;
    let from = |origin| {
        get("?service=messages")
            .header("cookie", "a=b")
            .header("origin", origin)
    };
    assert_eq!(node.send(from("https://evil.example")).await.status, 403);
    assert_eq!(node.app.stats().refused_origins, 1);
    let client = Client::connect(node.addr).await;
    let stream = EventStream::open_with(client, from("https://app.example")).await;
    let header = |name: &str| stream.head.header(name);
    assert_eq!(
        header("access-control-allow-origin").as_deref(),
        Some("https://app.example")
    );
    assert_eq!(
        header("access-control-allow-credentials").as_deref(),
        Some("true")
    );
    let client = Client::connect(node.addr).await;
    EventStream::open_with(client, from("http://test")).await;
}

#[tokio::test]
async fn who_comes_back_hears_of_the_gap_first() {
    let node = Node::start(app()).await;
    let first = EventStream::open(node.addr, "?service=messages").await;
    let id = first.opening.split_once("id: ").unwrap().1.to_owned();
    drop(first);
    let again = get("?service=messages").header("last-event-id", &id);
    let mut second = EventStream::open_with(Client::connect(node.addr).await, again).await;
    assert_ne!(second.opening.split_once("id: ").unwrap().1, id);
    emit(&node, "messages", "created", json!(1));
    let gap = ("gap".to_owned(), json!({ "lastEventId": id }));
    assert_eq!(second.event().await, gap);
    assert_eq!(second.event().await.0, "messages created");
}

#[tokio::test]
async fn an_idle_stream_has_comments() {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(20);
    let node = Node::start(app().config(config)).await;
    let mut stream = EventStream::open(node.addr, "?service=messages").await;
    for _ in 0..3 {
        assert_eq!(stream.block().await.as_deref(), Some(":"));
    }
    emit(&node, "messages", "created", json!(1));
    assert_eq!(stream.event().await.1, 1);
}

#[tokio::test]
async fn data_of_a_peer_may_have_line_breaks() {
    let broker = MemoryBroker::default();
    let node = Node::start(app().node_peers(["messages"]).sync(broker.clone())).await;
    within(node.app.sync().ready()).await.unwrap();
    let mut stream = EventStream::open(node.addr, "?service=messages").await;
    let mut link = broker
        .connect(&LinkOptions::new("feathers-sync"))
        .await
        .unwrap();
    let envelope = "{\"event\":\"created\",\"path\":\"messages\",\"data\":{\n \"a\": \"b\\n\",\r\n \"c\": 1 },\"context\":{}}";
    let report = link
        .outbound
        .publish(Lane::Events, &[envelope.into()])
        .await;
    report.unwrap();
    let block =
        "event: messages created\ndata: {\ndata:  \"a\": \"b\\n\",\ndata: \ndata:  \"c\": 1 }";
    assert_eq!(stream.block().await.as_deref(), Some(block));
}

#[tokio::test]
async fn the_path_is_a_setting_and_a_service_goes_before() {
    let mut config = Config::default();
    config.events_path = "/live/events".to_owned();
    let node = Node::start(app().config(config)).await;
    assert_eq!(node.send(get("?service=messages")).await.status, 404);
    let request = Request::new("GET", "/live/events?service=messages");
    let client = Client::connect(node.addr).await;
    let mut stream = EventStream::open_with(client, request).await;
    emit(&node, "messages", "created", json!(1));
    assert_eq!(stream.event().await.1, 1);

    let node = Node::start(App::builder().service("events", Memory::new())).await;
    assert_eq!(node.get("/events").await.pair(), (200, json!([])));
}

#[tokio::test]
async fn the_app_sees_the_connection_and_its_query() {
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| {
            let room = connection.query()["room"].as_str().unwrap_or_default();
            app.channel(&format!("{}/{room}", connection.provider()))
                .join(connection);
            assert_eq!(connection.query().len(), 1);
        })
        .publish(|_, channels| channels.channel("sse/hall"));
    let node = Node::start(builder).await;
    let mut stream =
        EventStream::open(node.addr, "?service=messages&room=hall&event=created").await;
    assert_eq!(node.app.channel("sse/hall").len(), 1);
    emit(&node, "messages", "created", json!(1));
    assert_eq!(stream.event().await.1, 1);
    drop(stream);
    eventually("it is out", || node.app.channel("sse/hall").is_empty()).await;
}
