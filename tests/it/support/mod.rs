//! What the tests share: nodes on ports of their own, a plain HTTP client, services, and bounded waiting.

#[cfg(feature = "redis")]
pub(crate) mod broker;
pub(crate) mod events;
#[cfg(unix)]
pub(crate) mod host;
pub(crate) mod http;
#[cfg(feature = "redis")]
pub(crate) mod load;
#[cfg(all(feature = "redis", feature = "nats"))]
mod nats;
pub(crate) mod plain;
pub(crate) mod polling;
pub(crate) mod process;
#[cfg(feature = "redis")]
pub(crate) mod proxy;
#[cfg(all(feature = "redis", feature = "amqp"))]
mod rabbitmq;
#[cfg(feature = "redis")]
pub(crate) mod redis;
pub(crate) mod services;
pub(crate) mod slow;
pub(crate) mod socket;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wingbeat::{App, AppBuilder, Leftover};

use http::{Answer, Client, Request};

/// Waits for a future that could hang.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("it takes too long")
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    eventually_in(LIMIT, what, condition).await;
}

/// Waits until a condition holds that may take longer than most.
pub(crate) async fn eventually_in(limit: Duration, what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "it does not come to pass: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs a future in the background.
pub(crate) fn background<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}

/// A node that serves on a free port of 127.0.0.1.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) app: App,
    pub(crate) addr: SocketAddr,
    serving: JoinHandle<io::Result<()>>,
}

impl Node {
    /// Builds an app and serves it.
    pub(crate) async fn start(builder: AppBuilder) -> Self {
        Self::serve(builder.build().expect("a sound app")).await
    }

    /// Serves an app that is built.
    pub(crate) async fn serve(app: App) -> Self {
        let (addr, serving) = listen(&app).await;
        Self { app, addr, serving }
    }

    /// Connects a client.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        self.client().await.send(request).await
    }

    /// Sends a `GET`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::new("GET", path)).await
    }

    /// Sends a `POST` with JSON.
    pub(crate) async fn post(&self, path: &str, data: &Value) -> Answer {
        self.send(Request::new("POST", path).json(data)).await
    }

    /// Shuts the node down and waits until it no longer serves.
    pub(crate) async fn stop(self) -> Leftover {
        let leftover = within(self.app.close()).await;
        let served = within(self.serving).await;
        served
            .expect("serving does not panic")
            .expect("serving ends well");
        leftover
    }
}

/// Serves an app on one more free port.
pub(crate) async fn listen(app: &App) -> (SocketAddr, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let addr = listener.local_addr().expect("a bound listener");
    let app = app.clone();
    let serving = background(async move { app.serve_on(listener).await });
    (addr, serving)
}

/// Starts `n` nodes that are joined through the memory broker; `build` gets the number of each, from 0. All are ready and know each other.
pub(crate) async fn cluster(n: usize, build: impl Fn(usize) -> AppBuilder) -> Vec<Node> {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let name = NAMES.fetch_add(1, Ordering::Relaxed);
    let mut nodes = Vec::new();
    for number in 0..n {
        let builder = build(number).name(format!("node-{number}"));
        nodes.push(Node::start(builder.sync_uri(format!("memory://cluster-{name}"))).await);
    }
    let all_know_all = || {
        let mut all = nodes.iter().map(|node| node.app.sync().peers());
        all.all(|peers| peers.iter().filter(|peer| !peer.name.is_empty()).count() == n - 1)
    };
    eventually("the nodes know each other", all_know_all).await;
    nodes
}

/// Long, since machines that run tests are slow and loaded.
const LIMIT: Duration = Duration::from_secs(20);
