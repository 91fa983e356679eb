//! What the clients of two nodes hear when Redis dies or freezes, or one node's link to it is cut or stalls.
//!
//! "Every client has every event once" means: a client that is connected before the first and after the last event receives
//! each event's frame exactly once, in the order of the node that it happened on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use wingbeat::sync::{Delivery, Status, SyncOptions};
use wingbeat::{App, Memory};

use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::socket::SocketClient;
use crate::support::{Node, background, eventually, eventually_in, within};

/// What goes wrong, and for five seconds.
#[derive(Clone, Copy, Debug)]
enum Fault {
    BrokerKilled,
    /// It keeps its connections and answers nothing; what it was sent it carries out when it thaws.
    BrokerFrozen,
    OneLinkCut,
    /// The connections stay open and nothing passes.
    OneLinkStalled,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_costs_no_event_ordered() {
    no_event_is_lost(Fault::BrokerKilled, Delivery::Ordered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_costs_no_event_local_first() {
    no_event_is_lost(Fault::BrokerKilled, Delivery::LocalFirst).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cut_link_of_one_node_costs_no_event_ordered() {
    no_event_is_lost(Fault::OneLinkCut, Delivery::Ordered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cut_link_of_one_node_costs_no_event_local_first() {
    no_event_is_lost(Fault::OneLinkCut, Delivery::LocalFirst).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_broker_costs_no_event() {
    no_event_is_lost(Fault::BrokerFrozen, Delivery::Ordered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stalled_link_of_one_node_costs_no_event() {
    no_event_is_lost(Fault::OneLinkStalled, Delivery::Ordered).await;
}

async fn no_event_is_lost(fault: Fault, delivery: Delivery) {
    // Each run keeps both cores busy; side by side they would slow each other down to no use.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut broker = Broker::start();
    let start = Instant::now();
    let nodes = [
        node("a", &broker.redis.uri(), delivery).await,
        node("b", &broker.proxy_uri(), delivery).await,
    ];
    let mut clients = Vec::new();
    for node in &nodes {
        for _ in 0..CLIENTS {
            clients.push(Client::start(node, start).await);
        }
    }
    let makers = nodes
        .each_ref()
        .map(|node| background(make_events(node.app.clone(), start)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let outage = Instant::now();
    broker.fail(fault);
    let status_of_b = || nodes[1].app.sync().status();
    eventually_in(RECOVERY, "the fault is felt", || {
        status_of_b() == Status::Reconnecting
    })
    .await;
    let felt = outage.elapsed();
    tokio::time::sleep(OUTAGE.saturating_sub(felt)).await;
    let mended = Instant::now();
    broker.mend(fault);
    let is_ready = || {
        nodes
            .iter()
            .all(|node| node.app.sync().status() == Status::Ready)
    };
    eventually_in(RECOVERY, "both nodes are ready again", is_ready).await;
    println!(
        "{fault:?}: link given up after {felt:?}, both nodes ready {:?} after its end",
        mended.elapsed()
    );
    for maker in makers {
        let longest_call = maker.await.expect("calls succeed");
        assert!(
            longest_call < Duration::from_secs(1),
            "a call took {longest_call:?}"
        );
    }
    check_all(&nodes, clients).await;
    for node in nodes {
        eventually("nothing is unsettled", || {
            node.app.sync().stats().delivery.unsettled == 0
        })
        .await;
        assert_eq!(node.app.sync().stats().delivery.missing, 0);
        node.stop().await;
    }
}

/// Makes a client's events known by `(node, n)`; returns the time that the longest call took.
async fn make_events(app: App, start: Instant) -> Duration {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    let mut longest = Duration::ZERO;
    for n in 0..EVENTS {
        ticks.tick().await;
        let begun = Instant::now();
        create(&app, n, start).await;
        longest = longest.max(begun.elapsed());
    }
    longest
}

async fn create(app: &App, n: u32, start: Instant) {
    let at = u64::try_from(start.elapsed().as_millis()).expect("a short test");
    let data = json!({ "node": app.name(), "n": n, "at": at });
    app.service("messages")
        .create(data)
        .await
        .expect("a call never fails because of the broker");
}

/// Sends two last events from each node and holds what every client heard against what there was: all events once, in the
/// order of their node, and nothing behind them.
async fn check_all(nodes: &[Node; 2], clients: Vec<Client>) {
    let end = Instant::now();
    for n in [EVENTS, EVENTS + 1] {
        for node in nodes {
            create(&node.app, n, end).await;
        }
    }
    for client in clients {
        let (home, heard) = (
            client.home,
            client.heard.await.expect("a client is not cut off"),
        );
        for name in ["a", "b"] {
            let of_node: Vec<u32> = heard
                .iter()
                .filter(|event| event.node == name)
                .map(|event| event.n)
                .collect();
            assert_eq!(
                of_node,
                (0..=EVENTS + 1).collect::<Vec<_>>(),
                "events of {name} at a client of {home}"
            );
        }
        let own = heard
            .iter()
            .filter(|event| event.node == home && event.n < EVENTS);
        let latest = own.map(|event| event.delay).max().unwrap_or_default();
        assert!(
            latest < Duration::from_secs(4),
            "a client of {home} waited {latest:?} for an event of its own node"
        );
    }
}

struct Broker {
    redis: RedisServer,
    proxy: Proxy,
}

impl Broker {
    fn start() -> Self {
        let redis = RedisServer::start();
        Self {
            proxy: Proxy::start(redis.port()),
            redis,
        }
    }

    fn proxy_uri(&self) -> String {
        format!("redis://127.0.0.1:{}", self.proxy.port())
    }

    fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::BrokerKilled => self.redis.kill(),
            Fault::BrokerFrozen => self.redis.freeze(),
            Fault::OneLinkStalled => self.proxy.stall(),
            Fault::OneLinkCut => self.proxy.cut(),
        }
    }

    fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::BrokerKilled => self.redis.restart(),
            Fault::BrokerFrozen => self.redis.thaw(),
            Fault::OneLinkStalled => self.proxy.resume(),
            Fault::OneLinkCut => self.proxy.heal(),
        }
    }
}

async fn node(name: &str, uri: &str, delivery: Delivery) -> Node {
    let mut options = SyncOptions::default();
    options.delivery = delivery;
    let builder = App::builder()
        .name(name)
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .publish(|_event, channels| channels.channel("everybody"))
        .sync_options(options)
        .sync_uri(uri);
    let node = Node::start(builder).await;
    within(node.app.sync().ready()).await.expect("Redis runs");
    node
}

/// A client that notes what it hears until the last event of each node has come.
struct Client {
    home: String,
    heard: JoinHandle<Vec<Heard>>,
}

/// One event as a client heard it.
struct Heard {
    node: String,
    n: u32,
    delay: Duration,
}

impl Client {
    async fn start(node: &Node, start: Instant) -> Self {
        let socket = SocketClient::connect(node.addr).await;
        Self {
            home: node.app.name().to_owned(),
            heard: background(listen(socket, start)),
        }
    }
}

async fn listen(mut socket: SocketClient, start: Instant) -> Vec<Heard> {
    let (mut heard, mut ends) = (Vec::new(), 0);
    while ends < 2 {
        let (name, data) = socket.event().await;
        assert_eq!(name, "messages created");
        let event = Heard::new(&data, start);
        ends += u32::from(event.n == EVENTS + 1);
        heard.push(event);
    }
    heard
}

impl Heard {
    fn new(data: &Value, start: Instant) -> Self {
        let number = |name: &str| data[name].as_u64().expect("a number");
        Self {
            node: data["node"].as_str().expect("a text").to_owned(),
            n: u32::try_from(number("n")).expect("a small number"),
            delay: start
                .elapsed()
                .saturating_sub(Duration::from_millis(number("at"))),
        }
    }
}

/// The back-off between two dials alone may be five seconds.
const RECOVERY: Duration = Duration::from_secs(15);
const OUTAGE: Duration = Duration::from_secs(5);
/// Clients of each node.
const CLIENTS: u32 = 50;
/// Of each of the two nodes: 200 a second together.
const EVENTS_PER_SECOND: u32 = 100;
/// Nine seconds: one before the fault, five in it, three after.
const EVENTS: u32 = 900;
