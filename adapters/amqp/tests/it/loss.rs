//! Clauses 6 and 7: a link that dies says so, and another one can be opened.

use wingbeat_adapter::conformance::Direction;

use super::*;
use crate::proxy::Proxy;
use crate::rabbitmq::free_port;

#[tokio::test]
async fn clause_06_a_killed_server_ends_the_link_after_what_had_arrived_and_a_restarted_one_is_joined()
 {
    let server = RabbitMq::start();
    let adapter = AmqpAdapter::from_uri(&server.uri()).unwrap();
    let options = LinkOptions::new("k");
    let mut old = adapter.connect(&options).await.unwrap();
    publish(&mut old, Lane::Events, &["a"]).await;
    expect(&mut old.inbound, Lane::Events, &["a"]).await;
    server.kill();
    let (_, took) = wait_for_end(&mut old.inbound, LIMIT).await;
    println!("a killed server was noticed after {took:?}");
    expect_refused_publish(&mut old).await;
    let error = adapter.connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    server.restart();
    let mut new = adapter.connect(&options).await.unwrap();
    let mut other = adapter.connect(&options).await.unwrap();
    expect_joined(&mut new, &mut other).await;
    expect_refused_publish(&mut old).await;
}

async fn expect_refused_publish(lost: &mut Link) {
    let error = lost.outbound.publish(Lane::Events, &[]).await.unwrap_err();
    assert!(error.is_transient(), "a lost link stays lost: {error:?}");
}

#[tokio::test]
async fn clause_06_a_publish_is_what_notices_a_killed_server_first() {
    let server = RabbitMq::start();
    let mut link = open(&server.uri(), "k").await;
    server.kill();
    let batch = [Bytes::from("x")];
    let error = within(LIMIT, link.outbound.publish(Lane::Events, &batch))
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    expect_over(&mut link).await;
}

#[tokio::test]
async fn clause_06_a_frozen_server_ends_an_idle_link_by_heartbeat_and_a_busy_one_by_its_publish() {
    let server = RabbitMq::start();
    let mut idle = open(&server.uri(), "k").await;
    let mut busy = open(&server.uri(), "k").await;
    server.freeze();
    let batch = [Bytes::from("x")];
    let start = Instant::now();
    let error = within(HEARTBEAT, busy.outbound.publish(Lane::Events, &batch))
        .await
        .unwrap_err();
    println!(
        "a publish noticed a frozen server after {:?}",
        start.elapsed()
    );
    assert!(error.to_string().contains("does not confirm"), "{error}");
    let (error, _) = wait_for_end(&mut idle.inbound, HEARTBEAT).await;
    println!(
        "the heartbeat noticed it after {:?}: {error:?}",
        start.elapsed()
    );

    let mut options = LinkOptions::new("k");
    options.connect_timeout = Duration::from_millis(200);
    let error = connect(&server.uri(), &options).await.unwrap_err();
    assert!(
        error.to_string().contains("does not answer within 200ms"),
        "{error}"
    );
    server.thaw();
    until("nothing of it is left", || server.holdings("/") == 0).await;
    assert!(connect(&server.uri(), &LinkOptions::new("k")).await.is_ok());
}

#[tokio::test]
async fn clause_06_a_half_open_line_ends_the_link_within_the_heartbeat_either_way() {
    let place = Place::new();
    for (direction, what) in [
        (Direction::FromBroker, "a deaf"),
        (Direction::ToBroker, "a mute"),
    ] {
        let proxy = Proxy::start(place.server.port());
        // The option counts in whole seconds, and so does the broker.
        let uri = format!("{}?heartbeat=1", place.uri_at(proxy.port()));
        let mut behind = open(&uri, "k").await;
        proxy.half_open(direction);
        let (error, took) = wait_for_end(&mut behind.inbound, HEARTBEAT).await;
        println!("{what} link with a heartbeat of 1 s was noticed after {took:?}: {error:?}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
}

#[tokio::test]
async fn clause_07_a_link_cut_by_a_proxy_is_over_and_another_one_opens_when_it_heals() {
    let place = Place::new();
    let proxy = Proxy::start(place.server.port());
    let uri = place.uri_at(proxy.port());
    let options = LinkOptions::new("k");
    let mut behind = connect(&uri, &options).await.unwrap();
    let mut direct = place.open("k").await;
    proxy.cut();
    let (_, took) = wait_for_end(&mut behind.inbound, LIMIT).await;
    println!("a cut line was noticed after {took:?}");
    expect_refused_publish(&mut behind).await;
    let error = connect(&uri, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    proxy.heal();
    let mut again = connect(&uri, &options).await.unwrap();
    expect_joined(&mut again, &mut direct).await;
}

#[tokio::test]
async fn clause_12_nobody_at_home_is_unavailable() {
    let port = free_port();
    let uri = format!("amqp://127.0.0.1:{port}");
    let error = connect(&uri, &LinkOptions::new("k")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        format!("cannot reach RabbitMQ at 127.0.0.1:{port}")
    );
}

#[tokio::test]
async fn of_several_hosts_the_first_that_serves_is_taken() {
    let place = Place::new();
    let silent = Proxy::start(place.server.port());
    silent.stall();
    let (nobody, port) = (free_port(), place.server.port());
    let hosts = format!(
        "127.0.0.1:{nobody},127.0.0.1:{},127.0.0.1:{port}",
        silent.port()
    );
    let uri = place.uri().replace(&format!("127.0.0.1:{port}"), &hosts);
    let mut link = open(&uri, "k").await;
    let mut direct = place.open("k").await;
    expect_joined(&mut link, &mut direct).await;

    let intruder = uri
        .replace("open-sesame", "wrong")
        .replace(&format!("127.0.0.1:{nobody},"), "");
    let mut options = LinkOptions::new("k");
    options.connect_timeout = Duration::from_secs(1);
    let error = connect(&intruder, &options).await.unwrap_err();
    assert!(
        error.is_transient(),
        "the silent one may let us in: {error:?}"
    );
}
