use std::time::Duration;

use super::plan::{Fault, Plan};
use super::world::World;

/// 200 events a second on each node for 12 s; in both deliveries, with two and three nodes, under some seeds.
///
/// The run checks that the clients of every node get every event once and in its origin's order, that there is no gap, and
/// that no own event waits longer than a second.
fn survives(fault: Fault) {
    for (seed, nodes) in [(1, 2), (2, 3), (3, 2), (4, 3)] {
        for ordered in [true, false] {
            let plan = Plan {
                ordered,
                ..Plan::steady(seed, nodes, 200, 12).with(3_000, fault)
            };
            World::run(&plan).unwrap_or_else(|broken| {
                panic!("seed {seed}, {nodes} nodes, ordered {ordered}: {broken}")
            });
        }
    }
}

#[test]
fn broker_killed_for_5_s_under_200_events_a_second() {
    survives(Fault::Kill { span: FIVE });
}

#[test]
fn link_of_one_node_cut_for_5_s_under_200_events_a_second() {
    survives(Fault::Cut {
        place: 1,
        span: FIVE,
    });
}

#[test]
fn broker_frozen_for_5_s_under_200_events_a_second() {
    survives(Fault::Freeze { span: FIVE });
}

#[test]
fn one_node_demoted_for_5_s_under_200_events_a_second() {
    survives(Fault::Alone {
        place: 0,
        span: FIVE,
    });
}

/// The origin is heard and hears nothing, so it cannot answer, and its stalled shell cannot find that out: peers that lose
/// patience would give events up that it keeps.
#[test]
fn no_gap_for_an_origin_that_is_deaf_and_stalled() {
    for seed in 0..40 {
        let frozen = Fault::Freeze {
            span: Duration::from_millis(4_700),
        };
        let deaf = Fault::Deaf {
            place: 0,
            span: Duration::from_secs(18),
        };
        let stalled = Fault::Stall {
            place: 0,
            span: Duration::from_secs(9),
        };
        let mut plan = Plan::steady(seed, 3, 1, 7);
        plan = plan
            .with(4_800, frozen)
            .with(3_000, deaf)
            .with(11_900, stalled);
        World::run(&plan).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

const FIVE: Duration = Duration::from_secs(5);
