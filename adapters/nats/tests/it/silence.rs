//! Clause 6 for servers and lines that are there and of no use, and for readers that are too slow.

use super::*;
use crate::proxy::Proxy;
use wingbeat_adapter::conformance::Direction;

/// Four heartbeats, and what a busy machine adds.
const HEARTBEATS: Duration = Duration::from_secs(6);

#[tokio::test]
async fn clause_06_a_frozen_server_ends_an_idle_link_and_holds_nothing_when_it_thaws() {
    let server = NatsServer::start();
    let mut link = open(&server).await;
    publish(&mut link, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    server.freeze();
    let (error, took) = wait_for_end(&mut link.inbound, HEARTBEATS).await;
    println!("a frozen server was noticed after {took:?}");
    assert!(error.is_transient(), "{error:?}");

    let mut options = LinkOptions::new("k");
    options.connect_timeout = Duration::from_millis(200);
    let error = connect(&server.uri(), &options).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("does not answer within 200ms"), "{text}");
    server.thaw();
    until("the dead link's connection is gone", || {
        server.holdings() == 0
    })
    .await;
    open(&server).await;
}

#[tokio::test]
async fn clause_06_the_heartbeat_can_be_set() {
    let server = NatsServer::start();
    let mut link = open_at(&format!("{}?heartbeat=200", server.uri())).await;
    server.freeze();
    let (_, took) = wait_for_end(&mut link.inbound, HEARTBEATS).await;
    println!("with a heartbeat of 200 ms it was noticed after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn clause_06_lines_that_are_silent_in_one_direction_or_both_end_the_link() {
    let server = NatsServer::start();
    for name in ["stalled", "deaf", "mute"] {
        let proxy = Proxy::start(server.port());
        let mut link = open_at(&format!("nats://127.0.0.1:{}", proxy.port())).await;
        match name {
            "deaf" => proxy.half_open(Direction::FromBroker),
            "mute" => proxy.half_open(Direction::ToBroker),
            _ => proxy.stall(),
        }
        let (error, took) = wait_for_end(&mut link.inbound, HEARTBEATS).await;
        println!("a {name} line was noticed after {took:?}");
        assert!(error.is_transient(), "{error:?}");
    }
}

#[tokio::test]
async fn a_stall_shorter_than_the_heartbeats_delays_and_loses_nothing() {
    let server = NatsServer::start();
    let proxy = Proxy::start(server.port());
    let mut behind = open_at(&format!("nats://127.0.0.1:{}", proxy.port())).await;
    let mut direct = open(&server).await;
    proxy.stall();
    publish(&mut direct, Lane::Events, &["a"]).await;
    expect(&mut direct.inbound, Lane::Events, &["a"]).await;
    let silence = timeout(Duration::from_millis(200), behind.inbound.next()).await;
    assert!(silence.is_err(), "nothing passes a stalled proxy");
    proxy.resume();
    expect(&mut behind.inbound, Lane::Events, &["a"]).await;
}

/// More than all buffers on the way take, so the library's queue fills up and would take nothing for ever. The heartbeat
/// finds that, and where it is slow, the publish itself.
#[tokio::test]
async fn a_publish_on_a_line_that_takes_nothing_does_not_hang() {
    let server = NatsServer::start();
    for (query, limit, why) in [
        ("", HEARTBEATS, "the connection to NATS is gone"),
        ("?heartbeat=60000", 2 * LIMIT, "NATS takes nothing for 5s"),
    ] {
        let proxy = Proxy::start(server.port());
        let mut link = open_at(&format!("nats://127.0.0.1:{}{query}", proxy.port())).await;
        publish(&mut link, Lane::Events, &["a"]).await;
        proxy.stall();
        let batch = vec![Bytes::from(vec![b'x'; 16 * 1024]); 4_000];
        let start = Instant::now();
        let sent = within(limit, link.outbound.publish(Lane::Events, &batch)).await;
        let error = sent.unwrap_err();
        println!("a publish failed after {:?}: {error}", start.elapsed());
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Unavailable, why)
        );
        expect_over(&mut link).await;
    }
}

/// The server keeps as much for a client as `max_pending` says and cuts it off when more comes.
#[tokio::test]
async fn a_client_that_the_server_finds_too_slow_is_cut_off_which_ends_the_link() {
    let server = NatsServer::start_with("max_pending: 2MB\nwrite_deadline: 1s");
    let proxy = Proxy::start(server.port());
    let mut behind = open_at(&format!("nats://127.0.0.1:{}", proxy.port())).await;
    let mut direct = open(&server).await;
    proxy.stall();
    let payload = Bytes::from(vec![b'x'; 256 * 1024]);
    let start = Instant::now();
    while !server.log().contains("Slow Consumer Detected") {
        assert!(start.elapsed() < LIMIT, "{}", server.log());
        let batch = [payload.clone()];
        direct.outbound.publish(Lane::Events, &batch).await.unwrap();
        next(&mut direct.inbound).await;
    }
    proxy.resume();
    let (error, _) = wait_for_end(&mut behind.inbound, LIMIT).await;
    println!(
        "a client that was too slow was cut off after {:?}",
        start.elapsed()
    );
    assert!(error.is_transient(), "{error:?}");
    publish(&mut direct, Lane::Events, &["on"]).await;
    expect(&mut direct.inbound, Lane::Events, &["on"]).await;
}
