//! The adapter against real RabbitMQ servers that the tests start, by the clauses of the contract.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../../../../tests/it/support/proxy.rs"]
mod proxy;
#[path = "../../../../tests/it/support/rabbitmq.rs"]
mod rabbitmq;

mod alarm;
mod delivery;
mod loss;
mod operator;
mod refusals;
mod tls;

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use rabbitmq::{RabbitMq, of_vhost, uri_at};
use tokio::time::timeout;
use wingbeat_adapter::{
    ErrorKind, Inbound, Incoming, Lane, Link, LinkOptions, SyncAdapter, SyncError,
};
use wingbeat_amqp::AmqpAdapter;

/// What the contract allows a loss to stay hidden.
const LIMIT: Duration = Duration::from_secs(5);

/// What the heartbeat may take, as `docs.md` says, and what a busy machine adds.
const HEARTBEAT: Duration = Duration::from_secs(17);

/// A virtual host of its own on the server that all share who do not hurt it.
struct Place {
    server: &'static RabbitMq,
    vhost: String,
}

impl Place {
    fn new() -> Self {
        static SERVER: OnceLock<RabbitMq> = OnceLock::new();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let server = SERVER.get_or_init(RabbitMq::start);
        let vhost = format!("v{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server.add_vhost(&vhost);
        Self { server, vhost }
    }

    fn uri(&self) -> String {
        self.uri_at(self.server.port())
    }

    fn uri_at(&self, port: u16) -> String {
        format!("{}/{}", uri_at(port), self.vhost)
    }

    async fn open(&self, topic: &str) -> Link {
        open(&self.uri(), topic).await
    }

    fn holdings(&self) -> usize {
        self.server.holdings(&self.vhost)
    }

    /// Evaluates an Erlang expression for each connection `P` to the virtual host.
    fn eval_for_each_connection(&self, expression: &str) -> String {
        let of_vhost = of_vhost(&self.vhost);
        self.server.eval(&format!(
            "[{expression} || P <- rabbit_networking:connections(), {of_vhost}]"
        ))
    }
}

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
    AmqpAdapter::from_uri(uri)?.connect(options).await
}

async fn open(uri: &str, topic: &str) -> Link {
    connect(uri, &LinkOptions::new(topic)).await.unwrap()
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
    wait_for_end(&mut link.inbound, LIMIT).await;
    let error = link
        .outbound
        .publish(Lane::Events, &[Bytes::from("x")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

/// The error that ends a stream, and when it came.
async fn wait_for_end(inbound: &mut Inbound, limit: Duration) -> (SyncError, Duration) {
    let start = Instant::now();
    loop {
        match within(limit, inbound.next()).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                assert!(within(LIMIT, inbound.next()).await.is_none());
                return (error, start.elapsed());
            }
            None => panic!("a lost link ends with an error"),
        }
    }
}
