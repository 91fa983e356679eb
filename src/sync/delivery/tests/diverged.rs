//! Invariant 10: clients of two nodes that heard one service in different orders.

use std::sync::Arc;
use std::time::Duration;

use wingbeat_adapter::Lane;

use super::super::{Config, Gap, GapReason, Message, NodeId, Output, VERSION, Wb};
use super::rig::{A, Rig};

/// Events that end in 0 are of this service, those that end in 1 of the next, all others of none.
const SERVICES: [&str; 2] = ["messages", "users"];

fn rig() -> Rig {
    Rig::ready_with(|config: &mut Config| config.services = SERVICES.map(Arc::from).to_vec())
}

/// An event of a peer; with an age if it comes late, and early if its own clients were not to wait for the broker.
fn event(node: NodeId, seq: u64, body: u32) -> Message<u32> {
    let wb = Wb {
        v: VERSION,
        node,
        seq,
        age: None,
        early: false,
    };
    Message::Event {
        wb: Some(wb),
        body,
        size: 100,
    }
}

fn late(message: Message<u32>, ms: u64, early: bool) -> Message<u32> {
    let Message::Event {
        wb: Some(wb),
        body,
        size,
    } = message
    else {
        panic!("not a peer's")
    };
    let wb = Wb {
        age: Some(ms),
        early,
        ..wb
    };
    Message::Again { wb, body, size }
}

fn told(rig: &mut Rig) -> Vec<String> {
    rig.pass(Duration::from_secs(2));
    told_so_far(rig)
}

fn told_so_far(rig: &mut Rig) -> Vec<String> {
    let seen = std::mem::take(&mut rig.seen);
    let diverged = |output| match output {
        Output::Gap(Gap {
            path: Some(path),
            reason: GapReason::Diverged,
            range: None,
            ..
        }) => Some(path.to_string()),
        _ => None,
    };
    seen.into_iter().filter_map(diverged).collect()
}

/// Own clients hear an own event in an outage; then the link is back and all is settled.
fn outage(rig: &mut Rig, body: u32) {
    rig.down();
    rig.emit(body);
    rig.pass(Duration::from_secs(5));
    rig.up();
}

#[test]
fn who_was_away_is_told_when_the_others_had_gone_on_without_it() {
    let mut rig = rig();
    outage(&mut rig, 10);
    rig.hear(late(event(A, 0, 20), 3_000, false));
    assert_eq!(told(&mut rig), ["messages"]);
    assert_eq!(told(&mut rig), [""; 0]);
}

#[test]
fn who_went_on_is_told_when_somebody_comes_back_with_early_events() {
    let mut rig = rig();
    rig.emit(10);
    rig.hear(late(event(A, 0, 20), 3_000, true));
    assert_eq!(told(&mut rig), ["messages"]);
}

#[test]
fn what_comes_late_is_in_doubt_if_somebody_else_was_heard_since_it_happened() {
    let mut rig = rig();
    rig.emit(10);
    rig.hear(late(event(A, 0, 20), 3_000, false));
    assert_eq!(told(&mut rig), ["messages"]);
}

#[test]
fn other_services_and_other_times_are_not_in_doubt() {
    let mut rig = rig();
    outage(&mut rig, 10);
    rig.hear(late(event(A, 0, 21), 3_000, false));
    rig.hear(event(A, 1, 20));
    assert_eq!(told(&mut rig), [""; 0]);
    rig.pass(Duration::from_secs(20));
    rig.hear(late(event(A, 2, 30), 3_000, true));
    rig.hear(late(event(A, 3, 40), 3_000, true));
    assert_eq!(told(&mut rig), [""; 0], "only its own events went before");
}

#[test]
fn without_an_outage_the_broker_gives_the_order() {
    let mut rig = rig();
    rig.echoes = false;
    rig.emit(10);
    rig.hear(event(A, 0, 20));
    assert_eq!(told(&mut rig), [""; 0]);
}

#[test]
fn it_is_told_once_and_when_no_more_of_it_comes() {
    let mut rig = rig();
    rig.emit_on(10, Some(Lane::Events));
    for seq in 0..4 {
        rig.hear(late(event(A, seq, 20), 3_000, true));
        rig.pass(Duration::from_millis(600));
        let is_gap = |output: &Output<_, _>| matches!(output, Output::Gap(_));
        assert!(!rig.seen.iter().any(is_gap), "after {seq}");
    }
    assert_eq!(told(&mut rig).len(), 1);
}

#[test]
fn an_endless_doubt_is_told_all_the_same() {
    let mut rig = rig();
    rig.emit(10);
    for seq in 0..20 {
        rig.emit(10);
        rig.hear(late(event(A, seq, 20), 3_000, true));
        rig.pass(Duration::from_millis(900));
    }
    assert_eq!(told_so_far(&mut rig), ["messages"]);
}
