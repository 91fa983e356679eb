//! P4: how long things may take. The time is virtual, and a core is ticked when it asks for it, so bounds are exact; what is
//! added to them is the time that messages are on their way.
//!
//! Every run of the model, of the other properties too, checks at each step that a node is `Ready` only if an own hello came
//! back on its link within two intervals and a second, and that no link lives longer without one; and at the end that no own
//! event waited longer than the echo deadline. Time in which a node's shell had no processor does not count.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::super::Time;
use super::super::super::io::DropReason;
use super::super::plan::{Fault, Kind, Plan, ms};
use super::super::world::{Verdict, World};
use super::{holds, strategy};

/// Slower brokers than in P1: what is late by less than the deadline waits, what is later does not.
#[test]
fn p4_no_own_event_waits_longer_than_the_echo_deadline() {
    let plans = || {
        let lag = (
            any::<bool>(),
            strategy::span(1..2_500),
            strategy::span(20..6_000),
        );
        let lag = lag.prop_map(|(control, by, span)| Fault::Lag { control, by, span });
        let fault = prop_oneof![lag, strategy::fault()];
        strategy::with_faults(vec(strategy::at(0..12_000, fault), 0..=5))
    };
    holds(plans, World::run);
}

/// Whether it is idle or not; a mute one that hears itself and others until then is found by its own hellos only.
#[test]
fn p4_a_deaf_or_mute_link_is_found_in_two_intervals_and_a_second() {
    holds(one_way, |plan| {
        let (at, fault) = plan.faults[0];
        let world = World::played(plan);
        world.check()?;
        let dropped = &world.nodes[fault.place()].dropped;
        let found = dropped.first().map(|(at, _)| *at);
        ensure(
            found.is_some_and(|found| found > at && found <= at + FIVE + ON_THE_WAY),
            || format!("a link that is one-way since {at:?} is found at {found:?}"),
        )?;
        no_drops(&world, |place| place != fault.place())
    });
}

/// What is readable is read first, so a shell that had no processor blames nobody.
#[test]
fn p4_a_stall_of_two_seconds_drops_no_link() {
    let stall = || {
        let stall = (strategy::place(), strategy::span(100..2_001));
        let stall = stall.prop_map(|(place, span)| Fault::Stall { place, span });
        strategy::with_faults(vec(strategy::at(0..12_000, stall), 1..6))
    };
    holds(stall, |plan| {
        let world = World::played(plan);
        world.check()?;
        no_drops(&world, |_| true)
    });
}

/// A demoted replica: what its peers say shows the node that nobody hears it, and it dials once in thirty seconds.
///
/// A node that emits nothing cannot find out, as nothing of it can be missing; so this one emits once at the start.
#[test]
fn p4_a_demoted_replica_is_shown_and_dialled_once_in_thirty_seconds() {
    holds(demoted, |plan| {
        let (at, fault) = plan.faults[0];
        let end = at + fault.lasts();
        let mut world = World::new(plan);
        world.until(at);
        let mut shown = None;
        while world.now < end {
            world.until(world.now + STEP);
            let node = &world.nodes[fault.place()];
            let rows = node.core.peers();
            if rows.len() == 2 && rows.iter().all(|row| row.hears_us == Some(false)) {
                shown = shown.or(Some(world.now));
            }
        }
        let dropped = world.nodes[fault.place()].dropped.clone();
        world.settle();
        world.check()?;
        ensure(shown.is_some_and(|shown| shown <= at + SHOWN), || {
            format!("demoted at {at:?}, shown at {shown:?}")
        })?;
        dials(&dropped, at, end)?;
        no_drops(&world, |place| place != fault.place())
    });
}

fn one_way() -> impl Strategy<Value = Plan> {
    let span = strategy::span(6_000..12_000);
    let fault = (strategy::place(), span, 0..3_usize).prop_map(|(place, span, how)| match how {
        0 => Fault::Deaf { place, span },
        how => Fault::Mute {
            place,
            span,
            hangs: how == 2,
        },
    });
    let lag = (any::<bool>(), strategy::span(1..400)).prop_map(|(control, by)| Fault::Lag {
        control,
        by,
        span: Duration::from_secs(30),
    });
    let faults = (strategy::at(1_000..8_000, fault), lag)
        .prop_map(|(fault, lag)| vec![fault, (Time::default(), lag)]);
    (strategy::with_faults(faults), any::<bool>()).prop_map(|(mut plan, is_idle)| {
        let place = plan.faults[0].1.place();
        plan.emits.retain(|(_, node, _)| !is_idle || *node != place);
        plan
    })
}

fn demoted() -> impl Strategy<Value = Plan> {
    let fault = (strategy::place(), strategy::span(20_000..50_000))
        .prop_map(|(place, span)| Fault::Demoted { place, span });
    let faults = strategy::at(500..8_000, fault).prop_map(|fault| vec![fault]);
    strategy::with_faults(faults).prop_map(|mut plan| {
        let (at, fault) = plan.faults[0];
        plan.emits.push((
            at + ms(10).since(Time::default()),
            fault.place(),
            Kind::Events,
        ));
        plan
    })
}

/// Only because every peer is deaf, soon at first and then every thirty seconds.
fn dials(dropped: &[(Time, DropReason)], from: Time, to: Time) -> Verdict {
    let is_right = |(_, reason): &(Time, DropReason)| *reason == DropReason::PeersDeaf;
    ensure(dropped.iter().all(is_right), || {
        format!("dropped {dropped:?}")
    })?;
    let mut due = from..from + SHOWN + THREE_INTERVALS;
    for (at, _) in dropped {
        ensure(due.contains(at), || {
            format!("dropped at {at:?} and not in {due:?}")
        })?;
        due = *at + THIRTY..*at + THIRTY + Duration::from_secs(1);
    }
    ensure(due.end > to, || format!("not dropped in {due:?}"))
}

fn no_drops(world: &World, places: impl Fn(usize) -> bool) -> Verdict {
    let mut nodes = world.nodes.iter().filter(|node| places(node.place));
    nodes.try_for_each(|node| {
        let dropped = &node.dropped;
        ensure(dropped.is_empty(), || {
            format!("{:?} dropped {dropped:?}", node.id)
        })
    })
}

fn ensure(is_so: bool, what: impl FnOnce() -> String) -> Verdict {
    if is_so { Ok(()) } else { Err(what()) }
}

/// Two intervals and a second.
const FIVE: Duration = Duration::from_secs(5);
/// From publish to arrival with the slowest lane of these plans.
const ON_THE_WAY: Duration = Duration::from_millis(410);
const THIRTY: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(50);
/// The own hello after the event, two intervals in which peers can hear it, and a peer's hello after that.
const SHOWN: Duration = Duration::from_millis(8_100);
const THREE_INTERVALS: Duration = Duration::from_millis(6_500);
