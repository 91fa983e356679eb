//! P5: somebody can publish, is none of the nodes and says what he likes, mixed with the honest traffic of three nodes under
//! faults. No core panics.
//!
//! Without a `sync_secret` nobody can tell who speaks, so a lie in the name of a node is believed. Therefore all lies of a run
//! are in the names of strangers or of one node, the victim, and what is asserted of the victim is less:
//!
//! | what | of the two other nodes | of the victim |
//! |---|---|---|
//! | own-once, never-starved: own clients hear own events once, in order, in time | yes | yes |
//! | once-in: nothing is heard twice or out of order, no sequence is both heard and a gap | yes, of every origin, strangers too | yes |
//! | what is heard of an origin was said by it | of each other and of the victim's own events | heard *of* the victim, it may be forged |
//! | all-or-gap: all of it is heard, and there is no gap | of each other | no: a `Void`, `Hello.low` or event in its name takes places of real ones; a `Want` in its name with a small `max_age` lets others spare it what it lacks |
//! | settle-by-echo: each own event is published until its echo came | yes | no: a forged echo settles |
//! | proof both ways, found in time | yes | yes: nobody guesses a nonce |
//! | bounded: hold, peers, askers, log, slots; answers within the rate in each window, and four times a second for each sequence | yes | yes |
//!
//! Nodes know each other before the lies begin, and none is built anew: strangers can fill the table of peers, and a newcomer
//! finds it full, as its rule says. And once forged goodbyes have pushed a stranger or the victim out of the memory of
//! departed peers, it begins anew, so once-in of it holds up to there.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::plan::{Fault, Plan};
use super::super::world::World;
use super::{holds, strategy};

#[test]
fn p5_lies_do_not_touch_what_others_hear_of_each_other() {
    let plans = || {
        besieged().prop_map(|plan| Plan {
            limits: |config| {
                config.limits.peers = 5;
                config.limits.departed = 16;
                config.limits.hold_bytes = 100_000;
            },
            ..plan
        })
    };
    holds(plans, World::run);
}

/// Every bound is so low that it is hit by honest nodes too, which may give events up, and by answers to askers.
#[test]
fn p5_lies_fill_nothing_beyond_its_bound() {
    let plans = || {
        besieged().prop_map(|plan| Plan {
            bounds_are_hit: true,
            limits: |config| {
                config.limits.peers = 4;
                config.limits.departed = 8;
                config.limits.hold_entries = 4;
                config.limits.hold_bytes = 1_000;
                config.limits.log_entries = 15;
                config.limits.repair_rate = 4_000;
                config.limits.repair_burst = 1_000;
            },
            ..plan
        })
    };
    holds(plans, World::run);
}

fn besieged() -> impl Strategy<Value = Plan> {
    let fault = strategy::fault().prop_filter("nobody is built anew", |fault| {
        !matches!(fault, Fault::Restart { .. })
    });
    let faults = vec(strategy::at(3_000..6_000, fault), 0..=2);
    let lies = vec(strategy::at(1_000..8_000, strategy::lie(8)), 0..50);
    let honest = strategy::without_faults(strategy::bursts(8_000));
    (lies, option::of(strategy::place()), faults, honest).prop_map(
        |(lies, victim, faults, plan)| Plan {
            lies,
            victim,
            faults,
            ..plan
        },
    )
}
