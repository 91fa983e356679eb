//! Calls and their answers.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use wingbeat::error::ErrorName;
use wingbeat::hooks::RegisterHooks;
use wingbeat::{App, Config, Error, Memory, Method};

use crate::support::http::Request;
use crate::support::plain::{PlainClient, request, with_header};
use crate::support::services::Echo;
use crate::support::socket::{Heard, attach};
use crate::support::{Node, within};

async fn node() -> Node {
    let builder = App::builder()
        .service("messages", Memory::new())
        .service("echo", Echo)
        .service("org/:org/items", Echo);
    Node::start(builder).await
}

#[tokio::test]
async fn calls_of_all_methods_are_answered() {
    let node = node().await;
    let mut client = PlainClient::connect(node.addr).await;
    let table = [
        ("find", json!([{ "q": 1 }]), Value::Null),
        ("get", json!(["a", { "q": 1 }]), json!({ "id": "a" })),
        (
            "create",
            json!([{ "x": 1 }, { "q": 1 }]),
            json!({ "data": { "x": 1 } }),
        ),
        (
            "update",
            json!([1, { "x": 1 }, { "q": 1 }]),
            json!({ "id": 1 }),
        ),
        (
            "patch",
            json!([null, { "x": 1 }, { "q": 1 }]),
            json!({ "id": null }),
        ),
        ("remove", json!([1, { "q": 1 }]), json!({ "id": 1 })),
        (
            "custom",
            json!([{ "x": 1 }, { "q": 1 }]),
            json!({ "data": { "x": 1 } }),
        ),
    ];
    for (method, arguments, seen) in table {
        let result = client.call(method, "echo", arguments).await.unwrap();
        assert_eq!(result["method"], method);
        assert_eq!(result["query"], json!({ "q": 1 }));
        assert_eq!(result["provider"], "websocket");
        for (name, value) in seen.as_object().into_iter().flatten() {
            assert_eq!(&result[name], value, "{method}");
        }
    }
    let routed = client.call("get", "org/7/items", json!([1])).await.unwrap();
    assert_eq!(routed["route"], json!({ "org": "7" }));
}

#[tokio::test]
async fn answers_are_written_as_documented() {
    let node = node().await;
    let mut client = PlainClient::connect(node.addr).await;
    let text = |text: &str| Message::text(text.to_owned());
    client
        .send_message(text(
            r#" [9007199254740991, "create", "messages", {"text":"é"}] "#,
        ))
        .await;
    let answer = text(r#"[9007199254740991,null,{"text":"é","id":0}]"#);
    assert_eq!(client.raw().await, answer);
    client.send_message(text(r#"[0,"get","messages",9]"#)).await;
    let error = r#"{"name":"NotFound","message":"No record found for id '9'","code":404,"className":"not-found"}"#;
    assert_eq!(client.raw().await, text(&format!("[0,{error}]")));
}

#[tokio::test]
async fn a_call_without_id_runs_and_is_not_answered() {
    let node = node().await;
    let mut client = PlainClient::connect(node.addr).await;
    client
        .send(&json!([null, "create", "messages", { "n": 1 }]))
        .await;
    client.send(&json!([null, "nope", "messages"])).await;
    // Calls begin in their order.
    let found = client.call("find", "messages", json!([{}])).await;
    assert_eq!(found, Ok(json!([{ "n": 1, "id": 0 }])));
}

#[tokio::test]
async fn calls_that_can_not_be_made_are_answered_with_the_error() {
    let node = node().await;
    let mut client = PlainClient::connect(node.addr).await;
    let table = [
        (json!([1, "find", "nobody"]), 404),
        (json!([1, "find"]), 404),
        (json!([1, "find", 7]), 404),
        (json!([1, "nope", "messages"]), 405),
        (json!([1, "custom", "messages", {}]), 405),
        (json!([1, "get", "messages"]), 400),
        (json!([1, "get", "messages", 1, {}, {}]), 400),
    ];
    for (message, code) in table {
        client.send(&message).await;
        let error = client.answer(&json!(1)).await.unwrap_err();
        assert_eq!(error["code"], code, "{message}");
    }
    assert_eq!(node.app.n_connections(), 1);
}

#[tokio::test]
async fn errors_of_hooks_have_their_data_and_those_of_others_do_not_show() {
    let builder = App::builder()
        .service("messages", Memory::new())
        .before(Method::Create, |_| {
            Box::pin(async {
                let error = Error::new(ErrorName::Unprocessable, "no");
                Err(error.with_data(json!({ "errors": { "text": "is bad" } })))
            })
        })
        .before(Method::Find, |_| {
            Box::pin(async { Err(Error::foreign("the password is 123")) })
        });
    let node = Node::start(builder).await;
    let mut client = PlainClient::connect(node.addr).await;
    let error = client.call("create", "messages", json!([{}])).await;
    assert_eq!(error.unwrap_err()["errors"], json!({ "text": "is bad" }));
    let error = client
        .call("find", "messages", json!([]))
        .await
        .unwrap_err();
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("Internal error, log id "), "{message}");
}

#[tokio::test]
async fn what_is_no_call_ends_the_websocket() {
    let node = node().await;
    let texts = [
        "",
        "{}",
        "1",
        "null",
        "[]",
        "[1]",
        "[1,2]",
        "[\"1\",\"find\",\"messages\"]",
        "[-1,\"find\",\"messages\"]",
        "[1.5,\"find\",\"messages\"]",
        "[9007199254740992,\"find\",\"messages\"]",
        "[1,\"find\",\"messages\"",
        "[1,\"find\",\"messages\"]]",
    ];
    for text in texts {
        let mut client = PlainClient::connect(node.addr).await;
        client.send_message(Message::text(text)).await;
        assert_eq!(client.end().await, Heard::Closed(Some(1007)), "{text}");
    }
    let mut client = PlainClient::connect(node.addr).await;
    client.send_message(Message::binary(b"[]".to_vec())).await;
    assert_eq!(client.end().await, Heard::Closed(Some(1003)));
    assert_eq!(node.app.stats().closed_protocol, texts.len() as u64 + 1);
}

#[tokio::test]
async fn what_is_no_handshake_is_refused() {
    let node = node().await;
    let plain = node.get("/ws").await;
    assert_eq!(plain.pair().1["name"], "BadRequest");
    assert_eq!(plain.header("upgrade").as_deref(), Some("websocket"));
    assert_eq!(plain.header("sec-websocket-version").as_deref(), Some("13"));
    let post = Request::new("POST", "/ws").header("upgrade", "websocket");
    assert_eq!(node.send(post).await.status, 400);
    let unknown = with_header(request(node.addr, ""), "sec-websocket-protocol", "chat");
    let answer = attach(unknown, None).await.unwrap_err();
    assert_eq!(answer.status(), 400);
    let foreign = with_header(request(node.addr, ""), "origin", "https://evil.example");
    let foreign = with_header(foreign, "cookie", "a=b");
    assert_eq!(attach(foreign, None).await.unwrap_err().status(), 403);
    let stats = node.app.stats();
    assert_eq!((stats.refused_handshakes, stats.refused_origins), (3, 1));
}

#[tokio::test]
async fn a_subprotocol_that_is_known_is_confirmed() {
    let node = node().await;
    let offer = "chat, wingbeat.json";
    let request = with_header(request(node.addr, ""), "sec-websocket-protocol", offer);
    // The library refuses an answer that confirms another one, or none.
    let mut client = PlainClient::open(request, None).await;
    assert_eq!(
        client.call("find", "messages", json!([])).await,
        Ok(json!([]))
    );
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn message_pack_says_the_same() {
    let node = node().await;
    let mut client = PlainClient::connect_packed(node.addr).await;
    let data = json!({ "text": "é", "n": [1, -1, 1.5, null, true] });
    let created = client.call("create", "messages", json!([data])).await;
    assert_eq!(created.unwrap()["n"], data["n"]);
    let error = client.call("get", "messages", json!([9])).await;
    assert_eq!(error.unwrap_err()["className"], "not-found");
    // `[1,"create","messages",{"f":<bytes 1 2 3>}]`.
    let bytes = b"\x94\x01\xa6create\xa8messages\x81\xa1f\xc4\x03\x01\x02\x03";
    client.send_message(Message::binary(bytes.to_vec())).await;
    let answer = b"\x93\x01\xc0\x82\xa1f\xc4\x03\x01\x02\x03\xa2id\x01";
    assert_eq!(client.raw().await, Message::binary(answer.to_vec()));
    let stored = node.app.service_at("messages").get(1).await.unwrap();
    assert_eq!(stored["f"], json!({ "$binary": "AQID" }));

    client.send_message(Message::binary(b"\xc1".to_vec())).await;
    assert_eq!(client.end().await, Heard::Closed(Some(1007)));
    let mut client = PlainClient::connect_packed(node.addr).await;
    client.send_message(Message::text("[1]")).await;
    assert_eq!(client.end().await, Heard::Closed(Some(1003)));
}

#[tokio::test]
async fn the_path_is_a_setting_and_a_service_goes_before() {
    let mut config = Config::default();
    config.websocket_path = "/live/socket".to_owned();
    let node = Node::start(
        App::builder()
            .service("messages", Memory::new())
            .config(config),
    )
    .await;
    assert_eq!(node.get("/ws").await.status, 404);
    let mut moved = request(node.addr, "");
    *moved.uri_mut() = format!("ws://{}/live/socket", node.addr).parse().unwrap();
    let mut client = PlainClient::open(moved, None).await;
    assert_eq!(
        client.call("find", "messages", json!([])).await,
        Ok(json!([]))
    );

    let node = Node::start(App::builder().service("ws", Memory::new())).await;
    assert_eq!(node.get("/ws").await.pair(), (200, json!([])));
    let mut config = Config::default();
    config.websocket_path.clear();
    let node = Node::start(App::builder().config(config)).await;
    assert_eq!(node.get("/ws").await.status, 404);
    let mut config = Config::default();
    config.websocket_path = "ws".to_owned();
    let problem = App::builder().config(config).build().unwrap_err();
    assert_eq!(problem.to_string(), "'ws' is no path: it begins with '/'");
}

/// More answers than an outbox holds are no sign of a slow client as long as the socket takes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_may_ask_for_much_at_once() {
    let node = node().await;
    let messages = node.app.service_at("messages");
    let text = "x".repeat(6 << 10);
    messages.create(json!({ "text": text })).await.unwrap();
    let mut stream = PlainClient::connect(node.addr).await.into_stream();
    // `[1,"get","messages",0]`, masked with zeros.
    let call = b"\x81\x96\x00\x00\x00\x00[1,\"get\",\"messages\",0]";
    within(stream.write_all(&call.repeat(200))).await.unwrap();
    let mut client = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    for _ in 0..200 {
        let answer = within(client.next()).await.unwrap().unwrap();
        assert!(answer.len() > text.len());
    }
    assert_eq!(node.app.stats().closed_slow, 0);
}
