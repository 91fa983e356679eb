//! What whole nodes leave behind when they are closed: on the broker, and in the process that they were in.

use std::time::{Duration, Instant};

use serde_json::json;
use wingbeat::Leftover;

use crate::support::broker::{Broker, over_brokers};
use crate::support::load::{Client, Maker, Size, builder, turn};
use crate::support::process;
use crate::support::{Node, eventually_in, within};

over_brokers! {
    nodes_that_are_built_and_closed_leave_nothing: always, always, always;
}

/// In a process of their own, whose threads and open files are then those of nobody else.
async fn nodes_that_are_built_and_closed_leave_nothing<B: Broker>() {
    let _turn = turn(Size::Half).await;
    let broker = B::start();
    let mut due = broker.holdings();
    let one = Node::start(builder("one").sync_uri(broker.uri())).await;
    within(one.app.sync().ready()).await.unwrap();
    assert_ne!(broker.holdings(), due, "a node is seen");
    one.stop().await;

    let variables = [(URI, &*broker.uri()), (KEEPS, &json!(B::KEEPS).to_string())];
    let child = process::child("leftovers::child", 1_024, &variables);
    let ended = tokio::time::timeout(LIFE * N, child.wait_with_output()).await;
    let output = ended.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    due.extend(B::STAYS.iter().copied().map(str::to_owned));
    eventually_in(LIMIT, "the broker forgets", || broker.holdings() == due).await;
}

/// Lets nodes live and end, and then looks for what they left in this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as a child of other tests"]
async fn child() {
    let [uri, keeps] = [URI, KEEPS].map(|name| std::env::var(name).unwrap());
    let keeps: [usize; 2] = serde_json::from_str(&keeps).unwrap();
    let before = usage();
    for _ in 0..N {
        live(&uri).await;
    }
    let due = [before[0] + keeps[0], before[1] + keeps[1]];
    println!("{before:?} before, {:?} after, {due:?} due", usage());
    let are_due = || usage() == due;
    eventually_in(LIMIT, "threads and open files are as before", are_due).await;
}

/// The life of a node with a client.
async fn live(uri: &str) {
    let node = Node::start(builder("short").sync_uri(uri)).await;
    within(node.app.sync().ready()).await.unwrap();
    let start = Instant::now();
    let client = Client::start(&node, start).await;
    Maker::new(&node, start).make().await;
    let has_heard = || client.heard().count("short") == 1;
    eventually_in(LIMIT, "its client hears it", has_heard).await;
    drop(client);
    assert_eq!(node.stop().await, Leftover::default());
}

/// The threads and the open files of this process.
fn usage() -> [usize; 2] {
    ["/proc/self/task", "/proc/self/fd"].map(|list| std::fs::read_dir(list).unwrap().count())
}

/// How many nodes live, one after the other.
const N: u32 = 24;
/// Of each, at most, on a machine that has other work to do.
const LIFE: Duration = Duration::from_secs(5);
/// Threads that did blocking work wait ten seconds for more of it.
const LIMIT: Duration = Duration::from_secs(30);
const URI: &str = "WINGBEAT_TEST_URI";
const KEEPS: &str = "WINGBEAT_TEST_KEEPS";
