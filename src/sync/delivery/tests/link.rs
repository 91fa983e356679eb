//! Proof that a link works both ways, and what happens without it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::io::DropReason;
use super::super::message::Hello;
use super::super::{Input, Output, Status, Time};
use super::rig::{A, B, Rig, US, hello, secs};

fn drops(rig: &mut Rig) -> Vec<DropReason> {
    rig.drain(|output| {
        if let Output::DropLink { reason, .. } = output {
            Some(*reason)
        } else {
            None
        }
    })
}

fn dials(rig: &mut Rig) -> Vec<Duration> {
    rig.drain(|output| {
        if let Output::Dial { after } = output {
            Some(*after)
        } else {
            None
        }
    })
}

#[test]
fn proof_both_ways_before_anything_is_sent() {
    let mut rig = Rig::new();
    rig.echoes_hello = false;
    rig.emit(1);
    rig.up();
    rig.until(secs(2.9));
    assert_eq!((rig.core.status, rig.sent().len()), (Status::Connecting, 0));
    rig.until(secs(3.0));
    assert_eq!(drops(&mut rig), [DropReason::NoProof]);
    assert_eq!(dials(&mut rig).len(), 1);
}

#[test]
fn every_change_of_status_is_told_once() {
    let mut rig = Rig::new();
    rig.up();
    rig.echoes = false;
    rig.emit(1);
    rig.pass(secs(3.5));
    rig.echoes = true;
    rig.up();
    rig.feed(Input::Close);
    let told = rig.drain(|output| match output {
        Output::Status(status) => Some(*status),
        _ => None,
    });
    let expected = [
        Status::Replaying,
        Status::Ready,
        Status::Degraded,
        Status::Reconnecting,
        Status::Replaying,
        Status::Ready,
        Status::Closed,
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_hello_of_an_older_link_is_no_proof() {
    let mut rig = Rig::new();
    rig.up();
    let old = rig.hellos().pop().expect("a hello");
    rig.down();
    rig.echoes_hello = false;
    rig.up();
    rig.hello(old);
    assert_eq!(
        (rig.core.status, rig.core.stats().stale_hellos),
        (Status::Reconnecting, 1)
    );
    let new = rig.hellos().pop().expect("a hello");
    rig.hello(new);
    assert_eq!(rig.core.status, Status::Ready);
}

/// An idle node whose publishes come nowhere, while peers are heard all the time.
#[test]
fn proof_both_ways_peers_are_no_proof_that_we_are_heard() {
    let mut rig = Rig::ready();
    rig.echoes_hello = false;
    for tenth in 1..=50_u64 {
        rig.hello(hello(A, 0, tenth.checked_sub(2)));
        rig.event(A, tenth - 1);
        rig.until(secs(0.1 * tenth as f64));
    }
    assert_eq!(
        drops(&mut rig),
        [DropReason::HelloLost],
        "within two intervals and a second"
    );
}

#[test]
fn a_deaf_node_degrades_after_one_second_and_dials_after_three() {
    let mut rig = Rig::ready();
    rig.echoes = false;
    rig.echoes_hello = false;
    rig.emit(1);
    rig.until(secs(1.0));
    assert_eq!(rig.core.status, Status::Degraded);
    rig.until(secs(3.0));
    assert_eq!(drops(&mut rig), [DropReason::NoEcho]);
}

#[test]
fn a_publish_that_hangs_costs_the_link_after_three_seconds() {
    let mut rig = Rig::ready();
    rig.until(secs(0.1));
    rig.reports = false;
    rig.emit(1);
    rig.until(secs(3.0));
    assert!(drops(&mut rig).is_empty());
    rig.until(secs(3.1));
    assert_eq!(drops(&mut rig), [DropReason::PublishHangs]);
}

#[test]
fn an_own_hello_that_is_late_degrades() {
    let mut rig = Rig::ready();
    rig.echoes_hello = false;
    rig.until(secs(3.0));
    assert_eq!(rig.core.status, Status::Degraded);
    rig.emit(1);
    assert_eq!(rig.delivered(), [1]);
}

#[test]
fn a_hello_says_since_when_we_hear_ourselves() {
    let mut rig = Rig::new();
    rig.echoes_hello = false;
    rig.up();
    rig.pass(secs(1.5));
    assert_eq!(
        rig.hellos()
            .iter()
            .map(|hello| hello.ear)
            .collect::<Vec<_>>(),
        [None, None]
    );
    rig.echoes_hello = true;
    rig.pass(secs(1.0));
    rig.echoes_hello = false;
    rig.seen.clear();
    rig.pass(secs(4.0));
    let ears: Vec<_> = rig.hellos().iter().filter_map(|hello| hello.ear).collect();
    assert!(ears.len() == 2 && ears[1] > ears[0] + 1_500, "{ears:?}");
}

#[test]
fn a_starved_node_is_not_deaf() {
    let mut rig = Rig::ready();
    rig.reports = false;
    rig.echoes = false;
    rig.echoes_hello = false;
    rig.emit(1);
    let batch = rig.batches().pop().expect("a batch").batch;
    // Twenty seconds without a processor; then what was readable comes first.
    rig.now = Time::at(secs(20.0));
    rig.echo(0);
    rig.feed(Input::Published {
        link: rig.link,
        batch,
        failed: Vec::new(),
    });
    rig.feed(Input::Tick);
    assert!(drops(&mut rig).is_empty());
    assert_eq!(rig.core.status, Status::Ready);
    // Nothing readable, and asleep: still no reason to drop the link, but soon it is one.
    rig.now = Time::at(secs(40.0));
    rig.feed(Input::Tick);
    assert!(drops(&mut rig).is_empty());
    rig.until(secs(45.0));
    assert_eq!(drops(&mut rig).len(), 1);
}

#[test]
fn back_off_has_full_jitter_and_ends_at_five_seconds() {
    let mut rig = Rig::new();
    let mut waits = Vec::new();
    for _ in 0..200 {
        rig.feed(Input::DialFailed);
        waits.extend(dials(&mut rig));
    }
    assert_eq!(waits.len(), 200);
    assert!(waits[0] <= secs(0.1) && waits[1] <= secs(0.2) && waits[2] <= secs(0.4));
    let late = &waits[10..];
    assert!(late.iter().all(|wait| *wait <= secs(5.0)));
    assert!(late.iter().any(|wait| *wait > secs(4.0)) && late.iter().any(|wait| *wait < secs(1.0)));
}

#[test]
fn back_off_starts_anew_after_a_link_that_lived() {
    let mut rig = Rig::new();
    (0..20).for_each(|_| rig.feed(Input::DialFailed));
    rig.up();
    rig.pass(secs(29.0));
    rig.down();
    rig.up();
    assert!(
        rig.core
            .backoff
            .next(&mut rig.core.rng, &rig.core.config.timing)
            <= secs(5.0)
    );
    rig.pass(secs(31.0));
    dials(&mut rig);
    rig.down();
    assert!(dials(&mut rig).pop().expect("a dial") <= secs(0.1));
}

#[test]
fn an_order_to_dial_is_given_once() {
    let mut rig = Rig::ready();
    rig.down();
    rig.down();
    rig.feed(Input::LinkDown { link: rig.link });
    assert_eq!(dials(&mut rig).len(), 1);
}

#[test]
fn what_comes_on_a_link_that_is_gone_is_counted_and_left() {
    let mut rig = Rig::ready();
    let old = rig.link;
    rig.down();
    rig.event(A, 0);
    rig.up();
    rig.link = old;
    rig.event(A, 0);
    assert!(rig.released().is_empty());
    assert_eq!(rig.core.stats().stale, 2);
}

#[test]
fn every_new_link_and_every_loss_is_a_gap_for_foreign_events() {
    let mut rig = Rig::ready();
    rig.down();
    rig.up();
    rig.feed(Input::Lost {
        link: rig.link,
        n: 3,
    });
    let gaps = rig.drain(|output| {
        if let Output::Gap(gap) = output {
            Some(gap.range)
        } else {
            None
        }
    });
    assert_eq!(gaps, [None, None]);
    assert_eq!(rig.core.stats().lost, 3);
}

/// A demoted replica: we hear ourselves, and every peer says that it does not hear us.
#[test]
fn proof_both_ways_hears_us_comes_from_peers_and_leads_to_one_dial_in_thirty_seconds() {
    let mut rig = Rig::ready();
    rig.emit(1);
    let deaf = |node| Hello {
        heard: Some(BTreeMap::from([(US, None)])),
        ..hello(node, 0, None)
    };
    let mut dropped = Vec::new();
    for second in 1..=60 {
        rig.hello(deaf(A));
        rig.hello(deaf(B));
        rig.until(secs(f64::from(second)));
        for _ in drops(&mut rig) {
            dropped.push(second);
            rig.up();
        }
        let rows = rig.core.peers();
        assert!(
            second < 8 || !dropped.is_empty() || rows.iter().all(|row| row.hears_us == Some(false)),
            "{second}"
        );
    }
    assert_eq!(dropped.len(), 2, "{dropped:?}");
    assert!(dropped[1] - dropped[0] >= 30, "{dropped:?}");
}

#[test]
fn one_peer_that_hears_us_is_enough() {
    let mut rig = Rig::ready();
    rig.emit(1);
    for second in 1..=30 {
        rig.hello(Hello {
            heard: Some(BTreeMap::from([(US, None)])),
            ..hello(A, 0, None)
        });
        rig.hello(Hello {
            heard: Some(BTreeMap::from([(US, Some(0))])),
            ..hello(B, 0, None)
        });
        rig.until(secs(f64::from(second)));
    }
    assert!(drops(&mut rig).is_empty());
    let hears: Vec<_> = rig.core.peers().iter().map(|row| row.hears_us).collect();
    assert_eq!(hears, [Some(false), Some(true)]);
}
