//! What an event costs on two nodes behind one broker, on wingbeat and on its peers, beside bare loops that write the same bytes;
//! how that grows, whether it lasts, and what others wait for.
//!
//! ```text
//! npm --prefix tests/interop ci
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- ways
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- growth
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- soak
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- fairness
//! ```
//!
//! | mode | what it prints |
//! |---|---|
//! | none | the table of wingbeat and its peers, over Redis with clients of Socket.IO |
//! | `ways` | the same table of wingbeat over other brokers, with other clients, and with data that differs between clients |
//! | `growth` | what an event costs with more connections, channels, bytes and nodes, as tables; names behind it choose some of `connections`, `channels`, `payload`, `nodes` |
//! | `soak` | memory and descriptors of two nodes under load, minute by minute; it fails when they grow, or when an event is missed |
//! | `fairness` | how long answers wait beside events to 10,000 clients, and how long events take to clients that read when others do not; `answers` or `stalled` behind it is one of both |
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `WINGBEAT_BENCH_CONNECTIONS` | `1000` | clients of all nodes in S, A and B, while payload and nodes grow, and the steady ones of `soak`; in `fairness` `10000`, of which `stalled` takes a tenth |
//! | `WINGBEAT_BENCH_IDLE` | `10000` | clients of both nodes in C |
//! | `WINGBEAT_BENCH_MOST` | `50000` | the most connections and channels of `growth` |
//! | `WINGBEAT_BENCH_SECONDS` | `4` | length of each measurement; in `stalled` 10 at least |
//! | `WINGBEAT_BENCH_ROUNDS` | `3` | how often all systems take their turn; the tables show medians |
//! | `WINGBEAT_BENCH_SYSTEMS` | all | those whose name contains one of these words, with commas between |
//! | `WINGBEAT_BENCH_WORKLOADS` | `SABCD` | the workloads of the tables |
//! | `WINGBEAT_BENCH_CHART` | none | the SVG file that the tables are drawn into; `growth` puts the name of each curve behind its stem |
//! | `WINGBEAT_BENCH_SOAK_MINUTES` | `30` | length of `soak` |
//!
//! A client of the first node creates messages of 300 bytes; each goes to all clients, which are spread over the nodes.
//! Every server is a process of its own, and so are the broker and the client; CPU is that of the servers and of the broker. The
//! client checks every delivery on every connection: a measurement in which one is missing, doubled, out of order or differs
//! in one byte shows that in place of figures. It runs on Linux only, for it reads `/proc`, and wants `redis-server` and
//! `node`, and for `ways` RabbitMQ and `nats-server`.

#[path = "../../fanout/figures.rs"]
mod figures;
#[path = "../../fanout/floor.rs"]
mod floor;
#[path = "../../fanout/frame.rs"]
mod frame;
#[path = "../../fanout/process.rs"]
#[allow(dead_code, reason = "servers are killed here")]
mod process;

mod broker;
mod chart;
mod client;
mod fairness;
mod growth;
mod guard;
mod markdown;
mod measure;
mod report;
mod servers;
mod shape;
mod soak;
mod system;

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;

use measure::Plan;
use report::Report;
use system::System;

/// How everything here ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["--role", role, args @ ..] => play(role, args),
        [] => table(&System::PEERS, false),
        ["ways"] => table(&System::WAYS, true),
        ["growth", names @ ..] => growth::main(names),
        ["soak"] => soak::main(),
        ["fairness", names @ ..] => fairness::main(names),
        _ => Err(
            "the modes are ways, growth, soak and fairness; without one, the table of peers is measured"
                .into(),
        ),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does the part of one of the processes; what fails is told the parent process in place of what it waits for.
fn play(role: &str, args: &[&str]) -> Outcome<()> {
    let played = match (role, args) {
        ("client", args) => client::main(args),
        ("prober", args) => client::prober::main(args),
        ("visitors", args) => client::visitors::main(args),
        ("floor" | "coalescing-floor", [connections]) => floor::main(role, connections),
        (server, [uri, shape @ ..]) => servers::main(server, uri, shape),
        _ => Err(format!("the role '{role}' wants arguments").into()),
    };
    if let Err(error) = &played {
        process::say(&format!("failed: {error}"))?;
    }
    played
}

/// Measures all systems in turn and fails if wingbeat does.
fn table(systems: &[System], is_of_ways: bool) -> Outcome<()> {
    let plan = Plan::from_env()?;
    let rounds = (0..plan.rounds).map(|round| measure::round(&plan, systems, round));
    let measured: Vec<_> = rounds.flatten().collect();
    let report = Report {
        plan: &plan,
        systems: plan.wanted(systems),
        measured: &measured,
        is_of_ways,
    };
    report::head(&plan);
    report.print();
    if let Some(path) = &plan.chart {
        fs::write(path, chart::bars(&report))?;
    }
    let failed = measured.iter().find_map(|row| {
        let why = row.figures.as_ref().err()?;
        (!row.system.is_peer()).then(|| format!("{} failed: {why}", row.system.label()))
    });
    failed.map_or(Ok(()), |why| Err(why.into()))
}
