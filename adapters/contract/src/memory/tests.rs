//! The clauses of the contract, by their numbers, on the memory broker.

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{Inbound, Incoming};

async fn open(broker: &MemoryBroker, topic: &str) -> Link {
    broker.connect(&LinkOptions::new(topic)).await.unwrap()
}

async fn publish(link: &mut Link, lane: Lane, payloads: &[&str]) {
    let batch: Vec<Bytes> = payloads
        .iter()
        .map(|payload| Bytes::from((*payload).to_owned()))
        .collect();
    let report = link.outbound.publish(lane, &batch).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
}

/// All that can be read now: `e:` or `c:` and the payload, `-n` for a loss, `!` for an error, `.` for the end.
fn heard(inbound: &mut Inbound) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(item) = inbound.next().now_or_never() {
        let text = match item {
            Some(Ok(Incoming::Message { lane, payload })) => {
                let lane = match lane {
                    Lane::Events => 'e',
                    Lane::Control => 'c',
                };
                format!("{lane}:{}", String::from_utf8(payload.to_vec()).unwrap())
            }
            Some(Ok(Incoming::Lost(n))) => format!("-{n}"),
            Some(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                "!".to_owned()
            }
            None => ".".to_owned(),
        };
        let is_end = text == ".";
        out.push(text);
        if is_end {
            break;
        }
    }
    out
}

#[tokio::test]
async fn clause_01_every_link_hears_each_payload_once_the_sender_included() {
    let broker = MemoryBroker::new();
    let mut links = [
        open(&broker, "k").await,
        open(&broker, "k").await,
        open(&broker, "k").await,
    ];
    publish(&mut links[0], Lane::Events, &["a", "b"]).await;
    publish(&mut links[0], Lane::Control, &["c"]).await;
    for link in &mut links {
        assert_eq!(heard(&mut link.inbound), ["e:a", "e:b", "c:c"]);
    }
}

#[tokio::test]
async fn clause_02_every_link_hears_two_racing_senders_in_one_and_the_same_order() {
    let broker = MemoryBroker::new();
    let mut listener = open(&broker, "k").await;
    let mut links = [open(&broker, "k").await, open(&broker, "k").await];
    std::thread::scope(|scope| {
        for (name, link) in ["x", "y"].into_iter().zip(&mut links) {
            scope.spawn(move || {
                for round in 0..500 {
                    let pair = [&*format!("{name}{round}"), &*format!("{name}{round}+")];
                    let sent = publish(link, Lane::Events, &pair).now_or_never();
                    assert!(sent.is_some(), "the memory broker never waits");
                }
            });
        }
    });

    let order = heard(&mut listener.inbound);
    for name in ["x", "y"] {
        let prefix = format!("e:{name}");
        let own: Vec<_> = order.iter().filter(|p| p.starts_with(&prefix)).collect();
        let sent = (0..500).flat_map(|r| [format!("e:{name}{r}"), format!("e:{name}{r}+")]);
        assert!(own.into_iter().eq(&sent.collect::<Vec<_>>()));
    }
    for link in &mut links {
        assert_eq!(heard(&mut link.inbound), order);
    }
}

#[tokio::test]
async fn clause_03_empty_and_longest_payloads_pass_and_a_longer_one_fails_alone() {
    let broker = MemoryBroker::new();
    let mut options = LinkOptions::new("k");
    options.max_payload = 4;
    let mut link = broker.connect(&options).await.unwrap();

    let batch = ["", "1234", "12345", "x"].map(Bytes::from);
    let report = link.outbound.publish(Lane::Events, &batch).await.unwrap();
    let failed: Vec<_> = report.failed.iter().map(|(i, e)| (*i, e.kind())).collect();
    assert_eq!(failed, [(2, ErrorKind::PayloadTooLarge)]);
    assert_eq!(heard(&mut link.inbound), ["e:", "e:1234", "e:x"]);
    publish(&mut link, Lane::Events, &["on"]).await;
    assert_eq!(heard(&mut link.inbound), ["e:on"]);
}

#[tokio::test]
async fn clause_04_topics_are_isolated_and_brokers_too() {
    let broker = MemoryBroker::new();
    let mut one = open(&broker, "one").await;
    let mut two = open(&broker, "two").await;
    let mut elsewhere = open(&MemoryBroker::new(), "one").await;
    publish(&mut one, Lane::Events, &["a"]).await;
    publish(&mut two, Lane::Control, &["b"]).await;
    assert_eq!(heard(&mut one.inbound), ["e:a"]);
    assert_eq!(heard(&mut two.inbound), ["c:b"]);
    assert!(heard(&mut elsewhere.inbound).is_empty());
}

#[tokio::test]
async fn clause_05_a_link_hears_what_was_published_after_connect_and_nothing_before() {
    let broker = MemoryBroker::new();
    let mut first = open(&broker, "k").await;
    publish(&mut first, Lane::Events, &["before"]).await;
    let mut second = open(&broker, "k").await;
    publish(&mut first, Lane::Events, &["after"]).await;
    assert_eq!(heard(&mut second.inbound), ["e:after"]);
}

#[tokio::test]
async fn clause_06_a_cut_ends_every_link_after_what_it_had_received() {
    let broker = MemoryBroker::new();
    let mut link = open(&broker, "k").await;
    publish(&mut link, Lane::Events, &["a"]).await;
    broker.cut();
    assert_eq!(heard(&mut link.inbound), ["e:a", "!", "."]);
    let error = link.outbound.publish(Lane::Events, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn clause_07_connect_fails_while_cut_and_works_again_after() {
    let broker = MemoryBroker::new();
    let mut old = open(&broker, "k").await;
    broker.cut();
    let refused = broker.connect(&LinkOptions::new("k")).await.unwrap_err();
    assert!(refused.is_transient());
    broker.heal();
    let mut new = open(&broker, "k").await;
    publish(&mut new, Lane::Events, &["a"]).await;
    assert_eq!(heard(&mut new.inbound), ["e:a"]);
    assert!(
        old.outbound.publish(Lane::Events, &[]).await.is_err(),
        "a link that was cut stays dead"
    );
}

#[tokio::test]
async fn clause_08_close_is_idempotent_ends_inbound_and_later_publishes_are_closed() {
    let broker = MemoryBroker::new();
    let mut link = open(&broker, "k").await;
    publish(&mut link, Lane::Events, &["a"]).await;
    link.outbound.close().await.unwrap();
    link.outbound.close().await.unwrap();
    assert_eq!(heard(&mut link.inbound), ["e:a", "."]);
    let error = link.outbound.publish(Lane::Events, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn clause_09_a_hundred_links_closed_or_dropped_leave_nothing_behind() {
    let broker = MemoryBroker::new();
    for round in 0..100 {
        let mut link = open(&broker, "k").await;
        assert_eq!(broker.links(), 1);
        match round % 4 {
            0 => drop(link),
            1 => drop(link.inbound),
            2 => link.outbound.close().await.unwrap(),
            _ => broker.cut(),
        }
        broker.heal();
        assert_eq!(broker.links(), 0, "round {round}");
    }
}

#[tokio::test]
async fn clause_10_a_dropped_publish_or_connect_leaves_everything_usable() {
    let broker = MemoryBroker::new();
    let mut link = open(&broker, "k").await;
    drop(broker.connect(&LinkOptions::new("k")));
    drop(link.outbound.publish(Lane::Events, &[Bytes::from("never")]));
    drop(link.outbound.close());
    assert_eq!(broker.links(), 1);
    publish(&mut link, Lane::Events, &["a"]).await;
    assert_eq!(heard(&mut link.inbound), ["e:a"]);
}

#[tokio::test]
async fn clause_11_a_link_that_nobody_reads_is_told_what_it_lost_and_delays_no_one() {
    let broker = MemoryBroker::new();
    let mut reader = open(&broker, "k").await;
    let mut idle = open(&broker, "k").await;
    let limit = InboxLimits::default().messages;
    let batch = vec![Bytes::from("x"); limit / 2];
    for _ in 0..3 {
        reader.outbound.publish(Lane::Events, &batch).await.unwrap();
        assert_eq!(heard(&mut reader.inbound).len(), batch.len());
    }
    let late = heard(&mut idle.inbound);
    assert_eq!(late.len(), limit + 1);
    assert_eq!(late.last().unwrap(), &format!("-{}", batch.len()));
}

#[tokio::test]
async fn clause_12_options_that_make_no_sense_are_config_errors() {
    let error = MemoryBroker::new()
        .connect(&LinkOptions::new(""))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn one_name_is_one_broker_until_its_last_handle_and_link_are_gone() {
    let link = open(&MemoryBroker::named("memory-tests-a"), "k").await;
    assert_eq!(MemoryBroker::named("memory-tests-a").links(), 1);
    assert_eq!(MemoryBroker::named("memory-tests-b").links(), 0);
    MemoryBroker::named("memory-tests-a").cut();
    drop(link);
    let fresh = MemoryBroker::named("memory-tests-a");
    assert!(
        fresh.connect(&LinkOptions::new("k")).await.is_ok(),
        "a new broker is not cut"
    );
}
