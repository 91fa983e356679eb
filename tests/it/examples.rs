//! The examples, called as their readers would.

#[cfg(unix)]
mod todos;

#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../examples/axum_layer.rs"]
mod axum_layer;
#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../examples/channels.rs"]
mod channels;
#[cfg(feature = "testing")]
#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../examples/cluster.rs"]
mod cluster;
#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../examples/event_layer.rs"]
mod event_layer;
#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../examples/hello.rs"]
mod hello;
#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../examples/hooks.rs"]
mod hooks;
#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../examples/sse.rs"]
mod sse;

use serde_json::{Value, json};

use crate::support::events::EventStream;
#[cfg(unix)]
use crate::support::host::Host;
use crate::support::http::Request;
use crate::support::socket::{SocketClient, request};
use crate::support::{Node, eventually};

#[tokio::test]
async fn hello_answers_and_tells_everybody() {
    let node = Node::serve(hello::app().unwrap()).await;
    let mut client = SocketClient::connect(node.addr).await;
    let created = node.post("/messages", &json!({ "text": "hi" })).await;
    let message = json!({ "text": "hi", "id": 0 });
    assert_eq!(created.pair(), (201, message.clone()));
    let event = ("messages created".to_owned(), message.clone());
    assert_eq!(client.event().await, event);
    let known = node.app.service::<hello::Messages>().find().await.unwrap();
    assert_eq!((known[0].id, known[0].text.as_str()), (0, "hi"));
    let (status, error) = node.post("/messages", &json!({ "text": 1 })).await.pair();
    assert_eq!(
        (status, &error["data"][0]["instancePath"]),
        (400, &json!("/text"))
    );
}

#[tokio::test]
async fn hooks_check_and_hide() {
    let node = Node::serve(hooks::app().unwrap()).await;
    let ada = json!({ "email": "ada@example.com", "password": "long enough" });
    let seen = json!({ "email": "ada@example.com", "id": 0 });
    let created = node.post("/users", &ada).await;
    assert!(
        created
            .header("server-timing")
            .unwrap()
            .starts_with("call;dur=")
    );
    assert_eq!(created.pair(), (201, seen.clone()));
    assert_eq!(node.get("/users").await.pair(), (200, json!([seen])));
    let inside = node.app.service::<hooks::Users>().get(0).await.unwrap();
    assert_eq!(inside.password, "long enough");

    let (status, error) = node
        .post("/users", &json!({ "email": "ada", "password": "short" }))
        .await
        .pair();
    let errors = json!({ "email": "has no @", "password": "is shorter than 8 bytes" });
    assert_eq!((status, &error["errors"]), (400, &errors));
    let (status, error) = node.post("/users", &json!({ "email": "ada" })).await.pair();
    let message = "validation failed: missing field `password`";
    assert_eq!((status, &error["message"]), (400, &json!(message)));
}

#[tokio::test]
async fn hooks_replace_results_and_errors() {
    let node = Node::serve(hooks::app().unwrap()).await;
    assert_eq!(
        node.get("/users/nobody").await.pair(),
        (200, json!({ "id": "nobody" }))
    );
    let unknown = json!({ "id": "17", "is": "unknown" });
    assert_eq!(node.get("/users/17").await.pair(), (404, unknown));
    let (status, error) = node.get("/users/motto").await.pair();
    let message = error["message"].as_str().unwrap();
    assert!(
        status == 500 && message.starts_with("Internal error, log id "),
        "{message}"
    );
    let removal = node.send(Request::new("DELETE", "/users/17")).await;
    assert_eq!(removal.status, 403);
}

/// Connects with a query.
async fn visitor(node: &Node, query: &str) -> SocketClient {
    let mut handshake = request(node.addr);
    let uri = format!("{}&{query}", handshake.uri());
    *handshake.uri_mut() = uri.parse().unwrap();
    let mut visitor = SocketClient::open_with(handshake, None).await;
    visitor.join().await;
    visitor
}

async fn change(client: &mut SocketClient, method: &str, room: &str) -> Result<Value, Value> {
    client
        .call(method, "rooms", json!([{ "room": room }, {}]))
        .await
}

#[tokio::test]
async fn channels_lead_to_those_in_the_room() {
    let node = Node::serve(channels::app().unwrap()).await;
    let mut ada = visitor(&node, "name=Ada&room=kitchen").await;
    let mut bob = visitor(&node, "name=Bob&room=hall").await;
    let mut eve = visitor(&node, "name=Eve&moderator=1").await;
    assert_eq!(change(&mut bob, "join", "kitchen").await, Ok(json!(2)));

    let say = |room, text| json!([{ "room": room, "text": text, "author": "Eve" }, {}]);
    ada.call("create", "messages", say("kitchen", "hi"))
        .await
        .unwrap();
    let heard = json!({ "room": "kitchen", "text": "hi", "id": 0 });
    assert_eq!(bob.event().await.1, heard);
    assert_eq!(eve.event().await.1["author"], "Ada");

    assert_eq!(change(&mut bob, "leave", "kitchen").await, Ok(json!(1)));
    ada.call("create", "messages", say("kitchen", "who is here?"))
        .await
        .unwrap();
    ada.call("create", "messages", say("hall", "Bob?"))
        .await
        .unwrap();
    assert_eq!(bob.event().await.1["text"], "Bob?");
    assert_eq!(ada.n_kept(), 0);
}

#[tokio::test]
async fn channels_are_left_by_those_who_go() {
    let node = Node::serve(channels::app().unwrap()).await;
    let mut ada = visitor(&node, "name=Ada").await;
    assert_eq!(change(&mut ada, "join", "hall").await, Ok(json!(1)));
    let error = change(&mut ada, "join", "").await;
    assert_eq!(error, Ok(json!(1)));
    let misspelt = ada
        .call("join", "rooms", json!([{ "name": "hall" }, {}]))
        .await;
    let message = "validation failed: missing field `room`";
    assert_eq!(misspelt.unwrap_err()["message"], message);
    drop(ada);
    eventually("the room is empty", || {
        node.app.channel("room/hall").is_empty()
    })
    .await;
    let answer = Request::new("POST", "/rooms").header("x-service-method", "join");
    let answer = node.send(answer.json(&json!({ "room": "hall" }))).await;
    assert_eq!(answer.pair().1["message"], "only sockets can be in a room");
}

#[tokio::test]
async fn sse_tells_on_one_node_what_happens_on_the_other() {
    let [first, second] = sse::nodes("memory://example-sse").unwrap();
    let nodes = [Node::serve(first).await, Node::serve(second).await];
    let know_each_other = || {
        let mut peers = nodes.iter().map(|node| node.app.sync().peers().len());
        peers.all(|n| n == 1)
    };
    eventually("the nodes know each other", know_each_other).await;
    let query = "?service=messages&event=created";
    let mut stream = EventStream::open(nodes[1].addr, query).await;
    for id in 0..3 {
        let text = json!({ "text": "hi" });
        assert_eq!(nodes[0].post("/messages", &text).await.status, 201);
        let message = json!({ "text": "hi", "id": id });
        let event = ("messages created".to_owned(), message);
        assert_eq!(stream.event().await, event);
    }
    let known = nodes[1].get("/messages").await.json();
    assert_eq!(known.as_array().map(Vec::len), Some(3));
}

#[cfg(unix)]
#[tokio::test]
async fn axum_layer_knows_the_servers_user() {
    let app = axum_layer::app().unwrap();
    let host = Host::axum(&app, axum_layer::router(&app)).await;
    let page = host.send(Request::new("GET", "/")).await;
    assert_eq!(page.text(), "a page of the server's own\n");
    let as_user = |name: &str| {
        let mut handshake = request(host.addr);
        handshake
            .headers_mut()
            .insert("x-user", name.parse().unwrap());
        SocketClient::open_with(handshake, None)
    };
    let mut ada = as_user("ada").await;
    ada.join().await;
    let mut bob = as_user("bob").await;
    bob.join().await;
    let message = json!({ "to": "bob", "text": "hi", "from": "eve" });
    let message = Request::new("POST", "/messages").json(&message);
    let sent = host.send(message.header("x-user", "ada")).await;
    assert_eq!((sent.status, &sent.json()["from"]), (201, &json!("ada")));
    assert_eq!(bob.event().await.1["from"], "ada");
    let reply = json!([{ "to": "ada", "text": "hi" }, {}]);
    bob.call("create", "messages", reply).await.unwrap();
    assert_eq!(ada.event().await.1["from"], "bob");
    host.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn event_layer_makes_events_of_answers() {
    let app = event_layer::app().unwrap();
    let host = Host::axum(&app, event_layer::router(&app)).await;
    let mut client = SocketClient::connect(host.addr).await;
    let tea = Request::new("POST", "/orders").json(&json!({ "item": "tea" }));
    assert_eq!(host.send(tea).await.status, 201);
    let quiet = Request::new("PUT", "/orders/1").json(&json!({ "item": "tea" }));
    assert_eq!(host.send(quiet).await.status, 200);
    host.send(Request::new("POST", "/orders/1/close")).await;
    let payment = Request::new("POST", "/payments").json(&json!({ "order": 1 }));
    assert_eq!(host.send(payment).await.status, 202);
    host.send(Request::new("DELETE", "/orders/1")).await;
    let expected = [
        ("orders created", json!({ "item": "tea", "id": 1 })),
        ("orders closed", json!({ "id": 1 })),
        ("orders paid", json!({ "id": 1 })),
        ("orders removed", json!({ "id": 1 })),
    ];
    for (name, data) in expected {
        assert_eq!(client.event().await, (name.to_owned(), data));
    }
    host.stop().await;
}

#[cfg(feature = "testing")]
async fn nobody_misses_a_message(sync_uri: Option<String>, expected: &[&str]) {
    for person in cluster::run(sync_uri).await.unwrap() {
        let known: Vec<_> = person.known.into_values().collect();
        assert_eq!(known, expected, "what {} knows", person.name);
    }
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn cluster_tells_everybody_everything() {
    let expected = [
        "Ada: hello",
        "Bob: hello",
        "Eve: hello",
        "Ada: is it quiet here?",
        "Bob: where is Eve?",
        "Ada: goodbye",
        "Bob: goodbye",
        "Eve: goodbye",
    ];
    nobody_misses_a_message(None, &expected).await;
}

#[cfg(all(feature = "testing", feature = "redis"))]
#[tokio::test]
async fn cluster_runs_on_a_real_broker() {
    let redis = crate::support::redis::RedisServer::start();
    let expected = [
        "Ada: hello",
        "Bob: hello",
        "Eve: hello",
        "Bob: where is Eve?",
        "Ada: goodbye",
        "Bob: goodbye",
        "Eve: goodbye",
    ];
    nobody_misses_a_message(Some(redis.uri()), &expected).await;
}
