//! One node's link goes on in one direction alone: nothing closes, and the other nodes notice nothing.

use wingbeat_adapter::conformance::Direction;

use super::*;

over_brokers! {
    a_deaf_link_of_one_node_costs_no_event: always, long, long;
    a_mute_link_of_one_node_costs_no_event: always, long, long;
    a_mute_link_of_an_idle_node_costs_no_event: always, long, long;
}

async fn a_deaf_link_of_one_node_costs_no_event<B: Broker>() {
    half_open::<B>(Direction::FromBroker, None).await;
}

async fn a_mute_link_of_one_node_costs_no_event<B: Broker>() {
    half_open::<B>(Direction::ToBroker, None).await;
}

/// It hears all the others say and nothing of its own is late, so only what comes back of itself shows that it is mute.
async fn a_mute_link_of_an_idle_node_costs_no_event<B: Broker>() {
    half_open::<B>(Direction::ToBroker, Some(VICTIM)).await;
}

async fn half_open<B: Broker>(silent: Direction, idle: Option<usize>) {
    let _turn = turn(Size::Half).await;
    let broker = Proxied::<B>::start();
    let plan = Plan {
        idle,
        ..Plan::default()
    };
    let load = Load::start(&plan, &broker.uris(3)).await;
    warm_up().await;
    let what = format!("{silent:?} is silent, idle: {idle:?}, over {}", B::NAME);
    let mut trouble = load.trouble(&what, &[VICTIM]);
    broker.proxy.half_open(silent);
    trouble.felt().await;
    broker.proxy.resume();
    trouble.over().await;
    assert_eq!(load.finish().await, 0, "nothing is missing");
}
