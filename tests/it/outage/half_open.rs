//! One node's link goes on in one direction alone: nothing closes, and the other nodes notice nothing.

use wingbeat_adapter::conformance::Direction;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_link_of_one_node_costs_no_event() {
    half_open(Direction::FromBroker, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_link_of_one_node_costs_no_event() {
    half_open(Direction::ToBroker, None).await;
}

/// It hears all the others say and nothing of its own is late, so only what comes back of itself shows that it is mute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_link_of_an_idle_node_costs_no_event() {
    half_open(Direction::ToBroker, Some(B)).await;
}

async fn half_open(silent: Direction, idle: Option<usize>) {
    let _turn = turn(Size::Half).await;
    let broker = Broker::start();
    let plan = Plan {
        idle,
        ..Plan::default()
    };
    let load = Load::start(&plan, &broker.uris(3)).await;
    warm_up().await;
    let what = format!("{silent:?} is silent, idle: {idle:?}");
    let mut trouble = load.trouble(&what, &[B]);
    broker.proxy.half_open(silent);
    trouble.felt().await;
    broker.proxy.resume();
    trouble.over().await;
    assert_eq!(load.finish().await, 0, "nothing is missing");
}
