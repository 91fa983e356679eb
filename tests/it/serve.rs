//! The serve loop: limits, health, shutdown, and clients that go away or do not behave.

mod process;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower::Service as _;
use wingbeat::error::Result;
use wingbeat::service::Id;
use wingbeat::sync::Status;
use wingbeat::{App, AppBuilder, Config, Leftover, Memory, Params, Service};
use wingbeat_adapter::MemoryBroker;

use crate::support::http::{Client, Request};
use crate::support::services::Echo;
use crate::support::{Node, background, eventually, listen, within};

fn config(change: impl FnOnce(&mut Config)) -> AppBuilder {
    let mut config = Config::default();
    change(&mut config);
    App::builder().config(config).service("echo", Echo)
}

/// A service whose calls wait at a gate.
#[derive(Clone)]
pub(crate) struct Gate {
    entered: Arc<Semaphore>,
    pub(crate) open: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until one more call is at the gate.
    pub(crate) async fn entered(&self) {
        within(self.entered.acquire()).await.unwrap().forget();
    }
}

impl Service for Gate {
    const METHODS: &'static [&'static str] = &["create", "get"];

    async fn create(&self, data: Value, _: &Params) -> Result<Value> {
        self.entered.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        Ok(data)
    }

    async fn get(&self, id: Id, _: &Params) -> Result<Value> {
        let size = id.to_string().parse().unwrap_or(0);
        Ok("x".repeat(size).into())
    }
}

async fn refuses(node: &Node) {
    let refused = || std::net::TcpStream::connect(node.addr).is_err();
    eventually("new connections are refused", refused).await;
}

/// Draws many answers over a connection, which the node could also spend on others.
async fn keep_busy(client: &mut Client) {
    for _ in 0..50 {
        assert_eq!(client.send(Request::new("GET", "/live")).await.status, 200);
    }
}

#[tokio::test]
async fn a_header_that_does_not_come_ends_the_connection() {
    let node = Node::start(config(|config| {
        config.header_timeout = Duration::from_millis(80)
    }))
    .await;
    let mut silent = node.client().await;
    let mut slow = node.client().await;
    slow.write(b"GET /echo HTTP/1.1\r\nhost: x\r\nx-a: ").await;
    let mut idle = node.client().await;
    assert_eq!(idle.send(Request::new("GET", "/echo")).await.status, 200);
    for client in [&mut silent, &mut slow, &mut idle] {
        let rest = client.ended().await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(node.get("/echo").await.status, 200, "others are served");
    assert_eq!(node.stop().await, Leftover::default());
}

#[tokio::test]
async fn a_trickle_does_not_prolong_the_header() {
    let node = Node::start(config(|config| {
        config.header_timeout = Duration::from_millis(80)
    }))
    .await;
    let mut stream = TcpStream::connect(node.addr).await.unwrap();
    stream.write_all(b"GET /echo HTTP/1.1\r\n").await.unwrap();
    let trickle = async {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        loop {
            pace.tick().await;
            if stream.write_all(b"x-a: 1\r\n").await.is_err() {
                break;
            }
        }
    };
    within(trickle).await;
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let node = Node::start(config(|_| {})).await;
    let long = "x".repeat(200 << 10);
    let answer = node
        .send(Request::new("GET", "/echo").header("x-long", &long))
        .await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn further_connections_wait_for_a_place() {
    let node = Node::start(config(|config| config.max_connections = 1)).await;
    let mut first = node.client().await;
    keep_busy(&mut first).await;
    let mut second = node.client().await;
    second.begin(&Request::new("GET", "/echo")).await;
    keep_busy(&mut first).await;
    assert!(!second.has_answer());
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn all_listeners_share_the_places() {
    let node = Node::start(config(|config| config.max_connections = 2)).await;
    let (addr, serving) = listen(&node.app).await;
    let mut first = node.client().await;
    keep_busy(&mut first).await;
    let mut second = Client::connect(addr).await;
    keep_busy(&mut second).await;
    let mut third = Client::connect(addr).await;
    third.begin(&Request::new("GET", "/echo")).await;
    keep_busy(&mut first).await;
    assert!(!third.has_answer());
    drop(second);
    assert_eq!(third.answer().await.status, 200);
    drop((first, third));
    assert_eq!(node.stop().await, Leftover::default());
    within(serving).await.unwrap().unwrap();
}

/// Takes the connection over, as websockets do, and sends back what comes.
fn upgrading() -> Router {
    let upgrade = async |mut request: axum::extract::Request| {
        let upgrade = hyper::upgrade::on(&mut request);
        background(async move {
            let mut upgraded = TokioIo::new(upgrade.await.unwrap());
            let mut byte = [0];
            while upgraded.read_exact(&mut byte).await.is_ok() {
                upgraded.write_all(&byte).await.unwrap();
            }
        });
        let headers = [("connection", "upgrade"), ("upgrade", "echo")];
        (http::StatusCode::SWITCHING_PROTOCOLS, headers)
    };
    Router::new().route("/upgrade", get(upgrade))
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place() {
    let app = config(|config| config.max_connections = 1).fallback(upgrading());
    let node = Node::start(app).await;
    let mut upgraded = TcpStream::connect(node.addr).await.unwrap();
    let ask = b"GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    upgraded.write_all(ask).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(upgraded.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    let mut waiting = node.client().await;
    waiting.begin(&Request::new("GET", "/echo")).await;
    for byte in 0..50 {
        upgraded.write_u8(byte).await.unwrap();
        assert_eq!(within(upgraded.read_u8()).await.unwrap(), byte);
    }
    assert!(!waiting.has_answer());
    drop(upgraded);
    assert_eq!(waiting.answer().await.status, 200);
}

#[tokio::test]
async fn a_shutdown_answers_what_was_asked() {
    let gate = Gate::new();
    let node = Node::start(config(|_| {}).service("gate", gate.clone())).await;
    let mut calling = node.client().await;
    calling
        .begin(&Request::new("POST", "/gate").json(&json!({ "n": 1 })))
        .await;
    gate.entered().await;
    let mut idle = node.client().await;
    assert_eq!(idle.send(Request::new("GET", "/ready")).await.status, 200);
    let mut asking = node.client().await;
    asking.write(b"GET /ready HTTP/1.1\r\nhost: x\r\n").await;
    let mut sending = node.client().await;
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n[";
    sending.write(head.as_bytes()).await;
    // What those two have sent so far is read before the shutdown begins, since this is asked later.
    let mut last = node.client().await;
    keep_busy(&mut last).await;

    let closing = background({
        let app = node.app.clone();
        async move { app.close().await }
    });
    refuses(&node).await;
    assert!(idle.ended().await.is_empty(), "nothing is due to it");
    asking.write(b"\r\n").await;
    let ready = asking.answer().await;
    assert_eq!(
        ready.pair(),
        (
            503,
            json!({ "ready": false, "draining": true, "sync": "off" })
        )
    );
    assert!(!calling.has_answer() && !closing.is_finished());
    gate.open.add_permits(1);
    let answer = calling.answer().await;
    assert_eq!(answer.pair(), (201, json!({ "n": 1 })));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    sending.write(b"1]").await;
    assert_eq!(
        sending.answer().await.json()["data"],
        json!([1]),
        "what has begun to come is a request"
    );
    assert_eq!(within(closing).await.unwrap(), Leftover::default());
    assert_eq!(node.stop().await, Leftover::default());
}

#[tokio::test]
async fn a_shutdown_reports_what_it_left() {
    let gate = Gate::new();
    let app = config(|config| config.shutdown_deadline = Duration::from_millis(400));
    let node = Node::start(app.service("gate", gate.clone())).await;
    let mut calling = node.client().await;
    calling
        .begin(&Request::new("POST", "/gate").json(&json!({})))
        .await;
    gate.entered().await;
    let leftover = node.stop().await;
    assert_eq!(
        (leftover.requests, leftover.calls, leftover.tasks),
        (1, 1, 0)
    );
}

/// Its connection is cut when all others are done, so that it can not hold the process.
#[tokio::test]
async fn a_client_that_does_not_read_its_answer_does_not_hold_a_shutdown() {
    let app = config(|config| config.shutdown_deadline = Duration::from_millis(400));
    let node = Node::start(app.service("gate", Gate::new())).await;
    let mut stuck = node.client().await;
    stuck.begin(&Request::new("GET", "/gate/32000000")).await;
    eventually("the answer has begun", || stuck.has_answer()).await;
    assert_eq!(node.stop().await, Leftover::default());
}

#[tokio::test]
async fn a_call_outlives_its_client_and_its_event_is_heard() {
    let gate = Gate::new();
    let node = Node::start(config(|_| {}).service("gate", gate.clone())).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let note = move |event: &wingbeat::Event| hearing.lock().push(event.data().value().clone());
    node.app.service_at("gate").on("created", note);
    let mut gone = node.client().await;
    gone.begin(&Request::new("POST", "/gate").json(&json!({ "n": 1 })))
        .await;
    gate.entered().await;
    drop(gone);
    assert_eq!(node.get("/echo").await.status, 200);
    assert!(heard.lock().is_empty());
    gate.open.add_permits(1);
    eventually("the event is heard", || {
        *heard.lock() == [json!({ "n": 1 })]
    })
    .await;
}

#[tokio::test]
async fn serving_again_after_a_shutdown_returns_at_once() {
    let node = Node::start(config(|_| {})).await;
    within(node.app.close()).await;
    let (_, serving) = listen(&node.app).await;
    within(serving).await.unwrap().unwrap();
    assert_eq!(node.stop().await, Leftover::default());
}

#[tokio::test]
async fn a_node_that_has_shut_down_takes_no_more_calls() {
    let app = config(|_| {}).build().unwrap();
    let host = Router::new().fallback_service(app.http_service());
    let ask = async |path: &str| {
        let mut request = http::Request::new(axum::body::Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        let response = host.clone().call(request).await.unwrap();
        response.status().as_u16()
    };
    assert_eq!((ask("/echo").await, ask("/ready").await), (200, 200));
    within(app.close()).await;
    assert_eq!((ask("/echo").await, ask("/ready").await), (503, 503));
    assert_eq!(ask("/live").await, 200);
}

fn health(ready: bool, sync: Status) -> (u16, Value) {
    let status = if ready { 200 } else { 503 };
    (
        status,
        json!({ "ready": ready, "draining": false, "sync": sync.to_string() }),
    )
}

#[tokio::test]
async fn readiness_waits_for_the_first_link_and_then_ignores_the_broker() {
    let broker = MemoryBroker::new();
    broker.cut();
    let node = Node::start(
        config(|_| {})
            .service("notes", Memory::new())
            .sync(broker.clone()),
    )
    .await;
    let before = node.get("/ready").await;
    assert_eq!(
        (before.status, &before.json()["ready"]),
        (503, &json!(false))
    );
    assert_eq!(
        node.get("/live").await.pair(),
        (200, json!({ "live": true }))
    );
    assert_eq!(
        node.post("/notes", &json!({})).await.status,
        201,
        "calls do not wait for it"
    );
    broker.heal();
    within(node.app.sync().ready()).await.unwrap();
    assert_eq!(node.get("/ready").await.pair(), health(true, Status::Ready));
    broker.cut();
    let is_lost = || node.app.sync().status() == Status::Reconnecting;
    eventually("the link is lost", is_lost).await;
    assert_eq!(
        node.get("/ready").await.pair(),
        health(true, Status::Reconnecting)
    );
    assert_eq!(node.get("/live").await.status, 200);
}

#[tokio::test]
async fn strict_readiness_follows_the_broker() {
    let broker = MemoryBroker::new();
    let strict = || config(|config| config.strict_readiness = true);
    let node = Node::start(strict().sync(broker.clone())).await;
    within(node.app.sync().ready()).await.unwrap();
    assert_eq!(node.get("/ready").await.pair(), health(true, Status::Ready));
    broker.cut();
    let is_lost = || node.app.sync().status() == Status::Reconnecting;
    eventually("the link is lost", is_lost).await;
    assert_eq!(
        node.get("/ready").await.pair(),
        health(false, Status::Reconnecting)
    );
    let alone = Node::start(strict()).await;
    assert_eq!(alone.get("/ready").await.pair(), health(true, Status::Off));
}
