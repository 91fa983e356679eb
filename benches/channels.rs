//! What joining and leaving cost, by how many connections and channels a node has: neither may make one of them dearer.
//!
//! ```text
//! cargo bench --bench channels --features __bench
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `WINGBEAT_BENCH_ROUNDS` | `3` | how often each crowd takes its turn; the table shows medians |
//!
//! Every connection is in ten channels. It is a Socket.IO client without a socket: it connects, joins, leaves one channel,
//! joins again and is dropped, which takes it out of everything. All but the first are done in a random order, as a scan
//! finds what stands first for nothing. The run fails when a channel has too many or too few members in between, or one is
//! left in the end. `HashMap` is what removing a random entry of a map costs that has as many as there are memberships: it
//! grows, since less of a larger one is in the processor's caches, and so does all that is found in memory by a key.
//! It runs on Linux only, for it reads `/proc`.
//! `cargo test --bench channels --features __bench` runs a short round that checks the members.

#![allow(clippy::print_stdout, reason = "the table goes there")]

#[path = "channels/crowd.rs"]
mod crowd;
#[path = "fanout/figures.rs"]
mod figures;

use std::env;
use std::error::Error;

use crowd::{Costs, Crowd, IN_CHANNELS};
use figures::{median, setting};

/// How everything here ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Cargo passes `--bench` to benches alone; without it this is a test.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let is_bench = env::args().any(|arg| arg == "--bench");
    let (crowds, rounds) = if is_bench {
        let rounds = setting("WINGBEAT_BENCH_ROUNDS", 3)?;
        (
            crowds(&[1_000, 10_000, 100_000], &[100, 1_000, 10_000]),
            rounds,
        )
    } else {
        (crowds(&[10, 100], &[10, 100]), 1)
    };
    let rounds = (0..rounds)
        .map(|_| crowds.iter().map(Crowd::measure).collect())
        .collect::<Outcome<Vec<Vec<Costs>>>>()?;
    table(&crowds, &rounds);
    Ok(())
}

fn crowds(connections: &[usize], channels: &[usize]) -> Vec<Crowd> {
    let of = |&connections: &usize| {
        let crowd = move |&channels: &usize| Crowd {
            connections,
            channels,
        };
        channels.iter().map(crowd)
    };
    connections.iter().flat_map(of).collect()
}

/// Prints the medians of all rounds, and how the largest crowd compares with the smallest.
fn table(crowds: &[Crowd], rounds: &[Vec<Costs>]) {
    println!(
        "ns of CPU each, every connection in {IN_CHANNELS} channels; medians of {} interleaved rounds\n",
        rounds.len()
    );
    println!(
        "{:>11}{:>10}{:>9}{:>9}{:>12}{:>10}",
        "connections", "channels", "join", "leave", "disconnect", "HashMap"
    );
    let medians: Vec<[f64; 4]> = (0..crowds.len())
        .map(|at| [0, 1, 2, 3].map(|kind| median(rounds.iter().map(|round| round[at][kind]))))
        .collect();
    for (crowd, costs) in crowds.iter().zip(&medians) {
        row(
            [crowd.connections, crowd.channels].map(|n| n.to_string()),
            costs,
            0,
        );
    }
    if let ([first, ..], [.., last]) = (medians.as_slice(), medians.as_slice()) {
        let growth = [0, 1, 2, 3].map(|kind| last[kind] / first[kind]);
        row(["last ÷ first", ""].map(str::to_owned), &growth, 1);
    }
}

fn row(
    [connections, channels]: [String; 2],
    [join, leave, disconnect, map]: &[f64; 4],
    digits: usize,
) {
    println!(
        "{connections:>11}{channels:>10}{join:>9.digits$}{leave:>9.digits$}{disconnect:>12.digits$}{map:>10.digits$}"
    );
}
