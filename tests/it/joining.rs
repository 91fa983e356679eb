//! Nodes that come and go while others are at work, over real brokers.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use wingbeat::sync::{Status, SyncOptions};
use wingbeat::{App, Leftover, Memory};

use crate::support::broker::{Broker, over_brokers};
use crate::support::load::{Client, Gaps, Load, Maker, Plan, Size, builder, note_gaps, turn};
use crate::support::redis::RedisServer;
use crate::support::{Node, eventually_in, within};

/// A node that joins, and a client that it serves from the first moment, long before there is a link.
struct Joiner {
    node: Node,
    client: Client,
    maker: Maker,
    gaps: Gaps,
    /// How far the others were when the client was connected, and when the node was ready.
    others_at_connect: Vec<u64>,
    others_at_ready: Vec<u64>,
}

impl Joiner {
    /// Its first events are made before it has a link, the next ones when it is ready.
    async fn join(name: &str, uri: &str, load: &Load) -> Self {
        let node = Node::start(builder(name).sync_uri(uri)).await;
        let gaps = note_gaps(&node.app);
        let client = Client::start(&node, load.start).await;
        let maker = Maker::new(&node, load.start);
        let others_at_connect = load.made();
        make(&maker, 10).await;
        within(node.app.sync().ready()).await.unwrap();
        let others_at_ready = load.made();
        make(&maker, 10).await;
        Self {
            node,
            client,
            maker,
            gaps,
            others_at_connect,
            others_at_ready,
        }
    }

    /// Its client has everything that the others made since the node was ready. What they made between the connect and the
    /// ready it has or is told: while the node asks for it, more can come in than it may hold.
    async fn is_in_the_stream_of(&self, load: &Load) {
        for (at, other) in load.names().enumerate() {
            let (connect, ready) = (self.others_at_connect[at], self.others_at_ready[at]);
            let is_in = || {
                let last = self.client.heard().of(other).last().copied();
                last.is_some_and(|n| n > ready + 20)
            };
            eventually_in(LIMIT, "the new node is in the stream", is_in).await;
            let heard = self.client.heard().of(other).to_vec();
            assert!(heard.is_sorted_by(|a, b| a < b), "order of {other}");
            let told = told(&self.gaps, other);
            // The one that was just being made is older than the client, or not.
            let mut all: Vec<u64> = [heard, told.clone()].concat();
            all.retain(|n| *n > connect);
            all.sort_unstable();
            let due: Vec<u64> = (connect + 1..).take(all.len()).collect();
            assert_eq!(all, due, "of {other} at {}", self.node.app.name());
            let late = told.iter().find(|n| **n > ready);
            assert_eq!(late, None, "made after ready and missing");
        }
    }

    /// Makes its last events and leaves at once.
    async fn leave(self) {
        make(&self.maker, 10).await;
        drop(self.client);
        assert_eq!(self.node.stop().await, Leftover::default());
    }
}

async fn make(maker: &Maker, n: usize) {
    for _ in 0..n {
        maker.make().await;
    }
}

/// Every client of the others has all of a node that has left.
async fn have_all_of(name: &str, load: &Load) {
    for client in &load.clients {
        let has_all = || load.accounted(client, name) >= 30;
        eventually_in(LIMIT, "the others have all of the new one", has_all).await;
        let due: Vec<u64> = (0..30).collect();
        assert_eq!(client.heard().of(name), due, "{name}");
    }
}

/// The numbers that a node was told are missing.
fn told(gaps: &Gaps, origin: &str) -> Vec<u64> {
    let gaps = gaps.lock();
    let ranges = gaps.get(origin).into_iter().flatten();
    ranges.flat_map(|&(from, to)| from..=to).collect()
}

over_brokers! {
    a_node_that_joins_under_load_misses_nothing_and_is_not_missed: always, long, always;
    eight_nodes_that_join_at_once_under_load_miss_nothing_and_are_not_missed: always, always, long;
    eight_nodes_that_join_at_once_hear_each_other: always, long, always;
}

/// Two nodes that make 500 events a second, together.
async fn old_nodes(broker: &impl Broker) -> Load {
    let plan = Plan {
        clients: 1,
        rate: 250,
        ..Plan::default()
    };
    Load::start(&plan, &vec![broker.uri(); 2]).await
}

async fn a_node_that_joins_under_load_misses_nothing_and_is_not_missed<B: Broker>() {
    let _turn = turn(Size::Half).await;
    let broker = B::start();
    let load = old_nodes(&broker).await;
    let mut longest = Duration::ZERO;
    for round in 0..20 {
        let (name, start) = (format!("new-{round}"), Instant::now());
        let new = Joiner::join(&name, &broker.uri(), &load).await;
        new.is_in_the_stream_of(&load).await;
        longest = longest.max(start.elapsed());
        new.leave().await;
        have_all_of(&name, &load).await;
    }
    let name = B::NAME;
    println!(
        "the longest of 20 joins over {name} took {longest:.1?} from the start into the stream"
    );
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

async fn eight_nodes_that_join_at_once_under_load_miss_nothing_and_are_not_missed<B: Broker>() {
    let _turn = turn(Size::Half).await;
    let broker = B::start();
    let load = old_nodes(&broker).await;
    let names: Vec<String> = (0..8).map(|n| format!("new-{n}")).collect();
    let uri = broker.uri();
    let joining = names.iter().map(|name| Joiner::join(name, &uri, &load));
    let new = join_all(joining).await;
    for joiner in &new {
        joiner.is_in_the_stream_of(&load).await;
    }
    join_all(new.into_iter().map(Joiner::leave)).await;
    for name in &names {
        have_all_of(name, &load).await;
    }
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

/// They are there, with a client each, before the first of them makes its first event.
async fn eight_nodes_that_join_at_once_hear_each_other<B: Broker>() {
    let broker = B::start();
    let start = Instant::now();
    let mut all = Vec::new();
    for n in 0..8 {
        let node = Node::start(builder(&format!("node-{n}")).sync_uri(broker.uri())).await;
        let client = Client::start(&node, start).await;
        all.push((Maker::new(&node, start), client, node));
    }
    for _ in 0..50 {
        for (maker, ..) in &all {
            maker.make().await;
        }
    }
    let due: Vec<u64> = (0..50).collect();
    for (_, client, _) in &all {
        for other in (0..8).map(|n| format!("node-{n}")) {
            let has_all = || client.heard().count(&other) >= 50;
            eventually_in(LIMIT, "every node has all of the others", has_all).await;
            assert_eq!(client.heard().of(&other), due, "{other}");
        }
    }
    for (_, client, node) in all {
        drop(client);
        node.stop().await;
    }
}

async fn create(app: &App, n: u64) {
    app.service_at("messages")
        .create(json!({ "n": n }))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_that_is_refused_for_good_gives_up_if_told_so_and_serves_on() {
    let redis = RedisServer::start_with(&["--requirepass", "right"]);
    let mut options = SyncOptions::default();
    options.fail_fast = true;
    let builder = App::builder()
        .service("messages", Memory::new())
        .sync_options(options);
    let app = builder.sync_uri(redis.uri()).build().unwrap();
    let error = within(app.sync().ready()).await.unwrap_err();
    assert!(error.to_string().contains("never ready"), "{error}");
    assert_eq!(app.sync().status(), Status::Closed);
    create(&app, 0).await;
}

/// On a machine that has other work to do, two dozen nodes on one Redis take their time.
const LIMIT: Duration = Duration::from_secs(30);
