//! More comes than a hold takes.

use std::time::Duration;

use super::super::GapReason;
use super::peers::seqs;
use super::rig::{A, Rig, hello, secs};

#[test]
fn what_comes_to_a_full_hold_is_asked_for_once_there_is_room() {
    let mut rig = Rig::ready_with(|config| config.limits.hold_entries = 3);
    rig.hello(hello(A, 0, None));
    for seq in [5, 6, 9, 10, 2] {
        rig.event(A, seq);
    }
    assert_eq!(rig.core.stats().hold_refused, 2);
    for seq in 0..5 {
        rig.again(A, seq);
    }
    assert_eq!(seqs(&mut rig), [0, 1, 2, 3, 4, 5, 6]);
    rig.again(A, 7);
    rig.again(A, 8);
    rig.hello(hello(A, 0, Some(10)));
    rig.pass(Duration::from_millis(60));
    assert_eq!(
        rig.wants().last().map(|want| (want.from, want.to)),
        Some((10, 10))
    );
    rig.again(A, 10);
    assert_eq!(seqs(&mut rig), [7, 8, 9, 10]);
    assert!(rig.gaps().is_empty());
}

/// Every second one event comes, and `repeated` of those before it.
fn crowded(repeated: u64) -> Rig {
    let mut rig = Rig::ready_with(|config| config.limits.hold_entries = 3);
    rig.hello(hello(A, 0, None));
    for second in 0..11 {
        rig.event(A, 100 + second);
        let next = second * repeated;
        (next..next + repeated).for_each(|seq| rig.again(A, seq));
        rig.pass(secs(1.0));
    }
    rig
}

#[test]
fn who_sends_faster_than_it_repeats_is_heard_where_it_is() {
    let mut rig = crowded(1);
    assert!(
        rig.gaps().is_empty(),
        "ten seconds are not over since the hold was full"
    );
    rig.pass(secs(2.0));
    rig.event(A, 113);
    let full = |from, to| (from, to, GapReason::HoldFull);
    assert_eq!(rig.gaps(), [full(11, 99), full(103, 112)]);
    let heard: Vec<u64> = (0..11).chain([100, 101, 102, 113]).collect();
    assert_eq!(seqs(&mut rig), heard);
}

#[test]
fn who_repeats_faster_than_it_sends_loses_nothing_to_a_full_hold() {
    let mut rig = crowded(2);
    rig.pass(secs(2.0));
    for seq in 111..114 {
        rig.event(A, seq);
    }
    (22..114).for_each(|seq| rig.again(A, seq));
    assert!(rig.gaps().is_empty());
    assert_eq!(seqs(&mut rig), (0..114).collect::<Vec<_>>());
}
