//! Clauses 8 to 11: close, drop, cancel, overflow.

use futures_util::FutureExt;

use super::*;

/// Connections to the server without the one that asks.
fn clients(server: &RedisServer) -> usize {
    server.cli(&["client", "list"]).lines().count() - 1
}

#[tokio::test]
async fn clause_08_close_is_idempotent_ends_inbound_and_later_publishes_are_closed() {
    let server = RedisServer::start();
    let mut link = open(&server, "k").await;
    publish(&mut link, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    link.outbound.close().await.unwrap();
    link.outbound.close().await.unwrap();
    assert!(within(LIMIT, link.inbound.next()).await.is_none());
    let error = link.outbound.publish(Lane::Events, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn clause_09_24_links_closed_or_dropped_leave_no_client_behind() {
    let server = RedisServer::start();
    let mut halves: Vec<Box<dyn std::any::Any>> = Vec::new();
    for round in 0..24 {
        let mut link = open(&server, "k").await;
        match round % 4 {
            0 => drop(link),
            // The other half stays; what it holds must not keep the connection of this one.
            1 => {
                link.outbound.close().await.unwrap();
                halves.push(Box::new(link));
            }
            2 => drop(link.inbound),
            _ => {
                drop(link.outbound);
                expect_lost(&mut link.inbound).await;
                halves.push(Box::new(link.inbound));
            }
        }
    }
    until("no client is left", || clients(&server) == 0).await;
    drop(halves);
}

#[tokio::test]
async fn both_connections_carry_the_label_in_the_servers_list() {
    let server = RedisServer::start();
    let mut options = LinkOptions::new("k");
    options.name = "node a\n1".to_owned();
    let _link = connect(&server.uri(), &options).await.unwrap();
    let list = server.cli(&["client", "list"]);
    assert_eq!(list.matches("name=node-a-1 ").count(), 2, "{list}");
    assert_eq!(list.matches("sub=2 ").count(), 1, "{list}");
}

#[tokio::test]
async fn clause_10_a_cancelled_publish_neither_breaks_the_link_nor_is_overtaken() {
    let server = RedisServer::start();
    let mut link = open(&server, "k").await;
    server.freeze();
    let batch = [Bytes::from("cancelled")];
    let short = Duration::from_millis(50);
    let cancelled = timeout(short, link.outbound.publish(Lane::Events, &batch)).await;
    assert!(cancelled.is_err(), "a frozen server does not answer");
    server.thaw();
    publish(&mut link, Lane::Events, &["later"]).await;
    let (_, first) = next(&mut link.inbound).await;
    if first == "cancelled" {
        expect(&mut link.inbound, Lane::Events, &["later"]).await;
    } else {
        assert_eq!(first, "later");
    }
    assert!(link.inbound.next().now_or_never().is_none());
}

#[tokio::test]
async fn clause_10_a_cancelled_connect_leaves_no_client_and_a_usable_adapter() {
    let server = RedisServer::start();
    let adapter = RedisAdapter::from_uri(&server.uri()).unwrap();
    let options = LinkOptions::new("k");
    for polls in 1..20 {
        let mut connecting = adapter.connect(&options);
        for _ in 0..polls {
            if (&mut connecting).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    until("no client is left", || clients(&server) == 0).await;
    assert!(adapter.connect(&options).await.is_ok());
}

/// 300 MiB for a reader that does not read: the most that may wait is 32 MiB, and every message is accounted for.
#[tokio::test]
async fn clause_11_a_stopped_reader_is_told_what_it_lost_and_memory_stays_bounded() {
    let server = RedisServer::start();
    let mut sender = open(&server, "k").await;
    let mut idle = open(&server, "k").await;
    let before = resident_mebibytes();
    let batch = vec![Bytes::from(vec![1; 256 * 1024]); 8];
    let mut peak = before;
    for _ in 0..150 {
        sender.outbound.publish(Lane::Events, &batch).await.unwrap();
        for _ in &batch {
            next(&mut sender.inbound).await;
        }
        peak = peak.max(resident_mebibytes());
    }
    assert!(peak - before < 150, "grew by {} MiB", peak - before);

    let (mut kept, mut lost) = (0, 0);
    while kept + lost < 1_200 {
        match within(LIMIT, idle.inbound.next()).await {
            Some(Ok(Incoming::Message { .. })) => {
                assert_eq!(lost, 0, "what was kept is older than what was lost");
                kept += 1;
            }
            Some(Ok(Incoming::Lost(n))) => lost += n,
            other => panic!("the link lives on: {other:?}"),
        }
    }
    assert_eq!((kept, lost), (128, 1_072));
    publish(&mut sender, Lane::Events, &["on"]).await;
    expect(&mut idle.inbound, Lane::Events, &["on"]).await;
}

fn resident_mebibytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line
        .and_then(|line| line.split_whitespace().nth(1))
        .unwrap();
    kibibytes.parse::<usize>().unwrap() / 1024
}
