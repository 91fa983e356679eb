//! What one event costs until it is at 1,000 websocket clients of one node, beside bare loops that write the same bytes.
//!
//! ```text
//! cargo bench --bench fanout
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `WINGBEAT_BENCH_CONNECTIONS` | `1000` | clients |
//! | `WINGBEAT_BENCH_SECONDS` | `4` | length of each measurement |
//! | `WINGBEAT_BENCH_ROUNDS` | `3` | how often all systems take their turn; the table shows medians |
//! | `TOKIO_WORKER_THREADS` | one per core | threads of the node, as for every Tokio program |
//!
//! Each system is a process of its own, so that its CPU time is measured alone; so is the client, which fails the run when
//! one delivery is missing, doubled, out of order or differs in one byte. It runs on Linux only, for it reads `/proc`.
//! `cargo test --bench fanout` runs a short round that checks the deliveries.

#![allow(
    clippy::print_stdout,
    reason = "the table and the talk between the processes go there"
)]

#[path = "fanout/client.rs"]
mod client;
#[path = "fanout/ended.rs"]
mod ended;
#[path = "fanout/figures.rs"]
mod figures;
#[path = "fanout/flight.rs"]
mod flight;
#[path = "fanout/floor.rs"]
mod floor;
#[path = "fanout/frame.rs"]
mod frame;
#[path = "fanout/handshake.rs"]
mod handshake;
#[path = "fanout/measure.rs"]
mod measure;
#[path = "fanout/node.rs"]
mod node;
#[path = "fanout/process.rs"]
mod process;
#[path = "fanout/receiver.rs"]
mod receiver;
#[path = "fanout/report.rs"]
mod report;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use ended::ended;
use measure::Plan;

/// How everything here ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["--role", "client", args @ ..] => client::main(args),
        ["--role", "node", ..] => node::main(),
        ["--role", floor, connections] => floor::main(floor, connections),
        _ => bench(args.contains(&"--bench")),
    };
    ended("fanout", outcome)
}

/// Cargo passes `--bench` to benches alone; without it this is a test.
fn bench(is_bench: bool) -> Outcome<()> {
    let plan = if is_bench {
        Plan::from_env()?
    } else {
        Plan::short()
    };
    report::head(&plan);
    let rounds = (0..plan.rounds)
        .map(|_| measure::round(&plan))
        .collect::<Outcome<Vec<_>>>()?;
    report::table(&plan, &rounds);
    Ok(())
}
