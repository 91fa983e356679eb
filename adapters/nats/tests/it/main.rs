//! The adapter against real NATS servers that the tests start, by the clauses of the contract.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

#[path = "../../../../tests/it/support/nats.rs"]
mod nats_server;
#[path = "../../../../tests/it/support/proxy.rs"]
mod proxy;

mod cluster;
mod credentials;
mod delivery;
mod keys;
mod lifetime;
mod loss;
mod permissions;
mod silence;
mod tls;

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use nats_server::NatsServer;
use tokio::time::timeout;
use wingbeat_adapter::{
    ErrorKind, Inbound, Incoming, Lane, Link, LinkOptions, SyncAdapter, SyncError,
};
use wingbeat_nats::NatsAdapter;

/// What the contract allows a loss to stay hidden.
const LIMIT: Duration = Duration::from_secs(5);

/// What servers of a cluster may take to find each other.
const MEETING: Duration = Duration::from_secs(30);

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
    timeout(MEETING, asking)
        .await
        .unwrap_or_else(|_| panic!("never within {MEETING:?}: {what}"));
}

async fn connect(uri: &str, options: &LinkOptions) -> Result<Link, SyncError> {
    NatsAdapter::from_uri(uri)?.connect(options).await
}

async fn open_at(uri: &str) -> Link {
    connect(uri, &LinkOptions::new("k")).await.unwrap()
}

async fn open(server: &NatsServer) -> Link {
    open_at(&server.uri()).await
}

/// What `connect` says no with.
async fn refusal(uri: &str) -> SyncError {
    connect(uri, &LinkOptions::new("k")).await.unwrap_err()
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

/// The elements that were not taken, and why.
async fn failures(link: &mut Link, lane: Lane, batch: &[Bytes]) -> Vec<(usize, ErrorKind)> {
    let report = link.outbound.publish(lane, batch).await.unwrap();
    let failed = report.failed.iter();
    failed.map(|(n, error)| (*n, error.kind())).collect()
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
async fn expect_over(link: &mut Link) -> SyncError {
    let (error, _) = wait_for_end(&mut link.inbound, LIMIT).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(within(LIMIT, link.inbound.next()).await.is_none());
    let batch = [Bytes::from("x")];
    let late = link.outbound.publish(Lane::Events, &batch).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
    error
}

/// The error that ends a stream, and when it came.
async fn wait_for_end(inbound: &mut Inbound, limit: Duration) -> (SyncError, Duration) {
    let start = Instant::now();
    loop {
        match within(limit, inbound.next()).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return (error, start.elapsed()),
            None => panic!("a lost link ends with an error"),
        }
    }
}
