//! The adapter against real Redis servers that the tests start, by the clauses of the contract.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../../../../tests/it/support/proxy.rs"]
mod proxy;
#[path = "../../../../tests/it/support/redis.rs"]
mod redis_server;

mod cluster;
mod delivery;
mod lifetime;
mod loss;
mod refusals;
mod sentinel;
mod tls;
mod watchdog;

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use redis_server::RedisServer;
use tokio::time::timeout;
use wingbeat_adapter::{
    ErrorKind, Inbound, Incoming, Lane, Link, LinkOptions, SyncAdapter, SyncError,
};
use wingbeat_redis::RedisAdapter;

/// What the contract allows a loss to stay hidden.
const LIMIT: Duration = Duration::from_secs(5);

/// What sentinels and clusters may take to agree on another primary.
const FAILOVER: Duration = Duration::from_secs(30);

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    timeout(limit, future)
        .await
        .unwrap_or_else(|_| panic!("nothing within {limit:?}"))
}

/// Asks until the answer is yes.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let asking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, asking)
        .await
        .unwrap_or_else(|_| panic!("never within {LIMIT:?}: {what}"));
}

async fn connect(uri: &str, options: &LinkOptions) -> Result<Link, SyncError> {
    RedisAdapter::from_uri(uri)?.connect(options).await
}

async fn open(server: &RedisServer, topic: &str) -> Link {
    connect(&server.uri(), &LinkOptions::new(topic))
        .await
        .unwrap()
}

/// Opens a link as a supervisor does: again and again, for as long as a failover may take.
async fn reopen(adapter: &RedisAdapter, options: &LinkOptions) -> Link {
    let start = Instant::now();
    loop {
        let error = match adapter.connect(options).await {
            Ok(link) => return link,
            Err(error) => error,
        };
        assert!(error.is_transient(), "{error:?}");
        assert!(
            start.elapsed() < FAILOVER,
            "no link within {FAILOVER:?}: {error:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Two links hear each other, and each itself, on both lanes.
async fn expect_joined(one: &mut Link, two: &mut Link) {
    publish(one, Lane::Events, &["one"]).await;
    for link in [&mut *one, &mut *two] {
        expect(&mut link.inbound, Lane::Events, &["one"]).await;
    }
    publish(two, Lane::Control, &["two"]).await;
    for link in [one, two] {
        expect(&mut link.inbound, Lane::Control, &["two"]).await;
    }
}

async fn publish(link: &mut Link, lane: Lane, payloads: &[&str]) {
    let batch: Vec<Bytes> = payloads
        .iter()
        .map(|payload| Bytes::from((*payload).to_owned()))
        .collect();
    let report = link.outbound.publish(lane, &batch).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
}

async fn next(inbound: &mut Inbound) -> (Lane, Bytes) {
    match within(LIMIT, inbound.next()).await {
        Some(Ok(Incoming::Message { lane, payload })) => (lane, payload),
        other => panic!("a message was due: {other:?}"),
    }
}

/// Reads as many messages as are named, and no others may come between.
async fn expect(inbound: &mut Inbound, lane: Lane, payloads: &[&str]) {
    for payload in payloads {
        let due = (lane, Bytes::from((*payload).to_owned()));
        assert_eq!(next(inbound).await, due);
    }
}

/// The link is over: the stream fails as a lost link does, and a publish too.
async fn expect_over(link: &mut Link) {
    expect_lost(&mut link.inbound).await;
    let error = link
        .outbound
        .publish(Lane::Events, &[Bytes::from("x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

/// The stream fails as a lost link does, and then it is over.
async fn expect_lost(inbound: &mut Inbound) {
    match within(LIMIT, inbound.next()).await {
        Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
        other => panic!("an error was due: {other:?}"),
    }
    assert!(within(LIMIT, inbound.next()).await.is_none());
}
