//! Clauses 8 to 11: close, drop, cancel, overflow.

use std::any::Any;

use futures_util::FutureExt;
use tokio::runtime::Handle;

use super::*;
use crate::proxy::Proxy;

#[tokio::test]
async fn clause_08_close_is_idempotent_ends_inbound_and_later_publishes_are_closed() {
    let server = NatsServer::start();
    let mut link = open(&server).await;
    publish(&mut link, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    link.outbound.close().await.unwrap();
    link.outbound.close().await.unwrap();
    assert!(within(LIMIT, link.inbound.next()).await.is_none());
    let error = link.outbound.publish(Lane::Events, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

/// The line is cut as soon as `close` is through, and what was on its way would be gone.
#[tokio::test]
async fn clause_08_close_waits_until_the_server_has_what_was_published() {
    let server = NatsServer::start();
    let mut peer = open(&server).await;
    let proxy = Proxy::start(server.port());
    let mut link = open_at(&format!("nats://127.0.0.1:{}", proxy.port())).await;
    publish(&mut link, Lane::Control, &["hello"]).await;
    expect(&mut peer.inbound, Lane::Control, &["hello"]).await;
    proxy.slow(Duration::from_millis(50));
    publish(&mut link, Lane::Control, &["bye"]).await;
    link.outbound.close().await.unwrap();
    proxy.cut();
    expect(&mut peer.inbound, Lane::Control, &["bye"]).await;
}

#[tokio::test]
async fn clause_09_24_links_closed_or_dropped_leave_no_connection_task_or_descriptor() {
    let server = NatsServer::start();
    drop(open(&server).await);
    until("the first one is gone", || server.holdings() == 0).await;
    let tasks = living_tasks();
    let mut halves: Vec<Box<dyn Any>> = Vec::new();
    for round in 0..24 {
        let mut link = open(&server).await;
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
                wait_for_end(&mut link.inbound, LIMIT).await;
                halves.push(Box::new(link.inbound));
            }
        }
    }
    until("no connection is left", || server.holdings() == 0).await;
    until("no task is left", || living_tasks() <= tasks).await;
    until("no descriptor is left", || sockets_to(&server) == 0).await;
    drop(halves);
}

#[tokio::test]
async fn clause_09_lost_links_leave_no_task_and_no_descriptor_though_their_halves_live_on() {
    let mut server = NatsServer::start();
    drop(open(&server).await);
    until("the first one is gone", || server.holdings() == 0).await;
    let tasks = living_tasks();
    let mut links = Vec::new();
    for _ in 0..8 {
        links.push(open(&server).await);
    }
    assert!(living_tasks() > tasks && sockets_to(&server) == 8);
    server.kill();
    for link in &mut links {
        expect_over(link).await;
    }
    until("no task is left", || living_tasks() <= tasks).await;
    until("no descriptor is left", || sockets_to(&server) == 0).await;
}

#[tokio::test]
async fn one_connection_with_two_subscriptions_carries_the_label_in_the_servers_list() {
    let server = NatsServer::start();
    let mut options = LinkOptions::new("k");
    options.name = "node \"a\"\n1".to_owned();
    let _link = connect(&server.uri(), &options).await.unwrap();
    until("the questions are unsubscribed", || server.holdings() == 3).await;
    let list = server.ask("/connz?subs=1");
    assert!(list.contains(r#""name": "node \"a\"\n1""#), "{list}");
    assert!(
        list.contains("\"k\"") && list.contains("\"k.wb\""),
        "{list}"
    );
}

#[tokio::test]
async fn clause_10_a_cancelled_publish_neither_breaks_the_link_nor_is_overtaken() {
    let server = NatsServer::start();
    let mut link = open(&server).await;
    server.freeze();
    let batch = [Bytes::from("cancelled")];
    let short = Duration::from_millis(50);
    // The first batch of a lane waits for the server's word.
    let cancelled = timeout(short, link.outbound.publish(Lane::Events, &batch)).await;
    assert!(cancelled.is_err(), "a frozen server does not answer");
    server.thaw();
    publish(&mut link, Lane::Events, &["later"]).await;
    expect(&mut link.inbound, Lane::Events, &["cancelled", "later"]).await;
    assert!(link.inbound.next().now_or_never().is_none());
}

#[tokio::test]
async fn clause_10_a_cancelled_connect_leaves_no_connection_and_a_usable_adapter() {
    let server = NatsServer::start();
    let adapter = NatsAdapter::from_uri(&server.uri()).unwrap();
    let options = LinkOptions::new("k");
    for polls in 1..40 {
        let mut connecting = adapter.connect(&options);
        for _ in 0..polls {
            if (&mut connecting).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    until("no connection is left", || server.holdings() == 0).await;
    assert!(adapter.connect(&options).await.is_ok());
}

/// 300 MiB for a reader that does not read: the most that may wait is 32 MiB, and every message is accounted for.
#[tokio::test]
async fn clause_11_a_stopped_reader_is_told_what_it_lost_and_memory_stays_bounded() {
    let server = NatsServer::start();
    let mut sender = open(&server).await;
    let mut idle = open(&server).await;
    let before = resident_mebibytes();
    let mut peak = before;
    for round in 0..150 {
        let batch: Vec<Bytes> = (0..8).map(|n| numbered(round * 8 + n)).collect();
        sender.outbound.publish(Lane::Events, &batch).await.unwrap();
        for _ in &batch {
            next(&mut sender.inbound).await;
        }
        peak = peak.max(resident_mebibytes());
    }
    println!("300 MiB unread: grew by {} MiB", peak - before);
    assert!(peak - before < 150, "grew by {} MiB", peak - before);

    let (mut kept, mut lost) = (0_u64, 0_u64);
    while kept + lost < 1_200 {
        match within(LIMIT, idle.inbound.next()).await {
            Some(Ok(Incoming::Message { payload, .. })) => {
                assert_eq!(payload[..8], (kept + lost).to_be_bytes(), "in its place");
                kept += 1;
            }
            Some(Ok(Incoming::Lost(n))) => lost += n,
            other => panic!("the link lives on: {other:?}"),
        }
    }
    // What was on its way when the reading began has room again.
    assert!((128..256).contains(&kept), "{kept} kept, {lost} lost");
    publish(&mut sender, Lane::Events, &["on"]).await;
    expect(&mut idle.inbound, Lane::Events, &["on"]).await;
}

/// A payload of 256 KiB that begins with its number.
fn numbered(number: u64) -> Bytes {
    let mut payload = vec![1; 256 * 1024];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    Bytes::from(payload)
}

fn living_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// The descriptors of this process whose other end is the server: other tests have theirs.
fn sockets_to(server: &NatsServer) -> usize {
    let port = format!(":{:04X}", server.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = table
        .lines()
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    let theirs = rows.filter(|row| row.get(2).is_some_and(|remote| remote.ends_with(&port)));
    let inodes: Vec<_> = theirs.map(|row| format!("socket:[{}]", row[9])).collect();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter(|target| {
            inodes
                .iter()
                .any(|inode| target.as_os_str() == inode.as_str())
        })
        .count()
}

fn resident_mebibytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line
        .and_then(|line| line.split_whitespace().nth(1))
        .unwrap();
    kibibytes.parse::<usize>().unwrap() / 1024
}
