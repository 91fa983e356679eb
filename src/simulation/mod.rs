//! The real path in virtual time: whole apps with services, listeners, channels and clients, over a model broker that
//! breaks as a plan says. `docs/simulation.md` tells how to run and read it.
//!
//! Only two things are models: the broker, below the adapter contract, and the socket, above the outbox.

// A simulation is a test, which those rules are not made for.
#![allow(clippy::disallowed_methods)]

mod broker;
mod checks;
mod node;
mod orders;
mod plan;
mod run;
mod wire;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::distr::{Distribution, StandardUniform};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use plan::Plan;
use run::{Verdict, World};

thread_local! {
    /// Where the identities of this thread's nodes come from.
    static DICE: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
    /// When the run of this thread began.
    static START: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Draws a number for a node: at random, or from the seed that a simulation gave to this thread.
pub(crate) fn random<T>() -> T
where
    StandardUniform: Distribution<T>,
{
    DICE.with_borrow_mut(|dice| dice.as_mut().map_or_else(rand::random, Rng::random))
}

/// Seeds the next node of this thread and returns the id that it is going to draw.
fn seed_identities(seed: u64) -> [u8; 16] {
    DICE.set(Some(SmallRng::seed_from_u64(seed)));
    SmallRng::seed_from_u64(seed).random()
}

/// A panic is a broken promise too.
fn run(plan: &Plan) -> Verdict {
    let verdict = catch_unwind(AssertUnwindSafe(|| World::run(plan)));
    verdict.unwrap_or_else(|_| Err("a panic, see above".to_owned()))
}

fn search(first: u64, seeds: u64) -> Option<u64> {
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let share = |own: u64| {
        (first..first + seeds)
            .filter(move |seed| seed % n_threads == own)
            .find(|seed| run(&Plan::random(*seed)).is_err())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads)
            .map(|own| scope.spawn(move || share(own)))
            .collect();
        let failed = threads
            .into_iter()
            .filter_map(|thread| thread.join().expect("no panic"));
        failed.min()
    })
}

fn read(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Writes the milliseconds of the run.
struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        let elapsed = START.get().map_or(0, |start| start.elapsed().as_millis());
        write!(to, "{elapsed:>6}")
    }
}

/// One seed, with its plan and the nodes' log.
fn run_verbosely(seed: u64) {
    let log = tracing_subscriber::fmt()
        .with_env_filter("wingbeat=debug")
        .with_timer(VirtualTime)
        .with_ansi(false)
        .with_test_writer();
    // Another test of the process may have set up a log before; the run needs none.
    let _ = log.try_init();
    let plan = Plan::random(seed);
    println!("{plan:#?}");
    let verdict = run(&plan);
    println!("seed {seed}: {verdict:?}");
    verdict.expect("every promise is kept");
}

#[test]
fn whole_apps_keep_every_promise_through_every_fault() {
    if let Some(seed) = read("WINGBEAT_SIM_SEED") {
        return run_verbosely(seed);
    }
    let first = read("WINGBEAT_SIM_FIRST").unwrap_or(0);
    let Some(seed) = search(first, read("WINGBEAT_SIM_SEEDS").unwrap_or(SEEDS)) else {
        return;
    };
    let broken = run(&Plan::random(seed));
    let plan = Plan::random(seed).shrink(|plan| run(plan).is_err());
    panic!(
        "WINGBEAT_SIM_SEED={seed}: {broken:?}\nshrunk: {:?}\n{plan:?}",
        run(&plan)
    );
}

/// Some seconds in a debug build.
const SEEDS: u64 = 60;
