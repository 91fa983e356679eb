//! How connections end, and what one client may take.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use wingbeat::connections::CloseReason;
use wingbeat::{App, AppBuilder, Config, Leftover, Memory};

use crate::support::http::Request;
use crate::support::plain::{PlainClient, request};
use crate::support::slow::{impatient, until_closed};
use crate::support::socket::{Heard, attach};
use crate::support::{Node, eventually, within};

fn chat() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

async fn with(change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::default();
    change(&mut config);
    Node::start(chat().config(config)).await
}

#[tokio::test]
async fn a_message_may_have_its_size_and_no_more() {
    let node = with(|config| config.max_message = 10_000).await;
    let mut client = PlainClient::connect(node.addr).await;
    let empty = r#"[1,"create","messages",{"text":""}]"#;
    let fill = |length: usize| {
        let text = format!(r#""{}""#, "x".repeat(length - empty.len()));
        Message::text(empty.replace(r#""""#, &text))
    };
    client.send_message(fill(10_000)).await;
    assert!(client.answer(&json!(1)).await.is_ok());
    client.send_message(fill(10_001)).await;
    assert_eq!(client.end().await, Heard::Closed(Some(1009)));
    assert_eq!(node.app.stats().closed_too_large, 1);
}

/// What a client sends that breaks the websocket protocol itself, and the close frame that it gets.
#[tokio::test]
async fn broken_frames_end_the_websocket_with_their_code() {
    let node = with(|_| {}).await;
    let table: [(&str, &[u8], u16); 5] = [
        ("unmasked", b"\x81\x02[]", 1002),
        ("a reserved bit", b"\xc1\x82\x00\x00\x00\x00[]", 1002),
        ("an unknown kind", b"\x83\x80\x00\x00\x00\x00", 1002),
        ("no UTF-8", b"\x81\x82\x00\x00\x00\x00\xff\xfe", 1007),
        (
            "a length of eight exabytes",
            b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
            1009,
        ),
    ];
    for (what, bytes, code) in table {
        let mut stream = PlainClient::connect(node.addr).await.into_stream();
        within(stream.write_all(bytes)).await.unwrap();
        let mut close = [0; 4];
        within(stream.read_exact(&mut close)).await.unwrap();
        let [high, low] = code.to_be_bytes();
        assert_eq!(close, [0x88, 2, high, low], "{what}");
    }
    eventually("all are gone", || node.app.n_connections() == 0).await;
    assert!(node.app.channel("all").is_empty());
}

/// Asks for a websocket without a library.
fn upgrade() -> Request {
    Request::new("GET", "/ws")
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[tokio::test]
async fn who_answers_pings_stays() {
    let node = with(|config| config.ping_interval = Duration::from_millis(20)).await;
    let mut client = PlainClient::connect(node.addr).await;
    for _ in 0..5 {
        // The library answers it.
        assert_eq!(client.raw().await, Message::Ping(Vec::new().into()));
    }
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_closed() {
    let node = with(|config| {
        config.ping_interval = Duration::from_millis(50);
        config.ping_timeout = Duration::from_millis(50);
    })
    .await;
    let mut client = node.client().await;
    client.begin(&upgrade()).await;
    assert_eq!(client.answer().await.status, 101);
    let [high, low] = 4408_u16.to_be_bytes();
    assert_eq!(client.ended().await, [0x89, 0, 0x88, 2, high, low]);
    eventually("it is counted", || node.app.stats().closed_timeout == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_is_closed_with_1013_and_the_others_hear_everything() {
    let node = Node::start(chat().config(impatient())).await;
    let mut fast = PlainClient::connect(node.addr).await;
    let mut slow = PlainClient::open(request(node.addr, ""), Some(4_096)).await;
    until_closed(&node, async || fast.event().await).await;
    assert_eq!(slow.end().await, Heard::Closed(Some(1013)));
}

#[tokio::test]
async fn a_client_that_sends_and_does_not_read_is_closed() {
    let node = with(|config| config.outbox.bytes = 64 << 10).await;
    let text = "x".repeat(8 << 10);
    let messages = node.app.service_at("messages");
    messages.create(json!({ "text": text })).await.unwrap();
    let client = PlainClient::open(request(node.addr, ""), Some(4_096)).await;
    let mut stream = client.into_stream();
    // `[1,"get","messages",0]`, masked with zeros, many times.
    let call = b"\x81\x96\x00\x00\x00\x00[1,\"get\",\"messages\",0]";
    let calls = call.repeat(1_000);
    // It ends with an error once the node has closed.
    while within(stream.write_all(&calls)).await.is_ok() && node.app.stats().closed_slow == 0 {}
    eventually("it is closed", || node.app.stats().closed_slow == 1).await;
    eventually("it is gone", || node.app.n_connections() == 0).await;
}

#[tokio::test]
async fn clients_that_go_leave_their_channels() {
    let node = with(|_| {}).await;
    let mut closes = PlainClient::connect(node.addr).await;
    let vanishes = PlainClient::connect(node.addr).await;
    eventually("both are in", || node.app.channel("all").len() == 2).await;
    closes.send_message(Message::Close(None)).await;
    assert_eq!(closes.end().await, Heard::Closed(None));
    drop(vanishes);
    eventually("both are out", || node.app.channel("all").is_empty()).await;
    eventually("both are gone", || node.app.n_connections() == 0).await;
}

#[tokio::test]
async fn handshakes_that_stop_half_way_leave_nothing() {
    let hasty = with(|config| config.header_timeout = Duration::from_millis(50)).await;
    let mut client = hasty.client().await;
    let half = b"GET /ws HTTP/1.1\r\nhost: test\r\nupgrade: websocket\r\n";
    client.write(half).await;
    client.ended().await;
    assert_eq!(hasty.app.n_connections(), 0);
    // These go before they have their answer.
    let node = with(|_| {}).await;
    for _ in 0..10 {
        let mut client = node.client().await;
        client.begin(&upgrade()).await;
    }
    // What comes later shows that they were seen.
    let mut last = PlainClient::connect(node.addr).await;
    last.call("find", "messages", json!([])).await.unwrap();
    eventually("they are gone", || node.app.n_connections() == 1).await;
}

#[tokio::test]
async fn a_client_hears_all_that_happens_after_it_has_its_websocket() {
    let node = with(|_| {}).await;
    for n in 0..50 {
        let mut client = node.client().await;
        client.begin(&upgrade()).await;
        assert_eq!(client.answer().await.status, 101);
        let channel = node.app.channel("all");
        assert!(!channel.is_empty(), "client {n} could miss something");
        drop(client);
        eventually("it is gone", || channel.is_empty()).await;
    }
}

#[tokio::test]
async fn a_revoked_session_ends_with_4401_behind_what_waits() {
    let node = with(|_| {}).await;
    let mut client = PlainClient::connect(node.addr).await;
    client
        .call("create", "messages", json!([{}]))
        .await
        .unwrap();
    for connection in node.app.channel("all").connections() {
        connection.close(CloseReason::Revoked);
    }
    assert_eq!(client.end().await, Heard::Closed(Some(4401)));
    eventually("it is gone", || node.app.n_connections() == 0).await;
}

#[tokio::test]
async fn a_shutdown_ends_websockets_with_1012_once_calls_are_done() {
    let node = with(|_| {}).await;
    let mut client = PlainClient::connect(node.addr).await;
    let mut idle = PlainClient::connect(node.addr).await;
    client
        .call("create", "messages", json!([{}]))
        .await
        .unwrap();
    eventually("both are connected", || node.app.n_connections() == 2).await;
    let app = node.app.clone();
    assert_eq!(node.stop().await, Leftover::default());
    for client in [&mut client, &mut idle] {
        assert_eq!(client.end().await, Heard::Closed(Some(1012)));
    }
    assert_eq!(app.n_connections(), 0);
}

#[tokio::test]
async fn a_node_that_shuts_down_takes_no_more_websockets() {
    let node = with(|_| {}).await;
    let http = node.app.http_service();
    node.app.close().await;
    // Its own listener is closed; a server of somebody else may still ask.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback_service(http);
    crate::support::background(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router);
        let io = hyper_util::rt::TokioIo::new(stream);
        let builder = hyper::server::conn::http1::Builder::new();
        let _ = builder.serve_connection(io, service).with_upgrades().await;
    });
    let answer = attach(request(addr, ""), None).await.unwrap_err();
    assert_eq!(answer.status(), 503);
}
