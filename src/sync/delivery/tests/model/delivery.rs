//! P1, P2 and P3: what is heard, by whom, how often and in which order.

use proptest::strategy::Strategy;

use super::super::plan::Plan;
use super::super::world::World;
use super::{holds, strategy};

#[test]
fn p1_once_in_all_or_gap_own_once_settle_by_echo() {
    holds(strategy::plan, World::run);
}

#[test]
fn p2_with_a_short_log_released_and_gaps_are_exact() {
    let plans = || {
        strategy::plan().prop_map(|plan| Plan {
            bounds_are_hit: true,
            limits: |config| config.limits.log_entries = 15,
            ..plan
        })
    };
    holds(plans, World::run);
}

#[test]
fn p2_with_a_short_hold_released_and_gaps_are_exact() {
    let plans = || {
        strategy::plan().prop_map(|plan| Plan {
            bounds_are_hit: true,
            limits: |config| config.limits.hold_entries = 4,
            ..plan
        })
    };
    holds(plans, World::run);
}

#[test]
fn p3_without_faults_the_events_lane_carries_each_event_once() {
    let plans = || strategy::without_faults(strategy::bursts(16_000));
    holds(plans, World::run);
}
