//! `wingbeat::testing` as the tests of an app use it.

use std::time::Duration;

use serde_json::{Value, json};
use wingbeat::error::ErrorName;
use wingbeat::event::Origin;
use wingbeat::service::{Id, Registration};
use wingbeat::stores::Multi;
use wingbeat::sync::SyncOptions;
use wingbeat::testing::{Client, ClientOptions, Cluster, ClusterOptions, wait_for_event};
use wingbeat::{App, AppBuilder, Config, Error, Memory, Params, Service};

#[cfg(feature = "redis")]
use crate::support::redis::RedisServer;
use crate::support::{background, eventually, listen, within};

/// An app as somebody else has it.
fn chat(builder: AppBuilder) -> AppBuilder {
    let messages = Registration::new(Memory::new().multi(Multi::All)).events(["typing"]);
    builder
        .service("messages", messages)
        .service("rooms", Memory::new())
        .service("desk", Desk)
        .on_connection(|connection, app| {
            let room = connection.query().get("room").and_then(Value::as_str);
            app.channel(room.unwrap_or("everybody")).join(connection);
        })
        .publish(|_event, channels| channels.channel("everybody"))
}

/// Answers with what it was given, or not at all.
struct Desk;

impl Service for Desk {
    const METHODS: &'static [&'static str] = &["get", "find", "ring", "create"];

    async fn find(&self, params: &Params) -> Result<Value, Error> {
        let token = params.headers.get("authorization");
        let token = token.and_then(|token| token.to_str().ok());
        Ok(json!({ "query": params.query, "token": token }))
    }

    async fn get(&self, _id: Id, _params: &Params) -> Result<Value, Error> {
        std::future::pending().await
    }

    async fn create(&self, data: Value, _params: &Params) -> Result<Value, Error> {
        Err(Error::new(ErrorName::Conflict, "taken").with_data(data))
    }

    async fn custom(&self, method: &str, data: Value, params: &Params) -> Result<Value, Error> {
        Ok(json!({ "method": method, "data": data, "query": params.query }))
    }
}

async fn one() -> (Cluster, Client) {
    let cluster = Cluster::start(1, |builder, _| chat(builder)).await.unwrap();
    let client = cluster.client(0).await.unwrap();
    (cluster, client)
}

/// Options with which a test that waits in vain is soon done.
fn impatient() -> ClientOptions {
    let mut options = ClientOptions::default();
    options.deadline = SHORT;
    options
}

async fn every_client_hears_every_node(options: ClusterOptions) {
    let started = Cluster::start_with(3, options, |builder, _| chat(builder));
    let cluster = started.await.unwrap();
    let mut clients = Vec::new();
    for number in 0..3 {
        clients.push(cluster.client(number).await.unwrap());
    }
    for (number, caller) in clients.iter().enumerate() {
        let heard = wait_for_event(cluster.node((number + 1) % 3), "messages", "created");
        let message = json!({ "from": number });
        let message = caller.create("messages", message).await.unwrap();
        for client in &clients {
            assert_eq!(client.event("messages", "created").await.unwrap(), message);
        }
        let heard = heard.await.unwrap();
        assert_eq!(heard.data().value(), &message);
        assert!(
            matches!(heard.origin(), Origin::Node { name, .. } if **name == *format!("node-{number}"))
        );
    }
    for client in clients {
        client.close().await.unwrap();
    }
    cluster.close().await.unwrap();
}

#[tokio::test]
async fn three_nodes_on_one_thread() {
    every_client_hears_every_node(ClusterOptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_on_two_threads() {
    every_client_hears_every_node(ClusterOptions::default()).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn three_nodes_on_redis_and_no_others() {
    let redis = RedisServer::start();
    let mut options = ClusterOptions::default();
    options.sync_uri = Some(format!("redis://127.0.0.1:{}", redis.port()));
    let neighbours = Cluster::start_with(2, options.clone(), |builder, _| chat(builder));
    let neighbours = neighbours.await.unwrap();
    every_client_hears_every_node(options.clone()).await;
    assert_eq!(neighbours.node(0).sync().peers().len(), 1);
    assert_eq!(neighbours.node(0).sync().stats().delivery.released, 0);
    assert!(neighbours.broker().is_none());
    // With one key they are one cluster.
    let uri = options.sync_uri.take().unwrap();
    options.sync_uri = Some(format!("{uri}?key=shared"));
    let some = Cluster::start_with(1, options.clone(), |builder, _| chat(builder.name("a"))).await;
    let more = Cluster::start_with(2, options, |builder, _| chat(builder)).await;
    let (some, more) = (some.unwrap(), more.unwrap());
    eventually("both clusters are one", || {
        more.node(1).sync().peers().len() == 2
    })
    .await;
    for cluster in [neighbours, some, more] {
        cluster.close().await.unwrap();
    }
}

#[tokio::test]
async fn every_method_has_its_arguments_and_its_event() {
    let (_cluster, client) = one().await;
    let many = json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }]);
    client.create("messages", many).await.unwrap();
    let found = client.find("messages").query(json!({ "n": 2 })).await;
    assert_eq!(found.unwrap(), json!([{ "n": 2, "id": 1 }]));
    let updated = client.update("messages", 1, json!({ "m": 2 })).await;
    assert_eq!(updated.unwrap(), json!({ "m": 2, "id": 1 }));
    let patched = client.patch("/messages/", 1, json!({ "n": 4 })).await;
    assert_eq!(patched.unwrap(), json!({ "m": 2, "n": 4, "id": 1 }));
    let selected = client.get("messages", 1).query(json!({ "$select": ["n"] }));
    assert_eq!(selected.await.unwrap(), json!({ "n": 4, "id": 1 }));
    client.remove("messages", 0).await.unwrap();
    let all = client
        .method("messages", "remove")
        .query(json!({ "n": { "$gt": 2 } }));
    assert_eq!(all.await.unwrap().as_array().unwrap().len(), 2);
    let rung = client.method("desk", "ring").data(json!("loud")).await;
    assert_eq!(
        rung.unwrap(),
        json!({ "method": "ring", "data": "loud", "query": {} })
    );
    let names = [
        "created", "created", "created", "updated", "patched", "removed", "removed", "removed",
    ];
    for name in names {
        let event = client.next_event().await.unwrap();
        assert_eq!(event.name, format!("messages {name}"));
    }
    client.no_event(SHORT).await.unwrap();
}

#[tokio::test]
async fn calls_are_in_flight_together_and_each_has_its_answer() {
    let (_cluster, client) = one().await;
    let never = client.get("desk", 1).into_future();
    let calls = (0..100).map(|n| client.method("desk", "ring").data(json!(n)).into_future());
    let answers = within(async {
        tokio::select! {
            answers = futures_util::future::join_all(calls) => answers,
            answer = never => panic!("{answer:?}"),
        }
    });
    for (n, answer) in answers.await.into_iter().enumerate() {
        assert_eq!(answer.unwrap()["data"], n);
    }
}

#[tokio::test]
async fn errors_come_as_the_service_made_them() {
    let (_cluster, client) = one().await;
    let data = json!({ "name": "ada", "errors": { "name": "taken" } });
    let error = client.create("desk", data.clone()).await.unwrap_err();
    let expected = Error::new(ErrorName::Conflict, "taken").with_data(data);
    assert_eq!(error.to_json(), expected.to_json());
    let error = client.get("messages", 99).await.unwrap_err();
    assert_eq!(error.message(), "No record found for id '99'");
}

#[tokio::test]
async fn an_event_is_taken_out_of_order_and_the_others_stay_in_theirs() {
    let (cluster, client) = one().await;
    let (messages, rooms) = (
        cluster.node(0).service_at("messages"),
        cluster.node(0).service_at("rooms"),
    );
    messages
        .create(json!([{ "n": 1 }, { "n": 2 }]))
        .await
        .unwrap();
    rooms.create(json!({ "name": "blue" })).await.unwrap();
    messages.emit("typing", json!("ada")).unwrap();
    assert_eq!(client.event("messages", "typing").await.unwrap(), "ada");
    assert_eq!(
        client.event("/rooms", "created").await.unwrap()["name"],
        "blue"
    );
    for n in 1..=2 {
        assert_eq!(client.next_event().await.unwrap().data["n"], n);
    }
}

#[tokio::test]
async fn two_who_wait_for_the_same_event_get_one_each() {
    let (_cluster, client) = one().await;
    let both = async {
        tokio::join!(
            client.event("rooms", "created"),
            client.event("rooms", "created")
        )
    };
    let calls = async {
        client.create("rooms", json!({})).await.unwrap();
        client.create("rooms", json!({})).await.unwrap();
    };
    let ((one, two), ()) = tokio::join!(both, calls);
    let mut ids = [one, two].map(|event| event.unwrap()["id"].as_u64());
    ids.sort();
    assert_eq!(ids, [Some(0), Some(1)]);
}

#[tokio::test]
async fn headers_and_the_query_of_the_url_reach_the_app() {
    let (cluster, _everybody) = one().await;
    let mut options = impatient();
    options
        .headers
        .insert("authorization", "Bearer x".parse().unwrap());
    let url = format!("{}?room=blue", cluster.url(0));
    let client = Client::connect_with(&url, options).await.unwrap();
    assert_eq!(cluster.node(0).channel("blue").len(), 1);
    assert_eq!(client.find("desk").await.unwrap()["token"], "Bearer x");
    client.create("rooms", json!({})).await.unwrap();
    client.no_event(SHORT).await.unwrap();
}

#[tokio::test]
async fn binary_data_comes_back_as_it_was_sent() {
    let (_cluster, client) = one().await;
    let file = json!({ "parts": [{ "$binary": "AQID/w==" }, { "$binary": "" }], "n": 1 });
    let ring = client.method("desk", "ring").data(file.clone());
    assert_eq!(ring.await.unwrap()["data"], file);
    let mut stored = client.create("rooms", file.clone()).await.unwrap();
    assert_eq!(client.event("rooms", "created").await.unwrap(), stored);
    stored.as_object_mut().unwrap().shift_remove("id");
    assert_eq!(stored, file);
}

#[tokio::test]
async fn ten_thousand_events_wait_in_order() {
    let (cluster, client) = one().await;
    for n in 0..10_000 {
        cluster
            .node(0)
            .service_at("messages")
            .emit("typing", json!(n))
            .unwrap();
    }
    for n in 0..10_000 {
        assert_eq!(client.event("messages", "typing").await.unwrap(), n);
    }
}

#[tokio::test]
async fn closing_leaves_no_connection_and_is_no_error_when_the_server_went_first() {
    let (cluster, client) = one().await;
    let (node, other) = (cluster.node(0).clone(), cluster.client(0).await.unwrap());
    client.close().await.unwrap();
    eventually("the connection is gone", || node.n_connections() == 1).await;
    drop(other);
    eventually("the dropped one is gone", || node.n_connections() == 0).await;
    let last = cluster.client(0).await.unwrap();
    cluster.close().await.unwrap();
    last.close().await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_is_dropped_serves_no_longer() {
    let (cluster, client) = one().await;
    let url = cluster.url(0);
    let waiting = background(async move { client.event("rooms", "created").await });
    drop(cluster);
    let error = within(waiting).await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("no event 'rooms created': "), "{error}");
    assert!(Client::connect(&url).await.is_err());
}

#[tokio::test]
async fn events_of_an_outage_come_after_it() {
    let cluster = Cluster::start(2, |builder, _| chat(builder)).await.unwrap();
    let client = cluster.client(1).await.unwrap();
    let broker = cluster.broker().unwrap();
    broker.cut();
    let rooms = cluster.node(0).service_at("rooms");
    rooms.create(json!({ "name": "blue" })).await.unwrap();
    client.no_event(SHORT).await.unwrap();
    broker.heal();
    assert_eq!(
        client.event("rooms", "created").await.unwrap()["name"],
        "blue"
    );
}

#[tokio::test]
async fn an_event_that_a_client_misses_is_named_with_what_came_instead() {
    let (cluster, calm) = one().await;
    let client = Client::connect_with(&cluster.url(0), impatient())
        .await
        .unwrap();
    let error = client.event("messages", "created").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no event 'messages created' in 500ms; nothing else was heard"
    );
    calm.create("rooms", json!({ "name": "x".repeat(200) }))
        .await
        .unwrap();
    for n in 0..12 {
        let messages = cluster.node(0).service_at("messages");
        messages.emit("typing", json!(n)).unwrap();
    }
    for n in 0..12 {
        assert_eq!(calm.event("messages", "typing").await.unwrap(), n);
    }
    let error = client.event("messages", "created").await.unwrap_err();
    let cut = format!(r#"'rooms created' {{"name":"{}…"#, "x".repeat(91));
    let typing: Vec<String> = (0..9).map(|n| format!("'messages typing' {n}")).collect();
    let instead = format!("{cut}, {}, and 3 more", typing.join(", "));
    let expected = format!("no event 'messages created' in 500ms; heard instead: {instead}");
    assert_eq!(format!("{error:?}"), expected);
    let error = client.no_event(SHORT).await.unwrap_err().to_string();
    assert_eq!(error, format!("no event was to come in 500ms, but: {cut}"));
}

#[tokio::test]
async fn an_event_that_the_app_misses_is_named_with_what_came_instead() {
    let cluster = Cluster::start(2, |builder, _| chat(builder)).await.unwrap();
    let waiting = || wait_for_event(cluster.node(1), "messages", "created").within(SHORT);
    let error = waiting().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "no event 'messages created' in 500ms; nothing else was heard"
    );
    let (armed, typing) = (
        waiting(),
        wait_for_event(cluster.node(1), "messages", "typing"),
    );
    let node = cluster.node(0);
    node.service_at("rooms")
        .create(json!({ "name": "blue" }))
        .await
        .unwrap();
    node.service_at("messages")
        .emit("typing", json!("ada"))
        .unwrap();
    typing.await.unwrap();
    let error = armed.await.unwrap_err().to_string();
    let instead = r#"'rooms created' {"name":"blue","id":0}, 'messages typing' "ada""#;
    assert_eq!(
        error,
        format!("no event 'messages created' in 500ms; heard instead: {instead}")
    );
    let error = wait_for_event(node, "mesages", "created")
        .await
        .unwrap_err()
        .to_string();
    let expected = "no event 'mesages created': there is no service 'mesages', did you mean 'messages'?; nothing else was heard";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_call_without_an_answer_says_which() {
    let (cluster, _calm) = one().await;
    let client = Client::connect_with(&cluster.url(0), impatient())
        .await
        .unwrap();
    let error = client.get("desk", 1).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (408, "no answer to get of 'desk' in 500ms")
    );
    let error = client.method("desk", "sing").await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("no answer to sing of 'desk' in 500ms; a method that no service has")
    );
    let pending = background(client.get("desk", 2).into_future());
    client.close().await.unwrap();
    let error = within(pending).await.unwrap().unwrap_err();
    assert_eq!(error.code(), 503, "{error:?}");
    assert!(
        error.message().starts_with("no answer to get of 'desk': "),
        "{error}"
    );
}

#[tokio::test]
async fn a_shutdown_is_told_with_its_close_code() {
    let (cluster, client) = one().await;
    cluster.node(0).close().await;
    let why = "the server closed the connection with 1012";
    let error = client.event("rooms", "created").await.unwrap_err();
    let expected = format!("no event 'rooms created': {why}; nothing else was heard");
    assert_eq!(error.to_string(), expected);
    let error = client.find("rooms").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::Unavailable);
    assert_eq!(
        error.message(),
        format!("no answer to find of 'rooms': {why}")
    );
    let error = client.no_event(SHORT).await.unwrap_err().to_string();
    assert_eq!(error, format!("no event was to come in 500ms, but: {why}"));
}

#[tokio::test]
async fn connecting_says_why_it_fails() {
    let refused =
        |url: &'static str| async move { format!("{:?}", Client::connect(url).await.unwrap_err()) };
    let error = refused("http://127.0.0.1:1").await;
    assert!(
        error.starts_with("can not connect to http://127.0.0.1:1: Connection refused"),
        "{error}"
    );
    let error = refused("https://127.0.0.1:1").await;
    assert_eq!(
        error,
        "can not connect to https://127.0.0.1:1: the scheme is http, not https"
    );
    assert!(
        refused("nonsense")
            .await
            .starts_with("can not connect to nonsense: ")
    );
    let (cluster, _client) = one().await;
    let mut options = impatient();
    options.headers.insert("cookie", "a=b".parse().unwrap());
    options
        .headers
        .insert("origin", "http://elsewhere".parse().unwrap());
    let refused = Client::connect_with(&cluster.url(0), options).await;
    let error = format!("{:?}", refused.unwrap_err());
    assert!(error.contains(": the server answered 40"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let refused = Client::connect_with(&url, impatient()).await;
    let error = refused.unwrap_err().to_string();
    assert_eq!(error, format!("{url} did not let the client in, in 500ms"));
}

#[tokio::test]
async fn a_cluster_that_does_not_come_together_says_who_misses_whom() {
    let mut options = ClusterOptions::default();
    options.deadline = Duration::from_secs(2);
    let parted = |builder: AppBuilder, number: usize| {
        let mut sync = SyncOptions::default();
        sync.key = format!("key-{}", number / 2);
        chat(builder).sync_options(sync)
    };
    let error = Cluster::start_with(3, options, parted).await.unwrap_err();
    let expected = "the nodes do not hear each other in 2s: node 0 is ready, and does not hear node 2; \
        node 1 is ready, and does not hear node 2; node 2 is ready, and does not hear node 0, 1";
    assert_eq!(error.to_string(), expected);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_cluster_without_its_broker_says_why() {
    let mut options = ClusterOptions::default();
    options.deadline = Duration::from_secs(2);
    options.sync_uri = Some("redis://127.0.0.1:1".to_owned());
    let error = Cluster::start_with(1, options, |builder, _| chat(builder)).await;
    let error = error.unwrap_err().to_string();
    let expected = "the nodes do not hear each other in 2s: node 0 is connecting, ";
    assert!(
        error.starts_with(expected) && error.contains("127.0.0.1:1"),
        "{error}"
    );
}

#[tokio::test]
async fn an_app_that_can_not_be_built_says_why() {
    let twice = Cluster::start(1, |builder, _| chat(builder).sync_uri("memory://x")).await;
    let error = format!("{:?}", twice.unwrap_err());
    let expected = "node 0 can not be started: sync is set more than once; an app has one";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_shutdown_that_leaves_something_says_what() {
    let mut config = Config::default();
    config.shutdown_deadline = SHORT;
    let hurried = |builder: AppBuilder, _| chat(builder).config(config.clone());
    let cluster = Cluster::start(2, hurried).await.unwrap();
    let client = Client::connect_with(&cluster.url(1), impatient())
        .await
        .unwrap();
    client.get("desk", 1).await.unwrap_err();
    let error = cluster.close().await.unwrap_err().to_string();
    assert!(
        error.starts_with("node 1 left Leftover { ") && error.contains("calls: 1"),
        "{error}"
    );
}

#[tokio::test]
#[should_panic(expected = "the cluster has 1 nodes, from 0: there is no node 1")]
async fn a_node_that_is_not_there_is_named() {
    let (cluster, _client) = one().await;
    let _ = cluster.url(1);
}

#[tokio::test]
async fn a_client_reaches_an_app_that_is_served_elsewhere() {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(20);
    config.ping_timeout = Duration::from_millis(500);
    let app = chat(App::builder().config(config)).build().unwrap();
    let (addr, _serving) = listen(&app).await;
    let client = Client::connect(&format!("http://{addr}")).await.unwrap();
    // Several pings long, which it has to answer.
    client.no_event(Duration::from_secs(1)).await.unwrap();
    client.create("rooms", json!({})).await.unwrap();
    app.close().await;
}

/// Long enough that what comes would have come, on a machine that is not in a hurry.
const SHORT: Duration = Duration::from_millis(500);
