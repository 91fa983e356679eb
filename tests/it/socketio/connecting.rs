//! The handshake, the namespace, and how connections end when nobody has done wrong.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use wingbeat::hooks::RegisterHooks;
use wingbeat::{App, Config, Memory};

use crate::support::http::{Answer, Request};
use crate::support::socket::{Heard, SocketClient, request};
use crate::support::{Node, eventually, within};

async fn node() -> Node {
    Node::start(App::builder().service("messages", Memory::new())).await
}

fn upgrade(query: &str) -> Request {
    Request::new("GET", &format!("/socket.io/?{query}"))
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn refusal(answer: &Answer) -> (u16, Value) {
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn handshakes_that_engine_io_refuses_get_its_errors() {
    let node = node().await;
    let websocket = "EIO=4&transport=websocket";
    let plain = |query: &str| Request::new("GET", &format!("/socket.io/?{query}"));
    let table = [
        (plain(""), 0, "Transport unknown"),
        (
            plain("EIO=4&transport=carrier-pigeon"),
            0,
            "Transport unknown",
        ),
        (
            upgrade("EIO=4&transport=websocket&sid=nobody"),
            1,
            "Session ID unknown",
        ),
        (
            Request::new("POST", &format!("/socket.io/?{websocket}")),
            2,
            "Bad handshake method",
        ),
        (plain(websocket), 3, "Bad request"),
        (
            plain(websocket).header("upgrade", "websocket"),
            3,
            "Bad request",
        ),
        (
            upgrade("EIO=3&transport=websocket"),
            5,
            "Unsupported protocol version",
        ),
        (
            upgrade("transport=websocket"),
            5,
            "Unsupported protocol version",
        ),
        (
            plain("transport=polling"),
            5,
            "Unsupported protocol version",
        ),
    ];
    for (request, code, message) in table {
        let said = format!("{request:?}");
        let answer = node.send(request).await;
        assert_eq!(
            refusal(&answer),
            (400, json!({ "code": code, "message": message })),
            "{said}"
        );
    }
    assert_eq!(node.app.stats().refused_handshakes, 9);
}

#[tokio::test]
async fn the_websocket_handshake_is_that_of_the_rfc() {
    let node = node().await;
    let answer = node
        .send(upgrade("EIO=4&transport=websocket").header("sec-websocket-protocol", "one, two"))
        .await;
    assert_eq!(answer.status, 101);
    let header = |name: &str| {
        answer
            .headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(header("sec-websocket-protocol"), Some("one"));
    assert_eq!(header("sec-websocket-extensions"), None);
}

#[tokio::test]
async fn websocket_versions_and_keys_are_checked() {
    let node = node().await;
    let base = || {
        Request::new("GET", "/socket.io/?EIO=4&transport=websocket")
            .header("upgrade", "WebSocket")
            .header("connection", "keep-alive, upgrade")
    };
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for wrong in [
        base().header("sec-websocket-key", key),
        base()
            .header("sec-websocket-key", key)
            .header("sec-websocket-version", "8"),
        base().header("sec-websocket-version", "13"),
        base()
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "short"),
    ] {
        assert_eq!(refusal(&node.send(wrong).await).1["code"], 3);
    }
    let right = base()
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", key);
    assert_eq!(node.send(right).await.status, 101);
}

#[tokio::test]
async fn the_open_packet_tells_the_settings_and_every_sid_is_another() {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(12_345);
    config.max_message = 54_321;
    let node = Node::start(
        App::builder()
            .service("messages", Memory::new())
            .config(config),
    )
    .await;
    let mut one = SocketClient::open(node.addr).await;
    let mut expected = json!({
        "sid": null, "upgrades": [], "pingInterval": 12_345, "pingTimeout": 20_000, "maxPayload": 54_321
    });
    expected["sid"] = one.handshake["sid"].clone();
    assert_eq!(one.handshake, expected);
    one.join().await;
    let other = SocketClient::connect(node.addr).await;
    let sids = [
        &one.sid,
        &other.sid,
        one.handshake["sid"].as_str().unwrap(),
        other.handshake["sid"].as_str().unwrap(),
    ];
    for (at, sid) in sids.iter().enumerate() {
        assert_eq!(sid.len(), 20);
        assert!(
            sid.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{sid}"
        );
        assert!(!sids[..at].contains(sid));
    }
}

#[tokio::test]
async fn cookies_are_taken_from_own_and_allowed_origins_only() {
    let mut config = Config::default();
    config.allowed_origins = vec!["https://app.example".to_owned()];
    let node = Node::start(App::builder().config(config)).await;
    let table = [
        (true, None, 101),
        (false, Some("https://evil.example"), 101),
        (true, Some("http://test"), 101),
        (true, Some("https://TEST"), 101),
        (true, Some("https://app.example"), 101),
        (true, Some("https://evil.example"), 403),
        (true, Some("https://app.example.evil.example"), 403),
        (true, Some("http://test:8080"), 403),
        (true, Some("null"), 403),
    ];
    for (has_cookie, origin, status) in table {
        let mut request = upgrade("EIO=4&transport=websocket");
        if has_cookie {
            request = request.header("cookie", "a=b");
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = node.send(request).await;
        assert_eq!(answer.status, status, "{has_cookie} {origin:?}");
        if status == 403 {
            assert_eq!(refusal(&answer).1["code"], 4);
        }
    }
    assert_eq!(node.app.stats().refused_origins, 4);
}

#[tokio::test]
async fn other_namespaces_are_refused_and_the_default_one_stays() {
    let node = node().await;
    let mut client = SocketClient::open(node.addr).await;
    for (packet, answer) in [
        ("40/foo,", r#"44/foo,{"message":"Invalid namespace"}"#),
        (
            r#"40/a/b,{"token":"x"}"#,
            r#"44/a/b,{"message":"Invalid namespace"}"#,
        ),
        ("40/bare", r#"44/bare,{"message":"Invalid namespace"}"#),
    ] {
        client.send(packet).await;
        assert_eq!(client.packet().await, answer);
    }
    client.join().await;
    client.send("40/foo,").await;
    assert_eq!(
        client.packet().await,
        r#"44/foo,{"message":"Invalid namespace"}"#
    );
    assert_eq!(
        client.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
}

#[tokio::test]
async fn an_auth_payload_is_taken_and_ignored() {
    let node = node().await;
    let mut client = SocketClient::open(node.addr).await;
    client.send(r#"40{"token":"x"}"#).await;
    assert!(client.packet().await.starts_with(r#"40{"sid":""#));
}

#[tokio::test]
async fn a_client_that_leaves_is_let_go() {
    let node = node().await;
    for bye in ["41", "1"] {
        let mut client = SocketClient::connect(node.addr).await;
        assert_eq!(node.app.n_connections(), 1);
        client.send(bye).await;
        assert_eq!(client.end().await, Heard::Closed(None));
        eventually("the connection is forgotten", || {
            node.app.n_connections() == 0
        })
        .await;
    }
    let mut client = SocketClient::connect(node.addr).await;
    let frame = CloseFrame {
        code: 1001.into(),
        reason: "off".into(),
    };
    client.send_message(Message::Close(Some(frame))).await;
    assert_eq!(client.end().await, Heard::Closed(Some(1001)));
    let vanishing = SocketClient::connect(node.addr).await;
    drop(vanishing);
    eventually("the connections are forgotten", || {
        node.app.n_connections() == 0
    })
    .await;
}

#[tokio::test]
async fn clients_that_answer_pings_stay_and_silent_ones_go() {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(60);
    config.ping_timeout = Duration::from_millis(400);
    let node = Node::start(
        App::builder()
            .service("messages", Memory::new())
            .config(config),
    )
    .await;
    let mut silent = SocketClient::connect(node.addr).await;
    let mut lively = SocketClient::connect(node.addr).await;
    assert_eq!(silent.hear().await, Heard::Packet("2".to_owned()));
    let end = tokio::select! {
        end = silent.end() => end,
        packet = lively.packet() => panic!("nothing but pings was to come: {packet}"),
    };
    assert_eq!(end, Heard::Closed(None));
    assert_eq!(
        lively.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
    assert_eq!(node.app.stats().closed_timeout, 1);
}

#[tokio::test]
async fn a_client_that_never_connects_the_namespace_goes() {
    let mut config = Config::default();
    config.connect_timeout = Duration::from_millis(200);
    let node = Node::start(
        App::builder()
            .service("messages", Memory::new())
            .config(config),
    )
    .await;
    let mut connected = SocketClient::connect(node.addr).await;
    let mut idle = SocketClient::open(node.addr).await;
    idle.send("40/foo,").await;
    assert_eq!(idle.end().await, Heard::Closed(None));
    assert_eq!(
        connected.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
    assert_eq!(node.app.stats().closed_timeout, 1);
}

#[tokio::test]
async fn a_shutdown_closes_connected_and_half_connected_clients_with_1012() {
    let node = node().await;
    let mut connected = SocketClient::connect(node.addr).await;
    let mut open = SocketClient::open(node.addr).await;
    let app = node.app.clone();
    let (leftover, one, other) = tokio::join!(within(app.close()), connected.end(), open.end());
    assert_eq!(
        (one, other),
        (Heard::Closed(Some(1012)), Heard::Closed(Some(1012)))
    );
    assert_eq!(leftover, wingbeat::Leftover::default());
    node.stop().await;
}

#[tokio::test]
async fn params_have_the_handshake_and_what_the_app_knows_of_the_connection() {
    use crate::support::services::Echo;
    let builder = App::builder()
        .service("org/:org/echo", Echo)
        .on_connection(|connection, _| {
            assert_eq!(connection.query()["token"], "x y");
            assert_eq!(connection.query().len(), 1);
            connection.set_property(
                "user",
                connection.headers()["x-user"].to_str().unwrap().into(),
            );
        });
    let node = Node::start(builder.around(wingbeat::hooks::All, |context, next| {
        Box::pin(async move {
            next.run(context).await?;
            let params = &context.params;
            let connection = params.connection.as_ref().expect("a socket call");
            let seen = json!({
                "same": connection.provider() == "socketio" && connection.property("user") == params.properties.get("user").cloned(),
                "user": params.properties["user"], "header": params.headers["x-user"].to_str().unwrap(),
            });
            context.result.as_mut().expect("an echo")["seen"] = seen;
            Ok(())
        })
    }))
    .await;
    let mut handshake = request(node.addr);
    *handshake.uri_mut() = format!(
        "ws://{}/socket.io/?EIO=4&token=x%20y&transport=websocket&t=abc",
        node.addr
    )
    .parse()
    .unwrap();
    handshake
        .headers_mut()
        .insert("x-user", "Ada".parse().unwrap());
    let mut client = SocketClient::open_with(handshake, None).await;
    client.join().await;
    let result = client
        .call("get", "/org/7/echo/", json!([5, { "q": 1 }]))
        .await
        .unwrap();
    assert_eq!(result["route"], json!({ "org": "7" }));
    assert_eq!(
        (&result["id"], &result["query"], &result["provider"]),
        (&json!(5), &json!({ "q": 1 }), &json!("socketio"))
    );
    assert_eq!(
        result["seen"],
        json!({ "same": true, "user": "Ada", "header": "Ada" })
    );
}

#[tokio::test]
async fn a_panic_of_the_apps_own_code_costs_its_connection_only() {
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, _| {
            assert!(!connection.query().contains_key("bad"), "on purpose")
        });
    let node = Node::start(builder).await;
    let mut handshake = request(node.addr);
    *handshake.uri_mut() = format!(
        "ws://{}/socket.io/?EIO=4&transport=websocket&bad=1",
        node.addr
    )
    .parse()
    .unwrap();
    let mut bad = SocketClient::open_with(handshake, None).await;
    bad.send("40").await;
    assert_eq!(bad.end().await, Heard::Lost);
    eventually("the connection is forgotten", || {
        node.app.n_connections() == 0
    })
    .await;
    let mut good = SocketClient::connect(node.addr).await;
    assert_eq!(
        good.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
}
