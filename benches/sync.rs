//! What one event costs from node to node over each broker, beside what carries the same bytes in the same batches: the bare
//! adapter, and the broker's own client library.
//!
//! ```text
//! cargo bench --bench sync --all-features               over Redis, RabbitMQ and NATS
//! cargo bench --bench sync --all-features -- nats       over those that are named
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `WINGBEAT_BENCH_EVENTS` | `100000` | events of each measurement of CPU |
//! | `WINGBEAT_BENCH_SECONDS` | `2` | length of each measurement of latency |
//! | `WINGBEAT_BENCH_ROUNDS` | `5` | how often all systems take their turn; the table shows medians |
//! | `TOKIO_WORKER_THREADS` | one per core | threads of each process, as for every Tokio program |
//!
//! `wingbeat` is two apps: one emits events by `ServiceHandle::emit` and hears each again when the broker returns it, the other
//! hears them by a listener. `bare adapter` is two links of the adapter: one publishes the payloads that the first app
//! published in its warm-up, batch by batch, and reads its own echo; the other reads. `bare client` does the same with the
//! client library alone (`redis`, `lapin` with confirms and acknowledgements, `async-nats`). Making the event's value is the
//! work of whoever emits, so the bare senders make one for each payload too.
//!
//! Each of the six is a process of its own, so that its CPU time is measured alone. The run fails when one event is missing,
//! doubled or out of order, at the receiver or at the sender, or differs in one byte. It runs on Linux only, for it reads
//! `/proc`, and wants `redis-server`, `rabbitmq-server` and `nats-server`, which it starts on free ports.
//! `cargo test --bench sync --all-features` runs a short round that checks the events.

#![allow(
    clippy::print_stdout,
    reason = "the table and the talk between the processes go there"
)]

#[path = "sync/bare.rs"]
mod bare;
#[path = "../tests/it/support/broker.rs"]
mod broker;
#[path = "sync/client/mod.rs"]
mod client;
#[path = "fanout/ended.rs"]
mod ended;
#[path = "fanout/figures.rs"]
mod figures;
#[path = "fanout/frame.rs"]
#[allow(dead_code, reason = "the event is shared, its websocket frame is not")]
mod frame;
#[path = "sync/heard.rs"]
mod heard;
#[path = "sync/measure.rs"]
mod measure;
#[path = "../tests/it/support/nats.rs"]
mod nats;
#[path = "sync/node.rs"]
mod node;
#[path = "fanout/process.rs"]
#[allow(
    dead_code,
    reason = "what clients and their memory need is not needed here"
)]
mod process;
#[path = "../tests/it/support/rabbitmq.rs"]
mod rabbitmq;
#[path = "../tests/it/support/redis.rs"]
mod redis;
#[path = "sync/report.rs"]
mod report;
#[path = "sync/roles.rs"]
mod roles;
#[path = "sync/tape.rs"]
mod tape;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use broker::{Broker, NatsServer, RabbitMq, RedisServer};
use ended::ended;
use measure::Plan;
use roles::run;

/// How everything here ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let outcome = match args.as_slice() {
        [flag, role, uri, tape] if flag == "--role" => {
            run(act(role.clone(), uri.clone(), tape.clone()))
        }
        args => bench(args),
    };
    ended("sync", outcome)
}

async fn act(role: String, uri: String, tape: String) -> Outcome<()> {
    match role.as_str() {
        "node-a" => node::sender(&uri, &tape).await,
        "node-b" => node::receiver(&uri).await,
        "adapter-a" => bare::sender(bare::link(&uri).await?, &tape).await,
        "adapter-b" => bare::receiver(bare::link(&uri).await?, &tape).await,
        "client-a" => bare::sender(client::open(&uri).await?, &tape).await,
        "client-b" => bare::receiver(client::open(&uri).await?, &tape).await,
        _ => Err(format!("there is no role '{role}'").into()),
    }
}

/// Cargo passes `--bench` to benches alone; without it this is a test.
fn bench(args: &[String]) -> Outcome<()> {
    let is_bench = args.iter().any(|arg| arg == "--bench");
    let plan = if is_bench {
        Plan::from_env()?
    } else {
        Plan::short()
    };
    over::<RedisServer>(&plan, args)?;
    over::<RabbitMq>(&plan, args)?;
    over::<NatsServer>(&plan, args)
}

/// Runs the plan over a broker, unless only others are named.
fn over<B: Broker>(plan: &Plan, args: &[String]) -> Outcome<()> {
    let mut names = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
    if names.peek().is_some() && !names.any(|name| name.eq_ignore_ascii_case(B::NAME)) {
        return Ok(());
    }
    let broker = B::start();
    report::head::<B>(plan);
    let rounds = (0..plan.rounds)
        .map(|_| measure::round(plan, &broker))
        .collect::<Outcome<Vec<_>>>()?;
    report::table(plan, &rounds);
    Ok(())
}
