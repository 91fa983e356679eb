//! How plans are drawn. What stands first in a choice is what a plan shrinks to.

use std::ops::Range;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::super::Time;
use super::super::super::message::LAST_SEQ;
use super::super::lie::{Claim, Lie, Name, Words};
use super::super::plan::{Fault, Kind, Plan, ms};

/// Own events, each with its time and its place.
pub(super) type Emits = Vec<(Time, usize, Kind)>;

/// Three nodes, some thirty events each, and up to five faults in a quarter of a minute.
pub(super) fn plan() -> impl Strategy<Value = Plan> {
    with_faults(vec(at(0..12_000, fault()), 0..=5))
}

/// The same with these faults.
pub(super) fn with_faults(
    faults: impl Strategy<Value = Vec<(Time, Fault)>>,
) -> impl Strategy<Value = Plan> {
    (faults, without_faults(bursts(16_000))).prop_map(|(faults, plan)| Plan { faults, ..plan })
}

pub(super) fn without_faults(emits: impl Strategy<Value = Emits>) -> impl Strategy<Value = Plan> {
    (emits, any::<bool>(), any::<u64>().no_shrink()).prop_map(|(emits, is_local_first, seed)| {
        Plan {
            emits,
            ordered: !is_local_first,
            ..Plan::idle(seed)
        }
    })
}

/// Bursts in so many milliseconds, with pauses between them.
pub(super) fn bursts(until: u64) -> impl Strategy<Value = Emits> {
    let burst = (place(), 0..until, vec((0..40_u64, kind()), 1..12));
    vec(burst, 0..=32).prop_map(|bursts| {
        let mut emits = Vec::new();
        for (place, mut at, events) in bursts {
            for (pause, kind) in events {
                emits.push((ms(at), place, kind));
                at += pause;
            }
        }
        emits
    })
}

/// Something that happens at some millisecond.
pub(super) fn at<T: std::fmt::Debug>(
    range: Range<u64>,
    what: impl Strategy<Value = T>,
) -> impl Strategy<Value = (Time, T)> {
    (range.prop_map(ms), what)
}

pub(super) fn place() -> Range<usize> {
    0..3
}

pub(super) fn span(range: Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

pub(super) fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        37 => hurts_a_node(),
        33 => hurts_the_broker(),
        18 => (place(), any_span()).prop_map(|(place, span)| Fault::Cut { place, span }),
        9 => (place(), 1..30_u64).prop_map(|(place, n)| Fault::Lose { place, n }),
        3 => place().prop_map(|place| Fault::Restart { place }),
    ]
}

fn hurts_a_node() -> impl Strategy<Value = Fault> {
    prop_oneof![
        10 => (place(), any_span()).prop_map(|(place, span)| Fault::Deaf { place, span }),
        12 => (place(), any_span(), any::<bool>())
            .prop_map(|(place, span, hangs)| Fault::Mute { place, span, hangs }),
        4 => (place(), any_span()).prop_map(|(place, span)| Fault::Alone { place, span }),
        4 => (place(), any_span()).prop_map(|(place, span)| Fault::Demoted { place, span }),
        8 => (place(), span(20..5_000)).prop_map(|(place, span)| Fault::Stall { place, span }),
    ]
}

fn hurts_the_broker() -> impl Strategy<Value = Fault> {
    prop_oneof![
        14 => any_span().prop_map(|span| Fault::Kill { span }),
        12 => any_span().prop_map(|span| Fault::Freeze { span }),
        6 => (any::<bool>(), span(1..400), any_span())
            .prop_map(|(control, by, span)| Fault::Lag { control, by, span }),
        6 => any_span().prop_map(|span| Fault::Refuse { span }),
    ]
}

/// Mostly short, sometimes so long that every patience ends.
fn any_span() -> impl Strategy<Value = Duration> {
    prop_oneof![9 => span(20..6_000), 1 => span(10_000..16_000)]
}

/// A choice among strategies would be ten times slower, and there are many of these.
fn kind() -> impl Strategy<Value = Kind> {
    (0..100_u8).prop_map(|dice| match dice {
        0..70 => Kind::Events,
        70..95 => Kind::Control,
        _ => Kind::Local,
    })
}

/// A lie in the name of one of so many strangers or, one in three, of the victim.
pub(super) fn lie(strangers: u8) -> impl Strategy<Value = Lie> {
    let name = (0..strangers / 2 * 3).prop_map(move |n| {
        if n < strangers {
            Name::Stranger(n)
        } else {
            Name::Victim
        }
    });
    (name, words()).prop_map(|(name, words)| Lie { name, words })
}

fn words() -> impl Strategy<Value = Words> {
    let numbers = (seq(), seq(), seq(), any::<u64>());
    (0..13_u8, place(), 0..50_000_usize, numbers).prop_map(
        |(dice, place, size, (first, last, end, n))| match dice {
            1..5 => Words::Envelope {
                seq: first,
                size,
                age: n.is_multiple_of(2).then_some(n),
            },
            _ => Words::Claim(claim(dice, place, (first, last, end), n)),
        },
    )
}

fn claim(dice: u8, place: usize, (first, last, end): (u64, u64, u64), n: u64) -> Claim {
    let half = n.is_multiple_of(2);
    match dice {
        0 => Claim::Bye { sent: first },
        1..8 => Claim::Want {
            of: place,
            span: (first, last),
            max_age: if half { n } else { n % 10_000 },
        },
        8..10 => Claim::Void {
            to: half.then_some(place),
            span: (first, last),
            times: if n.is_multiple_of(5) { 100 } else { 1 },
        },
        _ => Claim::Hello {
            v: u8::from(!n.is_multiple_of(10)),
            nonce: n,
            ear: half.then_some(n),
            low: first,
            sent: last,
            assigned: end,
            heard: n.is_multiple_of(3).then_some(end),
        },
    }
}

/// Such as the nodes reach, such as a log could reach, and such as none can.
fn seq() -> impl Strategy<Value = u64> {
    (0..10_u8, any::<u64>()).prop_map(|(dice, n)| match dice {
        0..5 => n % 60,
        5..7 => n % 2_000_000,
        7 => LAST_SEQ - 1 + n % 4,
        8 => 1 << 63,
        _ => n,
    })
}
