//! What the clients of nodes hear when Redis dies, freezes, fails over or drops them, or one node's link to it suffers.
//!
//! "Every client has every event once" means: a client that is connected before the first and after the last event receives
//! each event's frame exactly once, in the order of the node that it happened on.

mod failover;
mod half_open;
mod kicked;
mod kills;

use std::time::Duration;

use wingbeat::sync::Delivery;

use crate::support::load::{Load, Plan, Size, turn};
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;

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
    let _turn = turn(Size::Whole).await;
    let mut broker = Broker::start();
    let mut plan = Plan {
        clients: 50,
        ..Plan::default()
    };
    plan.options.delivery = delivery;
    let load = Load::start(&plan, &broker.uris(2)).await;
    warm_up().await;
    let what = format!("{fault:?}");
    let mut trouble = load.trouble(&what, &[B]);
    broker.fail(fault);
    trouble.felt().await;
    trouble.lasts(OUTAGE).await;
    broker.mend(fault);
    let wait = trouble.over().await;
    assert!(wait < LONGEST_WAIT, "a client waited {wait:?}");
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

/// Lets some events pass before something goes wrong.
async fn warm_up() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// The id of the one connection whose entry in the server's list has all of these.
fn client_id(redis: &RedisServer, having: &[&str]) -> String {
    let list = redis.cli(&["client", "list"]);
    let has_all = |line: &&str| {
        let has = |wanted: &&str| line.split(' ').any(|field| field == *wanted);
        having.iter().all(has)
    };
    let lines: Vec<&str> = list.lines().filter(has_all).collect();
    assert_eq!(lines.len(), 1, "{having:?} in {list}");
    lines[0].split(['=', ' ']).nth(1).unwrap().to_owned()
}

/// A Redis, and a proxy in front of it for the node whose link is to suffer.
struct Broker {
    redis: RedisServer,
    proxy: Proxy,
}

impl Broker {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let redis = RedisServer::start_with(arguments);
        Self {
            proxy: Proxy::start(redis.port()),
            redis,
        }
    }

    /// The URIs of so many nodes, of which [`B`] goes through the proxy.
    fn uris(&self, n: usize) -> Vec<String> {
        let proxied = format!("redis://127.0.0.1:{}", self.proxy.port());
        let mut uris = vec![self.redis.uri(); n];
        uris[B] = proxied;
        uris
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

/// The node whose link goes through the proxy.
const B: usize = 1;
/// All of three nodes.
const ALL: &[usize] = &[0, 1, 2];
const OUTAGE: Duration = Duration::from_secs(5);
/// Of a client for an event of its own node: the echo deadline and what a busy machine takes, but not until all is well.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
