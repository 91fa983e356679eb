//! The broker goes and comes back, once, thrice, or for longer than events are kept.

use super::*;

over_brokers! {
    three_kills_within_a_minute_cost_no_event: always, long, long;
    an_outage_longer_than_the_log_is_told_in_exact_gaps: always, long, long;
}

/// 500 events a second together.
async fn three_kills_within_a_minute_cost_no_event<B: Broker>() {
    let _turn = turn(Size::Whole).await;
    let mut broker = B::start();
    let plan = Plan {
        clients: 10,
        rate: 167,
        ..Plan::default()
    };
    let load = Load::start(&plan, &vec![broker.uri(); 3]).await;
    for n in 1..=3 {
        warm_up().await;
        let what = format!("kill {n} of three, {}", B::NAME);
        let mut trouble = load.trouble(&what, ALL);
        broker.kill();
        trouble.felt().await;
        trouble.lasts(Duration::from_secs(2)).await;
        broker.restart();
        trouble.over().await;
    }
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

/// It is asked to end and there again before anybody has dialled twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_broker_costs_no_event() {
    let _turn = turn(Size::Half).await;
    let mut redis = RedisServer::start();
    let load = Load::start(&Plan::default(), &vec![redis.uri(); 3]).await;
    warm_up().await;
    let mut trouble = load.trouble("Redis is restarted", ALL);
    redis.cli(&["shutdown", "nosave"]);
    redis.restart();
    trouble.felt().await;
    trouble.over().await;
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

/// The log is so short that most of what happens meanwhile leaves it: that is told, to the event.
async fn an_outage_longer_than_the_log_is_told_in_exact_gaps<B: Broker>() {
    let _turn = turn(Size::Half).await;
    let mut broker = B::start();
    let mut plan = Plan::default();
    plan.options.log_events = 50;
    let load = Load::start(&plan, &vec![broker.uri(); 3]).await;
    warm_up().await;
    let what = format!("{} is away for longer than the log reaches", B::NAME);
    let mut trouble = load.trouble(&what, ALL);
    broker.kill();
    trouble.felt().await;
    trouble.lasts(Duration::from_secs(2)).await;
    broker.restart();
    trouble.over().await;
    let missing = load.finish().await;
    assert!(missing > 0, "the log holds half a second");
}
