//! Clause 9, for what the client library has in this process: each connection runs a thread, and none may stay.
//!
//! Alone in its binary: threads are counted, and nobody else may have any.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../../../tests/it/support/rabbitmq.rs"]
mod rabbitmq;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use rabbitmq::RabbitMq;
use tokio::runtime::Runtime;
use wingbeat_adapter::{Lane, Link, LinkOptions, SyncAdapter};
use wingbeat_amqp::AmqpAdapter;

#[test]
fn no_thread_no_connection_and_no_queue_is_left_whatever_becomes_of_a_link() {
    let server = RabbitMq::start();
    let adapter = AmqpAdapter::from_uri(&server.uri()).unwrap();
    let runtime = Runtime::new().unwrap();
    let open = || {
        runtime
            .block_on(adapter.connect(&LinkOptions::new("k")))
            .unwrap()
    };
    let all_gone = |when: &str| nothing_left(when, || server.holdings("/"));

    let mut halves: Vec<Box<dyn std::any::Any>> = Vec::new();
    for round in 0..24 {
        let mut link = open();
        assert_eq!(threads(), 1, "one for each link");
        match round % 4 {
            0 => runtime.block_on(async { drop(link) }),
            1 => {
                runtime.block_on(link.outbound.close()).unwrap();
                halves.push(Box::new(link));
            }
            // The other half stays; what it holds must not keep the connection.
            2 => {
                drop(link.inbound);
                halves.push(Box::new(link.outbound));
            }
            _ => {
                drop(link.outbound);
                halves.push(Box::new(link.inbound));
            }
        }
        all_gone(&format!("round {round}"));
    }
    drop(halves);

    // Out of the runtime, by a plain drop.
    drop(open());
    all_gone("a drop outside of the runtime");

    // In the middle of a connect, at each of its steps.
    for polls in 1..40 {
        runtime.block_on(async {
            let options = LinkOptions::new("k");
            let mut connecting = adapter.connect(&options);
            for _ in 0..polls {
                if (&mut connecting).now_or_never().is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
        });
    }
    all_gone("cancelled connects");

    let took = frozen(&server, &runtime, open());
    println!("a close before a frozen server took {took:?}");
    all_gone("links to a server that was frozen");

    // The runtime goes first, with a publish on its way and a reader that waits.
    let mut link = open();
    let batch = [Bytes::from("x")];
    runtime.block_on(async {
        let _ = link.outbound.publish(Lane::Events, &batch).now_or_never();
    });
    drop(runtime);
    nothing_left("a runtime that is gone", || server.holdings("/"));
    drop(link);
}

/// Nobody answers a goodbye, neither that of a close nor that of a drop.
fn frozen(server: &RabbitMq, runtime: &Runtime, mut closed: Link) -> Duration {
    let adapter = AmqpAdapter::from_uri(&server.uri()).unwrap();
    let options = LinkOptions::new("k");
    let dropped = runtime.block_on(adapter.connect(&options)).unwrap();
    let mut lost = runtime.block_on(adapter.connect(&options)).unwrap();
    server.freeze();
    let start = Instant::now();
    let parted = runtime.block_on(closed.outbound.close());
    let took = start.elapsed();
    assert!(parted.is_err() && took < LIMIT, "{parted:?} after {took:?}");
    drop(dropped);
    drop(lost.outbound);
    assert!(runtime.block_on(lost.inbound.next()).unwrap().is_err());
    nothing_left("a frozen server", || 0);
    server.thaw();
    took
}

fn nothing_left(when: &str, holdings: impl Fn() -> usize) {
    let start = Instant::now();
    while threads() + holdings() > 0 {
        assert!(
            start.elapsed() < LIMIT,
            "{when}: {} threads and {} things on the broker are left",
            threads(),
            holdings()
        );
        std::thread::yield_now();
    }
}

/// The library's threads of this process.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    tasks
        .map(name)
        .filter(|name| name.starts_with("lapin"))
        .count()
}

const LIMIT: Duration = Duration::from_secs(5);
