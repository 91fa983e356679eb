//! What the clients of nodes hear when the broker dies, freezes, fails over or drops them, or one node's link to it suffers.
//!
//! "Every client has every event once" means: a client that is connected before the first and after the last event receives
//! each event's frame exactly once, in the order of the node that it happened on.

mod failover;
mod half_open;
mod kicked;
mod kills;

use std::time::Duration;

use wingbeat::sync::Delivery;

use crate::support::broker::{Broker, over_brokers};
use crate::support::load::{Load, Plan, Size, turn};
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;

/// What goes wrong, and for five seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    BrokerKilled,
    /// It keeps its connections and answers nothing; what it was sent it carries out when it thaws.
    BrokerFrozen,
    OneLinkCut,
    /// The connections stay open and nothing passes.
    OneLinkStalled,
}

over_brokers! {
    a_killed_broker_costs_no_event_ordered: always, always, always;
    a_killed_broker_costs_no_event_local_first: always, long, long;
    the_cut_link_of_one_node_costs_no_event_ordered: always, long, long;
    the_cut_link_of_one_node_costs_no_event_local_first: always, long, long;
    a_frozen_broker_costs_no_event: always, always, always;
    the_stalled_link_of_one_node_costs_no_event: always, long, long;
}

async fn a_killed_broker_costs_no_event_ordered<B: Broker>() {
    no_event_is_lost::<B>(Fault::BrokerKilled, Delivery::Ordered).await;
}

async fn a_killed_broker_costs_no_event_local_first<B: Broker>() {
    no_event_is_lost::<B>(Fault::BrokerKilled, Delivery::LocalFirst).await;
}

async fn the_cut_link_of_one_node_costs_no_event_ordered<B: Broker>() {
    no_event_is_lost::<B>(Fault::OneLinkCut, Delivery::Ordered).await;
}

async fn the_cut_link_of_one_node_costs_no_event_local_first<B: Broker>() {
    no_event_is_lost::<B>(Fault::OneLinkCut, Delivery::LocalFirst).await;
}

async fn a_frozen_broker_costs_no_event<B: Broker>() {
    no_event_is_lost::<B>(Fault::BrokerFrozen, Delivery::Ordered).await;
}

async fn the_stalled_link_of_one_node_costs_no_event<B: Broker>() {
    no_event_is_lost::<B>(Fault::OneLinkStalled, Delivery::Ordered).await;
}

async fn no_event_is_lost<B: Broker>(fault: Fault, delivery: Delivery) {
    let _turn = turn(Size::Whole).await;
    let mut broker = Proxied::<B>::start();
    let mut plan = Plan {
        clients: 50,
        ..Plan::default()
    };
    plan.options.delivery = delivery;
    let load = Load::start(&plan, &broker.uris(2)).await;
    warm_up().await;
    let what = format!("{fault:?} over {}", B::NAME);
    let mut trouble = load.trouble(&what, &[VICTIM]);
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

/// A broker, and a proxy in front of it for the node whose link is to suffer.
struct Proxied<B> {
    broker: B,
    proxy: Proxy,
}

impl<B: Broker> Proxied<B> {
    fn start() -> Self {
        Self::new(B::start())
    }

    fn new(broker: B) -> Self {
        Self {
            proxy: Proxy::start(broker.port()),
            broker,
        }
    }

    /// The URIs of so many nodes, of which [`VICTIM`] goes through the proxy.
    fn uris(&self, n: usize) -> Vec<String> {
        let mut uris = vec![self.broker.uri(); n];
        uris[VICTIM] = B::uri_at(self.proxy.port());
        uris
    }

    fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::BrokerKilled => self.broker.kill(),
            Fault::BrokerFrozen => self.broker.freeze(),
            Fault::OneLinkStalled => self.proxy.stall(),
            Fault::OneLinkCut => self.proxy.cut(),
        }
    }

    fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::BrokerKilled => self.broker.restart(),
            Fault::BrokerFrozen => self.broker.thaw(),
            Fault::OneLinkStalled => self.proxy.resume(),
            Fault::OneLinkCut => self.proxy.heal(),
        }
    }
}

/// The node whose link goes through the proxy.
const VICTIM: usize = 1;
/// All of three nodes.
const ALL: &[usize] = &[0, 1, 2];
const OUTAGE: Duration = Duration::from_secs(5);
/// Of a client for an event of its own node: the echo deadline and what a busy machine takes, but not until all is well.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
