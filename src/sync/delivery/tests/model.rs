use super::plan::Plan;
use super::world::World;

/// Runs random plans on two threads; the first that breaks a promise is made small and shown with its seed.
///
/// `WINGBEAT_SEEDS=100000` runs more, `WINGBEAT_SEED=17` only one.
fn search(plan: fn(u64) -> Plan) {
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
    search(Plan::random);
}

#[test]
fn p2_with_a_short_log_released_and_gaps_are_exact() {
    search(|seed| Plan {
        bounds_are_hit: true,
        limits: |config| config.limits.log_entries = 15,
        ..Plan::random(seed ^ 0x5eed_0000)
    });
}

#[test]
fn p3_without_faults_the_events_lane_carries_each_event_once() {
    search(|seed| Plan {
        faults: Vec::new(),
        ..Plan::random(seed)
    });
}
#[test]
fn zz_trace() {
    use super::plan::{Fault, Kind};
    use std::time::Duration;
    let t = |s: f64| super::super::Time::at(Duration::from_secs_f64(s));
    let d = Duration::from_secs_f64;
    let emits = vec![
        (t(1.262), 0, Kind::Events),
        (t(5.411), 0, Kind::Events),
        (t(13.319), 0, Kind::Local),
        (t(1.47), 1, Kind::Events),
        (t(1.504), 1, Kind::Events),
        (t(1.517), 1, Kind::Control),
        (t(1.524), 1, Kind::Events),
        (t(1.545), 1, Kind::Control),
        (t(1.551), 1, Kind::Events),
        (t(1.569), 1, Kind::Events),
    ];
    let faults = vec![
        (t(5.283), Fault::Freeze { span: d(4.226) }),
        (
            t(11.95),
            Fault::Stall {
                place: 0,
                span: d(5.0),
            },
        ),
        (
            t(2.979),
            Fault::Deaf {
                place: 0,
                span: d(12.36),
            },
        ),
    ];
    let _ = faults;
    let _ = emits;
    let full = Plan::random(92654);
    let (plan, _) = full.shrink();
    eprintln!("=====");
    println!("{:?}", World::run(&plan));
}
