//! Nodes of one app in one process.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use wingbeat_adapter::MemoryBroker;

use super::client::{Client, ClientOptions};
use super::{DEADLINE, TestError};
use crate::app::{App, AppBuilder, Config, Leftover};
use crate::sync::{BoxError, Status};
use crate::tasks::Tasks;

/// Nodes of one app that hear each other, each served on a free port of 127.0.0.1.
///
/// They are joined by a broker in memory that nobody else has, or by the one at [`ClusterOptions::sync_uri`]. Dropping the
/// cluster stops its nodes without ceremony, as when a test fails.
pub struct Cluster {
    nodes: Vec<Node>,
    broker: Option<MemoryBroker>,
    tasks: Tasks,
    deadline: Duration,
}

/// How nodes are joined; assign the fields that differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// The URI of a real broker; by default `None`, a broker in memory.
    ///
    /// Without a `key` in it the cluster draws one of its own, so that tests on one broker do not hear each other. On RabbitMQ
    /// every key leaves its two exchanges behind.
    pub sync_uri: Option<String>,
    /// Time that joining may take, that each step of a node's shutdown may take, and that its clients wait; five seconds by
    /// default.
    pub deadline: Duration,
}

struct Node {
    app: App,
    addr: SocketAddr,
}

impl Cluster {
    /// Starts `n` nodes and waits until each is ready and hears all others. `build` adds what the app consists of to the builder
    /// of each node, whose number, from 0, it gets as well.
    ///
    /// The label of a node is `node-0` and so on. What nodes are to share, as a store, `build` shares by an [`Arc`](std::sync::Arc).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use serde_json::json;
    /// use wingbeat::Memory;
    /// use wingbeat::testing::Cluster;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Arc::new(Memory::new());
    /// let cluster = Cluster::start(2, |builder, _| builder.service("messages", Arc::clone(&store))).await?;
    /// cluster.node(0).service_at("messages").create(json!({ "text": "hi" })).await?;
    /// assert_eq!(cluster.node(1).service_at("messages").get(0).await?["text"], "hi");
    /// cluster.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When an app can not be built, with its [`BuildError`](crate::BuildError), or when the nodes do not hear each other in
    /// time, with who does not hear whom and how each stands with the broker.
    ///
    /// # Cancel safety
    /// Dropping the future stops the nodes.
    pub async fn start(
        n: usize,
        build: impl Fn(AppBuilder, usize) -> AppBuilder,
    ) -> Result<Self, TestError> {
        Self::start_with(n, ClusterOptions::default(), build).await
    }

    /// As [`start`](Self::start), with options.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// Dropping the future stops the nodes.
    pub async fn start_with(
        n: usize,
        options: ClusterOptions,
        build: impl Fn(AppBuilder, usize) -> AppBuilder,
    ) -> Result<Self, TestError> {
        let ClusterOptions { sync_uri, deadline } = options;
        let uri = sync_uri.map(|uri| private(&uri));
        let mut cluster = Self {
            nodes: Vec::new(),
            broker: uri.is_none().then(MemoryBroker::new),
            tasks: Tasks::default(),
            deadline,
        };
        for number in 0..n {
            let builder = build(cluster.builder(number), number);
            cluster.add(builder, uri.as_deref()).await?;
        }
        cluster.joined().await?;
        Ok(cluster)
    }

    /// Returns a node.
    ///
    /// # Panics
    /// When there is no node of that number.
    #[must_use]
    pub fn node(&self, number: usize) -> &App {
        &self.at(number).app
    }

    /// Returns the address of a node, as `http://127.0.0.1:40123`.
    ///
    /// # Panics
    /// When there is no node of that number.
    #[must_use]
    pub fn url(&self, number: usize) -> String {
        format!("http://{}", self.at(number).addr)
    }

    /// Connects a client to a node. [`Client::connect_with`] and [`url`](Self::url) connect one with headers or a query.
    ///
    /// # Errors
    /// When the node does not let the client in, as one that is shut down.
    ///
    /// # Panics
    /// When there is no node of that number.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection.
    pub async fn client(&self, number: usize) -> Result<Client, TestError> {
        let options = ClientOptions {
            deadline: self.deadline,
            ..ClientOptions::default()
        };
        Client::connect_with(&self.url(number), options).await
    }

    /// Returns the broker in memory, unless the nodes are joined by a real one: its `cut` takes the link from all nodes, its
    /// `heal` lets them find each other again.
    ///
    /// ```
    /// use serde_json::json;
    /// use wingbeat::Memory;
    /// use wingbeat::testing::{Cluster, wait_for_event};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = Cluster::start(2, |builder, _| builder.service("messages", Memory::new())).await?;
    /// let broker = cluster.broker().ok_or("a broker in memory")?;
    /// broker.cut();
    /// let heard = wait_for_event(cluster.node(1), "messages", "created");
    /// cluster.node(0).service_at("messages").create(json!({ "text": "hi" })).await?;
    /// broker.heal();
    /// heard.await?;
    /// # cluster.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn broker(&self) -> Option<&MemoryBroker> {
        self.broker.as_ref()
    }

    /// Shuts the nodes down one after the other, from 0, as [`App::close`] does.
    ///
    /// # Errors
    /// When a node left something behind, as a call that never ends; the others are shut down all the same.
    ///
    /// # Cancel safety
    /// Dropping the future stops the nodes.
    pub async fn close(self) -> Result<(), TestError> {
        let mut left = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let leftover = node.app.close().await;
            if leftover != Leftover::default() {
                left.push(format!("node {number} left {leftover:?}"));
            }
        }
        self.tasks.close(self.deadline).await;
        if left.is_empty() {
            return Ok(());
        }
        Err(TestError::new(left.join("; ")))
    }

    fn builder(&self, number: usize) -> AppBuilder {
        App::builder().config(Config {
            name: format!("node-{number}"),
            shutdown_deadline: self.deadline,
            ..Config::default()
        })
    }

    /// Builds a node and serves it.
    async fn add(&mut self, builder: AppBuilder, uri: Option<&str>) -> Result<(), TestError> {
        let number = self.nodes.len();
        let failed =
            |error: BoxError| TestError::of(format!("node {number} can not be started"), error);
        let builder = match (&self.broker, uri) {
            (Some(broker), _) => builder.sync(broker.clone()),
            (None, uri) => builder.sync_uri(uri.unwrap_or_default()),
        };
        let app = builder.build().map_err(|error| failed(error.into()))?;
        let bound = listen().await.map_err(|error| failed(error.into()));
        let (listener, addr) = bound?;
        let (served, stop) = (app.clone(), self.tasks.clone());
        self.nodes.push(Node { app, addr });
        self.tasks.spawn("test node", async move {
            tokio::select! {
                // What it can fail for is an address that the listener has.
                _ = served.serve_on(listener) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(())
    }

    /// Waits until each node is ready and hears all others.
    async fn joined(&self) -> Result<(), TestError> {
        let start = Instant::now();
        loop {
            let numbers = 0..self.nodes.len();
            let problems: Vec<String> = numbers.filter_map(|at| self.problem(at)).collect();
            if problems.is_empty() {
                return Ok(());
            }
            if start.elapsed() > self.deadline {
                let what = format!("the nodes do not hear each other in {:?}", self.deadline);
                return Err(TestError::new(format!("{what}: {}", problems.join("; "))));
            }
            sleep(PAUSE).await;
        }
    }

    /// Says what a node still waits for.
    fn problem(&self, at: usize) -> Option<String> {
        let (sync, unheard) = (self.nodes[at].app.sync(), self.unheard(at));
        if sync.status() == Status::Ready && unheard.is_empty() {
            return None;
        }
        let why = sync.last_error().map(|error| format!(", {error}"));
        let stands = format!("node {at} is {}{}", sync.status(), why.unwrap_or_default());
        let unheard: Vec<String> = unheard.iter().map(ToString::to_string).collect();
        Some(match unheard.as_slice() {
            [] => stands,
            numbers => format!("{stands}, and does not hear node {}", numbers.join(", ")),
        })
    }

    /// Returns the nodes that a node does not hear, by their labels, of which two may be the same.
    fn unheard(&self, at: usize) -> Vec<usize> {
        let mut peers = self.nodes[at].app.sync().peers();
        let mut is_heard = |label: &str| {
            let found = peers.iter().position(|peer| &*peer.name == label);
            found.map(|peer| peers.swap_remove(peer)).is_some()
        };
        let others = self.nodes.iter().enumerate();
        others
            .filter(|(other, node)| *other != at && !is_heard(node.app.name()))
            .map(|(other, _)| other)
            .collect()
    }

    fn at(&self, number: usize) -> &Node {
        let n = self.nodes.len();
        let node = self.nodes.get(number);
        node.unwrap_or_else(|| {
            panic!("the cluster has {n} nodes, from 0: there is no node {number}")
        })
    }
}

impl Drop for Node {
    /// Connections and the serve loop hold the app, so it would not end by being dropped.
    fn drop(&mut self) {
        self.app.abandon();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            sync_uri: None,
            deadline: DEADLINE,
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = (0..self.nodes.len()).map(|at| self.url(at)).collect();
        f.debug_struct("Cluster")
            .field("urls", &urls)
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}

async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Gives a URI a key that nobody else has, unless it has one.
fn private(uri: &str) -> String {
    let query = uri.split_once('?').map(|(_, query)| query);
    let has_key = |query: &str| query.split('&').any(|option| option.starts_with("key="));
    let key = format!("key=wingbeat-test-{:016x}", rand::random::<u64>());
    match query {
        Some(query) if has_key(query) => uri.to_owned(),
        Some(_) => format!("{uri}&{key}"),
        None => format!("{uri}?{key}"),
    }
}

/// Between two looks at whether the nodes hear each other.
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_gets_a_key_unless_it_has_one() {
        for uri in ["redis://a?key=x", "nats://a,b?codec=json&key=x"] {
            assert_eq!(private(uri), uri);
        }
        for (uri, start) in [
            ("redis://a,b:1/2", "redis://a,b:1/2?key=wingbeat-test-"),
            ("amqp://a?monkey=1", "amqp://a?monkey=1&key=wingbeat-test-"),
        ] {
            assert!(private(uri).starts_with(start), "{}", private(uri));
            assert_ne!(private(uri), private(uri));
        }
    }
}
