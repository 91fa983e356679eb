//! What one event costs from node to node over Redis, beside the bare adapter that carries the same bytes in the same batches.
//!
//! ```text
//! cargo bench --bench sync
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `WINGBEAT_BENCH_EVENTS` | `100000` | events of each measurement of CPU |
//! | `WINGBEAT_BENCH_SECONDS` | `2` | length of each measurement of latency |
//! | `WINGBEAT_BENCH_ROUNDS` | `5` | how often both systems take their turn; the table shows medians |
//! | `TOKIO_WORKER_THREADS` | one per core | threads of each process, as for every Tokio program |
//!
//! `wingbeat` is two apps: one emits events by `ServiceHandle::emit` and hears each again when the broker returns it, the other
//! hears them by a listener. `bare` is two links of the Redis adapter: one publishes the payloads that the first app published
//! in its warm-up, batch by batch, and reads its own echo; the other reads. Making the event's value is the work of whoever
//! emits, so the bare sender makes one for each payload too.
//!
//! Each of the four is a process of its own, so that its CPU time is measured alone. The run fails when one event is missing,
//! doubled or out of order, at the receiver or at the sender, or differs in one byte. It runs on Linux only, for it reads
//! `/proc`, and wants `redis-server` in the path, which it starts on a free port.
//! `cargo test --bench sync` runs a short round that checks the events.

#![allow(
    clippy::print_stdout,
    reason = "the table and the talk between the processes go there"
)]

#[path = "sync/bare.rs"]
mod bare;
#[path = "sync/broker.rs"]
mod broker;
#[path = "fanout/figures.rs"]
mod figures;
#[path = "fanout/frame.rs"]
#[allow(dead_code, reason = "the event is shared, its websocket frame is not")]
mod frame;
#[path = "sync/heard.rs"]
mod heard;
#[path = "sync/measure.rs"]
mod measure;
#[path = "sync/node.rs"]
mod node;
#[path = "fanout/process.rs"]
#[allow(
    dead_code,
    reason = "what clients and their memory need is not needed here"
)]
mod process;
#[path = "sync/report.rs"]
mod report;
#[path = "sync/roles.rs"]
mod roles;
#[path = "sync/tape.rs"]
mod tape;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use broker::Broker;
use measure::Plan;
use roles::run;

/// How everything here ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let ended = match args.as_slice() {
        [flag, role, uri, tape] if flag == "--role" => {
            let (uri, tape) = (uri.clone(), tape.clone());
            match role.as_str() {
                "node-a" => run(async move { node::sender(&uri, &tape).await }),
                "node-b" => run(async move { node::receiver(&uri).await }),
                "bare-a" => run(async move { bare::sender(&uri, &tape).await }),
                "bare-b" => run(async move { bare::receiver(&uri, &tape).await }),
                _ => Err(format!("there is no role '{role}'").into()),
            }
        }
        args => bench(args.iter().any(|arg| arg == "--bench")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sync: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Cargo passes `--bench` to benches alone; without it this is a test.
fn bench(is_bench: bool) -> Outcome<()> {
    let plan = if is_bench {
        Plan::from_env()?
    } else {
        Plan::short()
    };
    let broker = Broker::start()?;
    report::head(&plan);
    let rounds = (0..plan.rounds)
        .map(|_| measure::round(&plan, &broker))
        .collect::<Outcome<Vec<_>>>()?;
    report::table(&plan, &rounds);
    Ok(())
}
