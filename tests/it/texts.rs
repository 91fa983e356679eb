//! Services that answer in text: when they are asked for it, and that everybody gets the same.

use serde_json::{Value, json};
use wingbeat::error::Result;
use wingbeat::event::Json;
use wingbeat::hooks::{All, RegisterHooks};
use wingbeat::service::{Registration, TextCall};
use wingbeat::{App, AppBuilder, Method, Params, Service};

use crate::support::http::Request;
use crate::support::plain::PlainClient;
use crate::support::socket::SocketClient;
use crate::support::{Node, cluster};

/// Says what it was asked for, and for `create` gives back the data.
struct Both;

impl Service for Both {
    const METHODS: &'static [&'static str] = &["find", "create"];
    const TEXT_METHODS: &'static [&'static str] = &["find", "create"];

    async fn find(&self, _: &Params) -> Result<Value> {
        Ok(json!("value"))
    }

    async fn create(&self, _: Value, _: &Params) -> Result<Value> {
        Ok(json!({ "by": "value", "secret": 1 }))
    }

    async fn answer_text(&self, call: TextCall, _: &Params) -> Result<Json> {
        match call.method {
            Method::Find => Ok(json!("text").into()),
            _ => Ok(call.data),
        }
    }
}

fn app(service: impl Into<Registration>) -> AppBuilder {
    App::builder()
        .service("both", service)
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

async fn found(builder: AppBuilder) -> Value {
    Node::start(builder).await.get("/both").await.json()
}

#[tokio::test]
async fn text_is_asked_for_where_no_hook_looks_at_the_result() {
    let plain = || Registration::new(Both);
    assert_eq!(found(app(plain())).await, "text");
    let before = plain().before(All, |_| Box::pin(async { Ok(()) }));
    assert_eq!(found(app(before)).await, "text");
    let of_another = plain().after(Method::Create, |_| Box::pin(async { Ok(()) }));
    assert_eq!(found(app(of_another)).await, "text");

    let after = plain().after(Method::Find, |_| Box::pin(async { Ok(()) }));
    assert_eq!(found(app(after)).await, "value");
    let around = plain().around(All, |context, next| next.run(context));
    assert_eq!(found(app(around)).await, "value");
    let of_app = app(plain()).after(All, |_| Box::pin(async { Ok(()) }));
    assert_eq!(found(of_app).await, "value");
    let set = plain().before(Method::Find, |context| {
        context.result = Some(json!("set"));
        Box::pin(async { Ok(()) })
    });
    assert_eq!(found(app(set)).await, "set");
}

#[tokio::test]
async fn all_clients_get_the_text_and_the_process_gets_the_value() {
    let node = Node::start(app(Registration::new(Both))).await;
    let mut socket = SocketClient::connect(node.addr).await;
    assert_eq!(
        socket.call("find", "both", json!([{}])).await,
        Ok("text".into())
    );
    let mut plain = PlainClient::connect(node.addr).await;
    assert_eq!(
        plain.call("find", "both", json!([{}])).await,
        Ok("text".into())
    );
    #[cfg(feature = "msgpack")]
    {
        let mut packed = PlainClient::connect_packed(node.addr).await;
        assert_eq!(
            packed.call("find", "both", json!([{}])).await,
            Ok("text".into())
        );
    }
    assert_eq!(node.app.service_at("both").find().await.unwrap(), "value");
}

#[tokio::test]
async fn events_have_the_text_on_every_node() {
    let nodes = cluster(2, |_| app(Registration::new(Both))).await;
    let mut here = SocketClient::connect(nodes[0].addr).await;
    let mut there = SocketClient::connect(nodes[1].addr).await;
    for data in [
        json!({ "a": "é" }),
        json!([{ "b": [1, 2] }, 7, []]),
        json!([]),
    ] {
        let answer = nodes[0].post("/both", &data).await;
        assert_eq!(answer.pair(), (201, data.clone()));
        let elements = data.as_array().cloned().unwrap_or_else(|| vec![data]);
        for element in elements {
            let event = ("both created".to_owned(), element);
            assert_eq!(here.event().await, event);
            assert_eq!(there.event().await, event);
        }
    }
    // Nothing came for the empty list.
    nodes[0].post("/both", &json!({ "last": true })).await;
    for client in [&mut here, &mut there] {
        assert_eq!(client.event().await.1, json!({ "last": true }));
    }
}

/// Gives back the data as it was given.
struct Mirror;

impl Service for Mirror {
    const METHODS: &'static [&'static str] = &["create", "patch", "mirror"];
    const TEXT_METHODS: &'static [&'static str] = &["create", "patch", "mirror"];

    async fn answer_text(&self, call: TextCall, params: &Params) -> Result<Json> {
        let data = String::from_utf8_lossy(call.data.as_bytes()).into_owned();
        Json::of(&json!({ "id": call.id, "data": data, "query": params.query }))
    }
}

#[tokio::test]
async fn data_comes_to_the_service_as_it_would_be_written() {
    let node = Node::start(App::builder().service("mirror", Mirror)).await;
    let post = |text: &str| Request::new("POST", "/mirror").typed("application/json", text);
    let seen = |data: &str| json!({ "id": null, "data": data, "query": {} });
    for (sent, written) in [
        (r#"{"a":[1,"é"],"b":{}}"#, r#"{"a":[1,"é"],"b":{}}"#),
        (r#" { "a" : 1.0, "a": 1e2 } "#, r#"{"a":100.0}"#),
        (r#"[{"a":"\u00e9"}]"#, r#"[{"a":"é"}]"#),
        ("", "{}"),
    ] {
        let answer = node.send(post(sent)).await;
        assert_eq!(answer.json(), seen(written), "{sent}");
    }
    assert_eq!(node.send(post("{,")).await.pair().0, 400);

    let mut socket = SocketClient::connect(node.addr).await;
    let mut plain = PlainClient::connect(node.addr).await;
    for (arguments, expected) in [
        (json!([{ "a": 1 }]), seen(r#"{"a":1}"#)),
        (json!(["x\n"]), seen(r#""x\n""#)),
        (json!([]), seen("null")),
        (
            json!([[1], { "q": 2 }]),
            json!({ "id": null, "data": "[1]", "query": { "q": 2 } }),
        ),
    ] {
        for method in ["create", "mirror"] {
            let answer = socket.call(method, "mirror", arguments.clone()).await;
            assert_eq!(answer, Ok(expected.clone()));
            let answer = plain.call(method, "mirror", arguments.clone()).await;
            assert_eq!(answer, Ok(expected.clone()));
        }
    }
    let patched = socket.call("patch", "mirror", json!([7, { "a": 1 }])).await;
    assert_eq!(patched.unwrap()["id"], 7);
}

#[tokio::test]
async fn a_hook_sees_the_data_and_may_change_it() {
    let service = Registration::new(Mirror).before(Method::Create, |context| {
        if let Some(data) = &mut context.data {
            data["by"] = json!("hook");
        }
        Box::pin(async { Ok(()) })
    });
    let node = Node::start(App::builder().service("mirror", service)).await;
    let answer = node.post("/mirror", &json!({ "a": 1 })).await;
    assert_eq!(answer.json()["data"], r#"{"a":1,"by":"hook"}"#);
    let patch = Request::new("PATCH", "/mirror/1").json(&json!(["b", 1]));
    assert_eq!(node.send(patch).await.json()["data"], r#"["b",1]"#);
}

#[tokio::test]
async fn binary_data_in_a_text_leaves_as_an_attachment() {
    let node = Node::start(app(Registration::new(Both))).await;
    let mut client = SocketClient::connect(node.addr).await;
    client
        .begin(
            "create",
            "both",
            json!([{ "file": { "$binary": "AQID" } }, {}]),
        )
        .await;
    let mut packets = [client.packet().await, String::new()];
    assert_eq!(client.attachment().await, [1, 2, 3]);
    packets[1] = client.packet().await;
    assert_eq!(client.attachment().await, [1, 2, 3]);
    let placeholder = r#"{"file":{"_placeholder":true,"num":0}}"#;
    assert!(
        packets.iter().all(|packet| packet.contains(placeholder)),
        "{packets:?}"
    );
}

#[tokio::test]
async fn what_is_kept_from_others_is_taken_out_of_a_value() {
    let service = Registration::new(Both).redact(["secret"]);
    let node = Node::start(app(service)).await;
    let mut client = SocketClient::connect(node.addr).await;
    let answer = node.post("/both", &json!({ "secret": 2 })).await;
    assert_eq!(answer.json(), json!({ "by": "value", "secret": 1 }));
    assert_eq!(client.event().await.1, json!({ "by": "value" }));

    let service = Registration::new(Both).sync_context(|context| {
        let by = context.result.as_ref().map(|result| result["by"].clone());
        std::iter::once(("by".to_owned(), by.unwrap_or_default())).collect()
    });
    let node = Node::start(app(service)).await;
    assert_eq!(node.post("/both", &json!({})).await.json()["by"], "value");
}

#[tokio::test]
async fn a_dispatch_of_a_before_hook_goes_before_the_text() {
    let service = Registration::new(Both).before(Method::Create, |context| {
        context.dispatch = Some(json!({ "public": true }));
        Box::pin(async { Ok(()) })
    });
    let node = Node::start(app(service)).await;
    let mut client = SocketClient::connect(node.addr).await;
    let answer = node.post("/both", &json!({ "private": true })).await;
    assert_eq!(answer.pair(), (201, json!({ "public": true })));
    assert_eq!(client.event().await.1, json!({ "public": true }));
}
