use super::plan::Plan;
use super::world::World;

/// Runs random plans on two threads; the first that breaks a promise is made small and shown with its seed.
///
/// `WINGBEAT_SEEDS=100000` runs more, `WINGBEAT_SEED=17` only one.
fn search(seeds: u64, plan: fn(u64) -> Plan) {
    let read = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let (first, seeds) = match read("WINGBEAT_SEED") {
        Some(seed) => (seed, 1),
        None => (0, read("WINGBEAT_SEEDS").unwrap_or(seeds)),
    };
    let half = |odd: u64| {
        (first..first + seeds)
            .filter(move |seed| seed % 2 == odd)
            .find(|seed| World::run(&plan(*seed)).is_err())
    };
    let (even, odd) = std::thread::scope(|scope| {
        let (even, odd) = (scope.spawn(|| half(0)), scope.spawn(|| half(1)));
        (
            even.join().expect("no panic"),
            odd.join().expect("no panic"),
        )
    });
    if let Some(seed) = even.into_iter().chain(odd).min() {
        let (plan, verdict) = plan(seed).shrink();
        panic!(
            "seed {seed}: {}\n{plan:?}",
            verdict.expect_err("it failed before")
        );
    }
}

#[test]
fn p1_once_in_all_or_gap_own_once_settle_by_echo() {
    search(2_000, Plan::random);
}

#[test]
fn p2_with_a_short_log_released_and_gaps_are_exact() {
    search(1_000, |seed| Plan {
        bounds_are_hit: true,
        limits: |config| config.limits.log_entries = 15,
        ..Plan::random(seed)
    });
}

#[test]
fn p2_with_a_short_hold_released_and_gaps_are_exact() {
    search(300, |seed| Plan {
        bounds_are_hit: true,
        limits: |config| config.limits.hold_entries = 4,
        ..Plan::random(seed)
    });
}

#[test]
fn p3_without_faults_the_events_lane_carries_each_event_once() {
    search(200, |seed| Plan {
        faults: Vec::new(),
        ..Plan::random(seed)
    });
}
