//! What an event costs on two nodes behind one Redis, on wingbeat and on its peers, beside bare loops that write the same bytes.
//!
//! ```text
//! npm --prefix tests/interop ci
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `WINGBEAT_BENCH_CONNECTIONS` | `1000` | clients of both nodes in S, A and B |
//! | `WINGBEAT_BENCH_IDLE` | `10000` | clients of both nodes in C |
//! | `WINGBEAT_BENCH_SECONDS` | `4` | length of each measurement |
//! | `WINGBEAT_BENCH_ROUNDS` | `3` | how often all systems take their turn; the table shows medians |
//! | `WINGBEAT_BENCH_SYSTEMS` | all | those whose name contains one of these words, with commas between |
//!
//! A client of the first node creates messages of 300 bytes; each goes to all clients, half of which are on the second node.
//! Every server is a process of its own, and so are Redis and the client; CPU is that of the servers and of Redis. The
//! client checks every delivery on every connection: a measurement in which one is missing, doubled, out of order or differs
//! in one byte shows that in place of figures. It runs on Linux only, for it reads `/proc`, and wants `redis-server` and
//! `node`.

#[path = "../../fanout/figures.rs"]
mod figures;
#[path = "../../fanout/flight.rs"]
#[allow(dead_code, reason = "an end without events is for one node alone")]
mod flight;
#[path = "../../fanout/floor.rs"]
mod floor;
#[path = "../../fanout/frame.rs"]
mod frame;
#[path = "../../fanout/handshake.rs"]
mod handshake;
#[path = "../../fanout/process.rs"]
#[allow(dead_code, reason = "servers are killed here")]
mod process;
#[path = "../../fanout/receiver.rs"]
mod receiver;

mod broker;
mod client;
mod measure;
mod report;
mod sender;
mod servers;
mod system;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use measure::Plan;

/// How everything here ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["--role", "client", args @ ..] => client::main(args),
        ["--role", mode @ ("floor" | "coalescing-floor"), connections] => {
            floor::main(mode, connections)
        }
        ["--role", server, uri] => servers::main(server, uri),
        _ => bench(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Outcome<()> {
    let plan = Plan::from_env()?;
    report::head(&plan);
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.extend(measure::round(&plan)?);
    }
    report::tables(&plan, &rounds);
    Ok(())
}
