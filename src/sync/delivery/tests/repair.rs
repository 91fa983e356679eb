//! Our log as a repair store.

use std::time::Duration;

use wingbeat_adapter::Lane;

use super::super::message::Span;
use super::super::{Control, Emit, Failure, Input, Item, NodeId, Outgoing};
use super::rig::{A, B, Rig, node, secs};

/// A core that has sent and settled this many events.
fn settled(events: u32) -> Rig {
    let mut rig = Rig::ready();
    (0..events).for_each(|event| rig.emit(event));
    assert_eq!(rig.core.stats().unsettled, 0);
    rig.seen.clear();
    rig
}

const EVER: u64 = 1_000_000;

#[test]
fn askers_are_answered_together_in_order_on_the_control_lane_with_their_age() {
    let mut rig = settled(10);
    rig.pass(secs(0.5));
    rig.want(A, (4, 6), EVER);
    rig.want(B, (2, 5), EVER);
    rig.pass(Duration::from_millis(49));
    assert!(rig.repeated().is_empty());
    rig.pass(Duration::from_millis(2));
    let batches = rig.batches();
    assert!(batches.iter().all(|batch| batch.lane == Lane::Control));
    let answers: Vec<_> = batches
        .into_iter()
        .flat_map(|batch| batch.items)
        .filter_map(|item| {
            if let Item::Again { wb, .. } = item {
                Some((wb.seq, wb.age))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        answers,
        (2..=6).map(|seq| (seq, Some(550))).collect::<Vec<_>>()
    );
}

#[test]
fn an_own_again_settles_nothing() {
    let mut rig = Rig::ready();
    rig.echoes = false;
    rig.emit(1);
    rig.again(super::rig::US, 0);
    assert_eq!(rig.core.stats().unsettled, 1);
}

#[test]
fn one_sequence_goes_at_most_four_times_a_second() {
    let mut rig = settled(1);
    for n in 0..200 {
        rig.want(node(n % 7), (0, 0), EVER);
        rig.pass(Duration::from_millis(10));
    }
    let repeats = rig.repeated().len();
    assert!((6..=8).contains(&repeats), "{repeats} in 2 s");
}

#[test]
fn repair_is_no_faster_than_its_rate() {
    let mut rig = Rig::ready();
    for event in 0..600 {
        rig.feed(Input::Emit(Emit {
            event,
            sync: Some(Outgoing {
                lane: Lane::Events,
                body: event,
                size: 10_000,
            }),
        }));
    }
    rig.seen.clear();
    let mut answered = Vec::new();
    for _ in 0..30 {
        rig.want(A, (answered.last().map_or(0, |last| last + 1), 599), EVER);
        rig.pass(secs(0.1));
        answered.extend(rig.repeated());
    }
    let bytes = answered.len() * 10_128;
    assert!((2_900_000..=3_400_000).contains(&bytes), "{bytes} in 3 s");
    assert_eq!(
        answered,
        (0..answered.len() as u64).collect::<Vec<_>>(),
        "in order, each once"
    );
}

#[test]
fn own_events_and_answers_take_turns() {
    let mut rig = settled(300);
    rig.pass(secs(1.0));
    rig.want(A, (0, 299), EVER);
    rig.pass(Duration::from_millis(49));
    rig.seen.clear();
    rig.emit(1_000);
    rig.pass(Duration::from_millis(1));
    assert_eq!(
        rig.seen.len(),
        2 + 2,
        "an event with its delivery, and two batches of answers"
    );
}

#[test]
fn below_low_only_a_hello_helps() {
    let mut rig = Rig::ready_with(|config| config.limits.log_entries = 5);
    (0..10).for_each(|event| rig.emit(event));
    rig.pass(secs(0.2));
    rig.seen.clear();
    rig.want(A, (3, 6), EVER);
    rig.pass(secs(0.1));
    let items = rig.items();
    let hellos = items
        .iter()
        .filter(|item| matches!(item, Item::Control(Control::Hello(hello)) if hello.low == 5));
    assert_eq!(hellos.count(), 1);
    let again: Vec<_> = items
        .iter()
        .filter_map(|item| {
            if let Item::Again { wb, .. } = item {
                Some(wb.seq)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(again, [5, 6]);
}

#[test]
fn what_is_older_than_the_asker_is_voided_for_it_alone() {
    let mut rig = Rig::ready();
    for event in 0..5 {
        rig.emit(event);
        rig.pass(secs(1.0));
    }
    rig.seen.clear();
    rig.want(A, (0, 4), 2_500);
    rig.pass(secs(0.1));
    let items = rig.items();
    let voids: Vec<_> = items.iter().filter_map(void_of).collect();
    assert_eq!(voids, [(Some(A), vec![(0, 2)])]);
    let again = items
        .iter()
        .filter(|item| matches!(item, Item::Again { .. }))
        .count();
    assert_eq!(again, 2);
}

#[test]
fn what_was_not_sent_is_not_repeated() {
    for ticks in 0..2 {
        let mut rig = Rig::ready();
        rig.pass(secs(0.2));
        // A tick more or less, and it is the other one's turn when the batch is done.
        (0..ticks).for_each(|_| rig.feed(Input::Tick));
        rig.reports = false;
        rig.emit(0);
        let batch = rig.batches().pop().expect("a batch").batch;
        rig.emit(1);
        rig.want(A, (1, u64::MAX), EVER);
        rig.pass(secs(0.1));
        rig.reports = true;
        let (link, failed) = (rig.link, Vec::new());
        rig.feed(Input::Published {
            link,
            batch,
            failed,
        });
        let items = rig.items();
        assert!(
            matches!(items.first(), Some(Item::Event { wb, .. }) if wb.seq == 1),
            "{items:?}"
        );
    }
}

#[test]
fn what_the_broker_refused_for_good_is_voided_for_askers() {
    let mut rig = settled(2);
    rig.fails = vec![(0, Failure::Permanent)];
    rig.emit(2);
    rig.emit(3);
    rig.seen.clear();
    rig.want(A, (1, 3), EVER);
    rig.pass(secs(0.1));
    let items = rig.items();
    let voids: Vec<_> = items.iter().filter_map(void_of).collect();
    assert_eq!(voids, [(None, vec![(2, 2)])]);
    let again = items
        .iter()
        .filter(|item| matches!(item, Item::Again { .. }))
        .count();
    assert_eq!(again, 2);
}

#[test]
fn an_again_that_the_broker_refuses_for_good_is_voided() {
    let mut rig = settled(1);
    rig.pass(secs(0.2));
    rig.fails = vec![(0, Failure::Permanent)];
    rig.want(A, (0, 0), EVER);
    rig.pass(secs(0.2));
    assert_eq!(
        rig.voids()
            .iter()
            .map(|void| void.seqs.clone())
            .collect::<Vec<_>>(),
        [vec![(0, 0)]]
    );
}

#[test]
fn a_want_that_is_not_repeated_dies() {
    let mut rig = settled(1);
    rig.reports = false;
    rig.emit(9);
    let batch = rig.batches().pop().expect("a batch").batch;
    rig.want(A, (0, 0), EVER);
    rig.pass(secs(1.5));
    rig.reports = true;
    rig.feed(Input::Published {
        link: rig.link,
        batch,
        failed: Vec::new(),
    });
    rig.pass(secs(0.1));
    assert!(rig.repeated().is_empty());
}

fn void_of(item: &Item<u32>) -> Option<(Option<NodeId>, Vec<Span>)> {
    match item {
        Item::Control(Control::Void(void)) => Some((void.to, void.seqs.clone())),
        _ => None,
    }
}

/// A stranger asks for all of the log, again and again, from its beginning.
#[test]
fn who_wants_everything_does_not_starve_the_others() {
    let mut rig = Rig::ready_with(|config| config.limits.repair_rate = 20_000);
    (0..1_000).for_each(|event| rig.emit(event));
    rig.seen.clear();
    rig.want(A, (900, 909), EVER);
    let mut repeated = Vec::new();
    for _ in 0..20 {
        rig.want(B, (0, 999), EVER);
        rig.pass(secs(0.1));
        repeated.extend(rig.repeated());
    }
    let wanted = (900..=909).filter(|seq| repeated.contains(seq)).count();
    assert_eq!(wanted, 10, "{} were repeated", repeated.len());
}
