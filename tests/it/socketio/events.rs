//! Events on their way to clients (feathers.md §3).

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use wingbeat::channels::Channel;
use wingbeat::connections::Connection;
use wingbeat::stores::Multi;
use wingbeat::{App, AppBuilder, Config, Memory};

use crate::support::slow::{impatient, until_closed, until_forgotten};
use crate::support::socket::{Heard, SocketClient, request};
use crate::support::{Node, background};

fn chat() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new().multi(Multi::All))
        .service("org/:org/items", Memory::new())
        .on_connection(|connection, channels| channels.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

async fn clients(node: &Node, n: usize) -> Vec<SocketClient> {
    join_all((0..n).map(|_| SocketClient::connect(node.addr))).await
}

#[tokio::test]
async fn the_caller_hears_its_event_before_the_answer() {
    let node = Node::start(chat()).await;
    let mut client = SocketClient::connect(node.addr).await;
    for id in 0..20 {
        client
            .send(&format!(
                r#"42{id}["create","messages",{{"text":"hi"}},{{}}]"#
            ))
            .await;
        let record = format!(r#"{{"text":"hi","id":{id}}}"#);
        assert_eq!(
            client.packet().await,
            format!(r#"42["messages created",{record}]"#)
        );
        assert_eq!(client.packet().await, format!("43{id}[null,{record}]"));
    }
}

#[tokio::test]
async fn each_element_of_a_result_is_an_event_and_all_come_in_order() {
    let node = Node::start(chat()).await;
    let mut clients = clients(&node, 3).await;
    let records: Vec<Value> = (0..500).map(|n| json!({ "n": n })).collect();
    node.app
        .service_at("messages")
        .create(records.into())
        .await
        .unwrap();
    for client in &mut clients {
        for n in 0..500 {
            let (name, record) = client.event().await;
            assert_eq!(
                (name.as_str(), &record["n"]),
                ("messages created", &json!(n))
            );
        }
    }
}

#[tokio::test]
async fn events_have_the_name_of_the_registered_path() {
    let node = Node::start(chat()).await;
    let mut client = SocketClient::connect(node.addr).await;
    client
        .call("create", "org/7/items", json!([{ "a": 1 }, {}]))
        .await
        .unwrap();
    assert_eq!(
        client.event().await,
        (
            "org/:org/items created".to_owned(),
            json!({ "a": 1, "id": 0 })
        )
    );
    let service = node.app.service_at("messages");
    service.emit("created", json!([1, "two"])).unwrap();
    assert_eq!(
        client.event().await,
        ("messages created".to_owned(), json!([1, "two"]))
    );
}

#[tokio::test]
async fn only_those_in_the_channel_hear_and_leaving_ends_it() {
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, channels| {
            if connection.query().contains_key("room") {
                channels.channel("room").join(connection);
            }
        });
    let node = Node::start(builder.publish(|_, channels| channels.channel("room"))).await;
    let mut outside = SocketClient::connect(node.addr).await;
    let mut handshake = request(node.addr);
    *handshake.uri_mut() = format!(
        "ws://{}/socket.io/?EIO=4&transport=websocket&room=1",
        node.addr
    )
    .parse()
    .unwrap();
    let mut inside = SocketClient::open_with(handshake, None).await;
    inside.join().await;
    outside
        .call("create", "messages", json!([{ "text": "hi" }, {}]))
        .await
        .unwrap();
    assert_eq!(inside.event().await.1["text"], "hi");
    outside.call("find", "messages", json!([{}])).await.unwrap();
    assert_eq!(outside.n_kept(), 0);
    inside.send("41").await;
    assert_eq!(inside.end().await, Heard::Closed(None));
    crate::support::eventually("the channel is empty", || {
        node.app.channel("room").is_empty()
    })
    .await;
}

#[tokio::test]
async fn all_filters_of_a_channel_have_to_agree() {
    let chosen = |channel: Channel| {
        let has = |name: &'static str| {
            move |connection: &Connection| connection.query().contains_key(name)
        };
        channel.filter(has("a")).filter(has("b"))
    };
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, channels| channels.channel("all").join(connection))
        .publish(move |_, channels| chosen(channels.channel("all")));
    let node = Node::start(builder).await;
    let mut clients = Vec::new();
    for query in ["&a=1", "&b=1", "&a=1&b=1"] {
        let mut handshake = request(node.addr);
        let uri = format!("{}{query}", handshake.uri());
        *handshake.uri_mut() = uri.parse().unwrap();
        let mut client = SocketClient::open_with(handshake, None).await;
        client.join().await;
        clients.push(client);
    }
    assert_eq!(node.app.channel("all").len(), 3);
    assert_eq!(chosen(node.app.channel("all")).len(), 1);
    clients[2]
        .call("create", "messages", json!([{ "text": "hi" }, {}]))
        .await
        .unwrap();
    assert_eq!(clients[2].event().await.1["text"], "hi");
    for client in &mut clients[..2] {
        client.call("find", "messages", json!([{}])).await.unwrap();
        assert_eq!(client.n_kept(), 0);
    }
}

#[tokio::test]
async fn a_filter_that_panics_leaves_its_connection_out_and_all_others_hear_on() {
    let kept = |connection: &Connection| match connection.query().contains_key("bad") {
        true => panic!("on purpose"),
        false => true,
    };
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, channels| channels.channel("all").join(connection))
        .publish(move |_, channels| channels.channel("all").filter(kept));
    let node = Node::start(builder).await;
    let mut good = SocketClient::connect(node.addr).await;
    let mut handshake = request(node.addr);
    let uri = format!("{}&bad=1", handshake.uri());
    *handshake.uri_mut() = uri.parse().unwrap();
    let mut bad = SocketClient::open_with(handshake, None).await;
    bad.join().await;
    for n in 1..4 {
        let created = good
            .call("create", "messages", json!([{ "n": n }, {}]))
            .await;
        assert_eq!(created.unwrap()["n"], n);
        assert_eq!(good.event().await.1["n"], n);
    }
    let stats = node.app.stats();
    assert_eq!((stats.filter_panics, stats.task_panics), (3, 0));
    bad.call("find", "messages", json!([{}])).await.unwrap();
    assert_eq!(bad.n_kept(), 0);
}

#[tokio::test]
async fn who_is_in_several_channels_hears_once_what_the_first_of_them_sends() {
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, channels| {
            channels.channel("a").join(connection);
            channels.channel("b").join(connection);
        })
        .publish(|publication, channels| {
            let [a, b] = ["a", "b"].map(|name| channels.channel(name));
            match publication.data()["text"].as_str() {
                Some("first") => vec![a.send(json!("of a")), b.send(json!("of b"))],
                Some("second") => vec![a, b.send(json!("of b"))],
                _ => vec![a.send(json!(0)), b.send(json!("of b"))],
            }
        });
    let node = Node::start(builder).await;
    let mut client = SocketClient::connect(node.addr).await;
    for (text, heard) in [("first", "of a"), ("second", "second"), ("third", "third")] {
        let created = json!([{ "text": text }, {}]);
        client.call("create", "messages", created).await.unwrap();
        let data = client.event().await.1;
        assert_eq!(data.get("text").unwrap_or(&data), heard);
        client.call("find", "messages", json!([{}])).await.unwrap();
        assert_eq!(client.n_kept(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_hear_every_event_once() {
    let node = Node::start(chat()).await;
    let mut clients = clients(&node, 200).await;
    assert_eq!(node.app.n_connections(), 200);
    for n in 0..20 {
        let caller = &mut clients[n * 7];
        caller
            .call("create", "messages", json!([{ "n": n }, {}]))
            .await
            .unwrap();
    }
    // What comes after the last one shows that nothing came twice.
    node.app
        .service_at("messages")
        .emit("created", json!({ "n": "last" }))
        .unwrap();
    for client in &mut clients {
        for n in (0..20).map(Value::from).chain(["last".into()]) {
            assert_eq!(client.event().await.1["n"], n);
        }
        assert_eq!(client.n_kept(), 0);
    }
}

/// A node, a client that has heard everything, and one that has read nothing and was closed for it.
async fn node_with_a_slow_client() -> (Node, SocketClient, SocketClient) {
    let node = Node::start(chat().config(impatient())).await;
    let mut fast = SocketClient::connect(node.addr).await;
    let mut slow = SocketClient::open_with(request(node.addr), Some(4_096)).await;
    slow.join().await;
    until_closed(&node, async || fast.event().await).await;
    (node, fast, slow)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_is_closed_with_1013_and_the_others_hear_everything() {
    let (_node, mut fast, mut slow) = node_with_a_slow_client().await;
    assert_eq!(slow.end().await, Heard::Closed(Some(1013)));
    let found = fast.call("find", "messages", json!([{}])).await;
    assert_eq!(found, Ok(json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_kernel_keeps_for_a_slow_client_goes_with_it() {
    let (node, _fast, slow) = node_with_a_slow_client().await;
    until_forgotten(&node, slow.port()).await;
}

/// Events are written by whoever sends them, answers and pings by the client's own task. If one of them wrote while the other
/// is in the middle of a frame, the client could not read on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_stay_whole_and_in_order_for_a_client_that_reads_little_and_calls_much() {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(3);
    config.outbox.bytes = 256 << 20;
    config.outbox.frames = N_EVENTS;
    let node = Node::start(chat().config(config)).await;
    let mut client = SocketClient::open_with(request(node.addr), Some(4_096)).await;
    client.join().await;
    let emitting = background(emit_by_and_by(node.app.clone()));
    let mut asked = Vec::new();
    let (mut n_events, mut answered) = (0, Vec::new());
    while n_events < N_EVENTS || answered.len() < asked.len() {
        if asked.len() <= n_events / 10 {
            asked.push(client.begin("find", "messages", json!([{}])).await);
        }
        let packet = client.packet().await;
        match packet.strip_prefix("43") {
            Some(answer) => answered.push(answer.strip_suffix("[null,[]]").unwrap().to_owned()),
            None => {
                assert_eq!(
                    packet,
                    format!(r#"42["messages created",{}]"#, sized(n_events))
                );
                n_events += 1;
            }
        }
    }
    emitting.await.unwrap();
    answered.sort_unstable();
    let mut asked: Vec<String> = asked.iter().map(u64::to_string).collect();
    asked.sort_unstable();
    assert_eq!(answered, asked);
}

const N_EVENTS: usize = 1_000;

/// Lets the client's buffers fill and empty again.
async fn emit_by_and_by(app: App) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for n in 0..N_EVENTS {
        app.service_at("messages")
            .emit("created", sized(n))
            .unwrap();
        if n % 7 < 3 {
            ticks.tick().await;
        }
    }
}

fn sized(n: usize) -> Value {
    json!({ "n": n, "text": "x".repeat(n * 7_919 % 30_011) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_comes_before_the_answer_to_connecting() {
    let node = Node::start(chat()).await;
    let service = node.app.service_at("messages");
    let storm = background(async move {
        loop {
            service.create(json!({ "n": 1 })).await.unwrap();
        }
    });
    for _ in 0..50 {
        // It insists on the answer being the first packet.
        let mut client = SocketClient::connect(node.addr).await;
        assert_eq!(client.event().await.0, "messages created");
    }
    storm.abort();
}
