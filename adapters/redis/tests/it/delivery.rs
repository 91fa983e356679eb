//! Clauses 1 to 5: what arrives, and where.

use super::*;

#[tokio::test]
async fn clause_01_every_link_hears_each_payload_once_the_sender_included() {
    let server = RedisServer::start();
    let mut links = [
        open(&server, "k").await,
        open(&server, "k").await,
        open(&server, "k").await,
    ];
    publish(&mut links[0], Lane::Events, &["a", "b"]).await;
    publish(&mut links[1], Lane::Events, &["end"]).await;
    for link in &mut links {
        expect(&mut link.inbound, Lane::Events, &["a", "b", "end"]).await;
    }
}

#[tokio::test]
async fn clause_02_a_thousand_in_batches_of_all_sizes_arrive_in_order_on_every_link() {
    let server = RedisServer::start();
    let mut sender = open(&server, "k").await;
    let mut peer = open(&server, "k").await;
    let payloads: Vec<Bytes> = (0..1_000).map(|n| Bytes::from(format!("{n}"))).collect();

    let mut rest = &payloads[..];
    for size in [1, 255, 256, 257, 0, 200].into_iter().cycle() {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        let report = sender.outbound.publish(Lane::Events, batch).await.unwrap();
        assert!(report.failed.is_empty());
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    for link in [&mut sender, &mut peer] {
        for payload in &payloads {
            assert_eq!(
                next(&mut link.inbound).await,
                (Lane::Events, payload.clone())
            );
        }
    }
}

#[tokio::test]
async fn clause_03_empty_binary_and_longest_payloads_arrive_unchanged() {
    let server = RedisServer::start();
    let mut link = open(&server, "k").await;
    let all_bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let batch = [
        Bytes::new(),
        Bytes::from_static(b"\r\n$-1\r\n\0\xff"),
        Bytes::from(all_bytes),
        Bytes::from(vec![7; 1024 * 1024]),
        Bytes::new(),
    ];
    let report = link.outbound.publish(Lane::Events, &batch).await.unwrap();
    assert!(report.failed.is_empty());
    for payload in batch {
        assert_eq!(next(&mut link.inbound).await, (Lane::Events, payload));
    }
}

#[tokio::test]
async fn clause_03_a_payload_over_the_limit_fails_alone() {
    let server = RedisServer::start();
    let mut options = LinkOptions::new("k");
    options.max_payload = 4;
    let mut link = connect(&server.uri(), &options).await.unwrap();
    let batch = ["12345", "1234", "123456", ""].map(Bytes::from);
    let report = link.outbound.publish(Lane::Events, &batch).await.unwrap();
    let failed: Vec<_> = report.failed.iter().map(|(i, e)| (*i, e.kind())).collect();
    let too_large = ErrorKind::PayloadTooLarge;
    assert_eq!(failed, [(0, too_large), (2, too_large)]);
    expect(&mut link.inbound, Lane::Events, &["1234", ""]).await;
}

#[tokio::test]
async fn clause_04_topics_are_isolated_and_lanes_are_told_apart() {
    let server = RedisServer::start();
    let mut one = open(&server, "one").await;
    let mut two = open(&server, "two").await;
    publish(&mut one, Lane::Events, &["1e"]).await;
    publish(&mut two, Lane::Events, &["2e"]).await;
    publish(&mut one, Lane::Control, &["1c"]).await;
    publish(&mut two, Lane::Control, &["2c"]).await;
    expect(&mut one.inbound, Lane::Events, &["1e"]).await;
    expect(&mut one.inbound, Lane::Control, &["1c"]).await;
    expect(&mut two.inbound, Lane::Events, &["2e"]).await;
    expect(&mut two.inbound, Lane::Control, &["2c"]).await;
}

#[tokio::test]
async fn clause_04_databases_are_told_apart_although_redis_does_not() {
    let server = RedisServer::start();
    let in_database = |number: u32| format!("{}/{number}", server.uri());
    let options = LinkOptions::new("k");
    let mut zero = connect(&in_database(0), &options).await.unwrap();
    let mut three = connect(&in_database(3), &options).await.unwrap();
    publish(&mut zero, Lane::Events, &["zero"]).await;
    publish(&mut three, Lane::Events, &["three"]).await;
    publish(&mut three, Lane::Control, &["three"]).await;
    expect(&mut three.inbound, Lane::Events, &["three"]).await;
    expect(&mut three.inbound, Lane::Control, &["three"]).await;
    expect(&mut zero.inbound, Lane::Events, &["zero"]).await;
    let mut channels: Vec<_> = server
        .cli(&["pubsub", "channels"])
        .lines()
        .map(str::to_owned)
        .collect();
    channels.sort_unstable();
    assert_eq!(channels, ["k", "k.wb", "k.wb:3", "k:3"]);
}

#[tokio::test]
async fn clause_05_what_is_published_right_after_connect_is_heard_on_both_lanes() {
    let server = RedisServer::start();
    let mut sender = open(&server, "k").await;
    for round in 0..50 {
        let mut fresh = open(&server, "k").await;
        let (event, control) = (format!("e{round}"), format!("c{round}"));
        publish(&mut sender, Lane::Control, &[&control]).await;
        publish(&mut sender, Lane::Events, &[&event]).await;
        expect(&mut fresh.inbound, Lane::Control, &[&control]).await;
        expect(&mut fresh.inbound, Lane::Events, &[&event]).await;
    }
}

#[tokio::test]
async fn a_foreign_client_on_the_bare_channel_hears_us_and_is_heard() {
    let server = RedisServer::start();
    let mut link = open(&server, "feathers-sync").await;
    let receivers = server.cli(&["publish", "feathers-sync", "from outside"]);
    assert_eq!(receivers.trim(), "1", "one subscriber per link");
    expect(&mut link.inbound, Lane::Events, &["from outside"]).await;
}
