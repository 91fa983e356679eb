//! Control traffic of somebody who lies: others must not notice, and nothing may grow.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::super::message::{Hello, LAST_SEQ, Void, Want};
use super::super::{Control, Input, Message, NodeId, Output, QuarantineReason, Wb};
use super::rig::{A, Rig, US, hello, node, secs, wb};

#[test]
fn implausible_sequences_are_quarantined() {
    let mut rig = Rig::ready();
    rig.hello(hello(A, 0, None));
    rig.event(A, 1_000_001);
    rig.event(A, 1 << 63);
    rig.event(A, u64::MAX);
    rig.hello(hello(A, 0, Some(1 << 63)));
    rig.hello(hello(A, u64::MAX, Some(u64::MAX)));
    rig.hello(hello(A, 5, Some(3)));
    rig.void(A, None, (0, u64::MAX));
    rig.void(A, None, (3, 1));
    let reasons = rig.drain(|output| match output {
        Output::Quarantine(quarantined) => Some((quarantined.reason, quarantined.node)),
        _ => None,
    });
    assert_eq!(reasons, [(QuarantineReason::ImplausibleSeq, A); 8]);
    rig.event(A, 0);
    assert_eq!(rig.released(), [(A, 0)]);
}

/// P5: random lies in the names of many nodes, while one honest peer goes on.
#[test]
fn once_in_and_bounded_under_hostile_control_traffic() {
    for seed in 0..8 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut rig = Rig::ready_with(|config| config.limits.repair_burst = 10_000);
        rig.hello(hello(A, 0, None));
        (0..50).for_each(|event| rig.emit(event));
        let start = rig.now;
        for seq in 0..300 {
            for _ in 0..10 {
                let lie = lie(&mut rng);
                rig.hear(lie);
            }
            rig.event(A, seq);
            rig.hello(hello(A, 0, Some(seq)));
            rig.pass(secs(0.01));
        }
        let honest: Vec<_> = rig
            .released()
            .into_iter()
            .filter(|(from, _)| *from == A)
            .map(|(_, seq)| seq)
            .collect();
        assert_eq!(honest, (0..300).collect::<Vec<_>>(), "seed {seed}");
        let bytes: u64 = rig.items().iter().map(size).sum();
        let rate = 1024.0 * 1024.0 * rig.now.since(start).as_secs_f64();
        assert!(
            bytes as f64 <= rate + 20_000.0,
            "seed {seed}: {bytes} bytes"
        );
        assert!(rig.core.peers().len() <= 256);
    }
}

#[test]
fn bounded_the_table_of_peers() {
    let mut rig = Rig::ready();
    (0..1_000).for_each(|n| rig.hello(hello(node(n), 0, None)));
    (1_000..1_010).for_each(|n| rig.event(node(n), 0));
    assert_eq!(rig.core.peers().len(), 256);
    assert_eq!(rig.core.stats().quarantined, 754);
    assert!(rig.released().is_empty());
}

#[test]
fn bounded_the_memory_of_departed_peers() {
    let mut rig = Rig::ready_with(|config| config.limits.departed = 10);
    for n in 0..30 {
        rig.event(node(n), 0);
        rig.bye(node(n), Some(0));
        rig.pass(secs(2.0));
    }
    assert_eq!(
        (rig.core.stats().departed, rig.core.stats().departed_dropped),
        (30, 20)
    );
    rig.event(node(29), 0);
    assert_eq!(rig.core.stats().duplicates, 1);
}

#[test]
fn bounded_the_hold_before_and_after_contact() {
    let mut rig = Rig::ready_with(|config| config.limits.hold_bytes = 1_000);
    (1..100).for_each(|seq| rig.event(A, seq));
    assert_eq!(
        (rig.core.stats().held, rig.core.stats().hold_refused),
        (10, 89)
    );
    assert!(
        rig.gaps().is_empty(),
        "nothing is missing before the contact"
    );
    rig.hello(hello(A, 0, Some(99)));
    (200..300).for_each(|seq| rig.event(A, seq * 2));
    assert!(rig.core.stats().held <= 10);
}

#[test]
fn bounded_the_askers() {
    let mut rig = Rig::ready();
    rig.emit(1);
    rig.seen.clear();
    (0..1_000).for_each(|n| rig.want(node(n), (0, 0), 1_000_000));
    assert_eq!(
        (rig.core.stats().wants_heard, rig.core.stats().wants_ignored),
        (1_000, 744)
    );
    rig.pass(secs(0.1));
    assert_eq!(rig.repeated().len(), 1, "one answer for all");
}

#[test]
fn a_hello_cannot_make_a_name_grow() {
    let mut rig = Rig::ready();
    rig.hello(Hello {
        name: "ä".repeat(100_000),
        ..hello(A, 0, None)
    });
    assert_eq!(rig.core.peers()[0].name.chars().count(), 64);
}

#[test]
fn reports_that_make_no_sense_are_left() {
    let mut rig = Rig::ready();
    rig.reports = false;
    rig.emit(1);
    let batch = rig.batches().pop().expect("a batch").batch;
    rig.feed(Input::Published {
        link: rig.link,
        batch,
        failed: vec![(99, super::super::Failure::Permanent)],
    });
    rig.feed(Input::Published {
        link: rig.link,
        batch,
        failed: Vec::new(),
    });
    assert_eq!(rig.core.stats().stale, 1);
}

fn lie(rng: &mut SmallRng) -> Message<u32> {
    let from = node(rng.random_range(0..400));
    let seq = |rng: &mut SmallRng| match rng.random_range(0..4) {
        0 => rng.random_range(0..100),
        1 => rng.random_range(0..2_000_000),
        2 => rng.random(),
        _ => LAST_SEQ + rng.random_range(0..3),
    };
    let (low, high) = (seq(rng), seq(rng));
    match rng.random_range(0..6) {
        0 => {
            let (of_node, max_age) = (
                *[US, A].get(rng.random_range(0..2)).expect("two"),
                rng.random(),
            );
            Message::Control(Control::Want(Want {
                from_node: from,
                of_node,
                from: low,
                to: high,
                max_age,
                asked: rng.random(),
            }))
        }
        1 => Message::Control(Control::Hello(Hello {
            nonce: rng.random(),
            ear: Some(rng.random()),
            assigned: Some(rng.random()),
            heard: Some(BTreeMap::from([(US, Some(rng.random()))])),
            ..hello(from, low, Some(high))
        })),
        2 => {
            let to: Option<NodeId> = rng.random_bool(0.5).then_some(US);
            Message::Control(Control::Void(Void {
                node: from,
                to,
                asked: to.map(|_| u64::MAX),
                seqs: vec![(low, high); 100],
            }))
        }
        3 => Message::Control(Control::Bye(super::super::message::Bye {
            node: from,
            sent: Some(high),
        })),
        4 => Message::Again {
            wb: Wb {
                age: Some(rng.random()),
                ..wb(from, low)
            },
            body: 0,
            size: 100,
        },
        _ => Message::Event {
            wb: Some(wb(from, high)),
            body: 0,
            size: 100,
        },
    }
}

/// What an answer to somebody else costs on the broker.
fn size(item: &super::super::Item<u32>) -> u64 {
    match item {
        super::super::Item::Again { .. } => 100 + 128,
        super::super::Item::Control(Control::Void(_)) => 128,
        _ => 0,
    }
}
