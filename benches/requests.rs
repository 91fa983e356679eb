//! What a `find` of 20 rows and a `create` cost, over REST and over Socket.IO, beside a Feathers 5 server that gets the same and
//! a bare loop that reads and writes the same bytes.
//!
//! ```text
//! npm --prefix tests/interop ci
//! cargo bench --bench requests
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `WINGBEAT_BENCH_CONNECTIONS` | `32` | clients; each asks again when it has its answers |
//! | `WINGBEAT_BENCH_IN_FLIGHT` | `1,2,16` | requests that a client sends in one piece before it waits for their answers; a table for each |
//! | `WINGBEAT_BENCH_SECONDS` | `2` | length of each measurement |
//! | `WINGBEAT_BENCH_ROUNDS` | `3` | how often all take their turn; the table shows medians |
//! | `TOKIO_WORKER_THREADS` | one per core | threads of wingbeat, as for every Tokio program |
//!
//! Feathers runs on Koa, with the packages of `tests/interop`. It and wingbeat keep their records in memory, have no hooks and
//! no publishers. All servers are processes of their own, so that their CPU time is measured alone; so is the client. A `create`
//! names the id of its record, so that the store does not grow without end. The run fails when one answer has another
//! status or length than it must, or differs in one byte. It runs on Linux only, for it reads `/proc`.
//! `cargo test --bench requests` runs a short round that checks the answers.

#![allow(
    clippy::print_stdout,
    reason = "the table and the talk between the processes go there"
)]

#[path = "requests/client.rs"]
mod client;
#[path = "fanout/ended.rs"]
mod ended;
#[path = "requests/exchange.rs"]
mod exchange;
#[path = "fanout/figures.rs"]
mod figures;
#[path = "requests/floor.rs"]
mod floor;
#[path = "fanout/frame.rs"]
#[allow(dead_code, reason = "websocket frames are shared, the event is not")]
mod frame;
#[path = "fanout/handshake.rs"]
#[allow(dead_code, reason = "all are clients of a Socket.IO server")]
mod handshake;
#[path = "requests/measure.rs"]
mod measure;
#[path = "requests/node.rs"]
mod node;
#[path = "fanout/process.rs"]
#[allow(dead_code, reason = "memory and control connections are not needed")]
mod process;
#[path = "requests/report.rs"]
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
        ["--role", "node", rows] => node::main(rows),
        ["--role", "floor", rows] => floor::main(rows),
        _ => bench(args.contains(&"--bench")),
    };
    ended("requests", outcome)
}

/// Cargo passes `--bench` to benches alone; without it this is a test.
fn bench(is_bench: bool) -> Outcome<()> {
    let plans = if is_bench {
        Plan::from_env()?
    } else {
        vec![Plan::short()]
    };
    plans.iter().try_for_each(measured)
}

fn measured(plan: &Plan) -> Outcome<()> {
    report::head(plan);
    let rounds = (0..plan.rounds)
        .map(|_| measure::round(plan))
        .collect::<Outcome<Vec<_>>>()?;
    report::table(&rounds);
    Ok(())
}
