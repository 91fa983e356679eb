//! The adapter against real Redis servers that the tests start, by the clauses of the contract.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../../../../tests/it/support/proxy.rs"]
mod proxy;
#[path = "../../../../tests/it/support/redis.rs"]
mod redis_server;

mod delivery;
mod lifetime;
mod loss;
mod refusals;
mod tls;

use std::future::Future;
use std::time::Duration;

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

/// The stream fails as a lost link does, and then it is over.
async fn expect_lost(inbound: &mut Inbound) {
    match within(LIMIT, inbound.next()).await {
        Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
        other => panic!("an error was due: {other:?}"),
    }
    assert!(within(LIMIT, inbound.next()).await.is_none());
}
