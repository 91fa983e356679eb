//! The promises of delivery as properties: random schedules, and proptest makes those small that break one.

mod delivery;
mod identity;
mod lies;
mod strategy;
mod timing;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::plan::Plan;
use super::world::Verdict;

/// Tries a property on random plans, on two threads; the first that breaks it is made small and shown with its seed.
///
/// `WINGBEAT_SEEDS=100000` tries more than 2,000, `WINGBEAT_SEED=17` only this one. Each seed is a case of its own, so a case
/// is the same whether it runs alone or among all others, and no file has to remember it.
fn holds<S: Strategy<Value = Plan>>(plans: fn() -> S, property: impl Fn(&Plan) -> Verdict + Sync) {
    let read = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let (first, seeds) = match read("WINGBEAT_SEED") {
        Some(seed) => (seed, 1),
        None => (0, read("WINGBEAT_SEEDS").unwrap_or(2_000)),
    };
    let half = |odd: u64| {
        let plans = plans();
        (first..first + seeds)
            .filter(|seed| seed % 2 == odd)
            .find_map(|seed| broken(seed, &plans, &property).map(|report| (seed, report)))
    };
    let (even, odd) = std::thread::scope(|scope| {
        let (even, odd) = (scope.spawn(|| half(0)), scope.spawn(|| half(1)));
        (
            even.join().expect("no panic"),
            odd.join().expect("no panic"),
        )
    });
    if let Some((seed, report)) = even.into_iter().chain(odd).min() {
        panic!("seed {seed}: {report}");
    }
}

/// What a seed breaks, with the smallest plan that does so; `None` if it breaks nothing. A panic of the core is caught here.
fn broken(
    seed: u64,
    plans: &impl Strategy<Value = Plan>,
    property: &impl Fn(&Plan) -> Verdict,
) -> Option<String> {
    let default = Config::default();
    let config = Config {
        cases: 1,
        // `PROPTEST_MAX_SHRINK_ITERS=0` does without, where it only matters that something fails.
        max_shrink_iters: default.max_shrink_iters.min(5_000),
        max_shrink_time: 30_000,
        failure_persistence: None,
        ..default
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let tried = TestRunner::new_with_rng(config, rng)
        .run(plans, |plan| property(&plan).map_err(TestCaseError::fail));
    match tried {
        Ok(()) => None,
        Err(TestError::Fail(reason, plan)) => Some(format!("{reason}\n{plan:?}")),
        Err(TestError::Abort(reason)) => Some(reason.to_string()),
    }
}
