//! Events on their way to clients of all kinds.

use serde_json::{Value, json};
use wingbeat::channels::Channel;
use wingbeat::connections::Connection;
use wingbeat::service::Registration;
use wingbeat::{App, AppBuilder, Memory};

use crate::support::events::EventStream;
use crate::support::plain::{PlainClient, request};
use crate::support::socket::SocketClient;
use crate::support::{Node, cluster, eventually};

fn chat() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

#[tokio::test]
async fn the_caller_hears_its_event_before_the_answer() {
    let node = Node::start(chat()).await;
    let mut client = PlainClient::connect(node.addr).await;
    for id in 0..20 {
        client
            .send(&json!([id, "create", "messages", { "text": "hi" }]))
            .await;
        let record = json!({ "text": "hi", "id": id });
        let event = json!(["messages created", record]);
        assert_eq!(client.message().await, event);
        assert_eq!(client.message().await, json!([id, null, record]));
    }
}

/// Every kind of client hears the same event, each in its own form.
async fn all_kinds_hear(calls: &Node, hears: &Node) {
    let mut socket = SocketClient::connect(hears.addr).await;
    let mut plain = PlainClient::connect(hears.addr).await;
    let mut stream = EventStream::open(hears.addr, "?service=messages").await;
    #[cfg(feature = "msgpack")]
    let mut packed = PlainClient::connect_packed(hears.addr).await;
    for n in 0..20 {
        let data = json!({ "n": n, "text": "é\n\u{2028}😀" });
        let created = calls.post("/messages", &data).await.json();
        let event = ("messages created".to_owned(), created);
        assert_eq!(socket.event().await, event);
        assert_eq!(plain.event().await, event);
        assert_eq!(stream.event().await, event);
        #[cfg(feature = "msgpack")]
        assert_eq!(packed.event().await, event);
    }
}

#[tokio::test]
async fn all_kinds_of_clients_hear_an_event() {
    let node = Node::start(chat()).await;
    all_kinds_hear(&node, &node).await;
}

#[tokio::test]
async fn events_of_another_node_are_heard() {
    let nodes = cluster(2, |_| chat()).await;
    all_kinds_hear(&nodes[0], &nodes[1]).await;
    all_kinds_hear(&nodes[1], &nodes[0]).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn events_of_another_node_are_heard_over_redis() {
    use crate::support::redis::RedisServer;
    let redis = RedisServer::start();
    let start = |name: &str| Node::start(chat().name(name.to_owned()).sync_uri(redis.uri()));
    let nodes = [start("one").await, start("two").await];
    for node in &nodes {
        node.app.sync().ready().await.unwrap();
    }
    let know_each_other = || nodes.iter().all(|node| node.app.sync().peers().len() == 1);
    eventually("the nodes know each other", know_each_other).await;
    all_kinds_hear(&nodes[0], &nodes[1]).await;
}

#[tokio::test]
async fn filters_and_data_of_channels_are_kept() {
    let chosen = |channel: Channel| {
        channel.filter(|connection: &Connection| connection.query().contains_key("chosen"))
    };
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(move |publication, channels| {
            let secret = publication.data()["secret"].clone();
            chosen(channels.channel("all")).send(secret)
        });
    let node = Node::start(builder).await;
    let mut inside = PlainClient::open(request(node.addr, "?chosen=1"), None).await;
    let mut outside = PlainClient::connect(node.addr).await;
    let data = json!({ "secret": "of the chosen" });
    outside
        .call("create", "messages", json!([data]))
        .await
        .unwrap();
    let event = ("messages created".to_owned(), json!("of the chosen"));
    assert_eq!(inside.event().await, event);
    outside.call("find", "messages", json!([])).await.unwrap();
    assert_eq!(outside.n_kept(), 0);
}

#[tokio::test]
async fn services_that_publish_nothing_are_not_heard() {
    let silent = Registration::new(Memory::new()).publish(|_, _| ());
    let hidden = Registration::new(Memory::new()).published_events(["removed"]);
    let builder = chat().service("silent", silent).service("hidden", hidden);
    let node = Node::start(builder).await;
    let mut client = PlainClient::connect(node.addr).await;
    for path in ["silent", "hidden"] {
        client.call("create", path, json!([{}])).await.unwrap();
    }
    client.call("remove", "hidden", json!([0])).await.unwrap();
    assert_eq!(client.event().await.0, "hidden removed");
    assert_eq!(client.n_kept(), 0);
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn binary_data_is_bytes_in_message_pack_and_an_object_in_json() {
    use tokio_tungstenite::tungstenite::Message;
    let node = Node::start(chat()).await;
    let mut plain = PlainClient::connect(node.addr).await;
    let mut packed = PlainClient::connect_packed(node.addr).await;
    let file = json!({ "$binary": "AQID" });
    node.app
        .service_at("messages")
        .emit("created", json!([file]))
        .unwrap();
    assert_eq!(plain.event().await.1, json!([file]));
    let event = b"\x92\xb0messages created\x91\xc4\x03\x01\x02\x03";
    assert_eq!(packed.raw().await, Message::binary(event.to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_hear_every_event_once_and_in_order() {
    let node = Node::start(chat()).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(PlainClient::connect(node.addr).await);
    }
    eventually("all are connected", || node.app.n_connections() == 100).await;
    for (n, client) in clients.iter_mut().take(20).enumerate() {
        let data = json!([{ "n": n }]);
        client.call("create", "messages", data).await.unwrap();
    }
    let messages = node.app.service_at("messages");
    messages.emit("created", json!({ "n": "last" })).unwrap();
    for client in &mut clients {
        for n in (0..20).map(Value::from).chain(["last".into()]) {
            assert_eq!(client.event().await.1["n"], n);
        }
        assert_eq!(client.n_kept(), 0);
    }
}
