//! Own events: slots, sequences, the log and the echo.

use wingbeat_adapter::Lane;

use super::super::{
    Delivery, Emit, Failure, Input, Item, Outgoing, Output, QuarantineReason, Status,
};
use super::rig::{Rig, US, secs};

#[test]
fn own_once_a_local_event_does_not_overtake_a_synced_one() {
    let mut rig = Rig::ready();
    rig.echoes = false;
    rig.emit(1);
    rig.emit_on(2, None);
    rig.emit(3);
    assert!(rig.delivered().is_empty());
    rig.echo(1);
    assert!(rig.delivered().is_empty());
    rig.echo(0);
    assert_eq!(rig.delivered(), [1, 2, 3]);
    rig.echo(0);
    assert!(rig.delivered().is_empty());
    assert_eq!(rig.core.stats().duplicate_echoes, 1);
}

#[test]
fn own_once_across_every_status() {
    let mut rig = Rig::new();
    rig.emit(1);
    assert_eq!(rig.delivered(), [1], "Connecting");
    rig.echoes = false;
    rig.up();
    assert_eq!(rig.core.status, Status::Replaying);
    rig.emit(2);
    assert_eq!(rig.delivered(), [2], "Replaying");
    rig.echo(0);
    assert_eq!(
        rig.core.status,
        Status::Ready,
        "what was emitted on this link need not be settled"
    );
    rig.emit(3);
    assert!(rig.delivered().is_empty(), "Ready");
    rig.pass(secs(1.0));
    assert_eq!(
        (rig.core.status, rig.delivered()),
        (Status::Degraded, vec![3])
    );
    rig.emit(4);
    assert_eq!(rig.delivered(), [4], "Degraded");
    rig.down();
    rig.emit(5);
    assert_eq!(
        (rig.core.status, rig.delivered()),
        (Status::Reconnecting, vec![5])
    );
    rig.echoes = true;
    rig.up();
    assert_eq!(rig.core.status, Status::Ready);
    rig.feed(Input::Close);
    rig.emit(6);
    assert_eq!(
        (rig.core.status, rig.delivered()),
        (Status::Closed, vec![6])
    );
    assert_eq!(rig.core.stats().delivered, 6);
}

#[test]
fn a_lost_link_delivers_what_waits_before_the_status_is_told() {
    let mut rig = Rig::ready();
    rig.echoes = false;
    rig.emit(1);
    rig.emit_on(2, None);
    rig.seen.clear();
    rig.down();
    let kinds: Vec<_> = rig.seen.iter().map(std::mem::discriminant).collect();
    let expected = [
        Output::Deliver(1),
        Output::Deliver(2),
        Output::Status(Status::Reconnecting),
    ];
    assert_eq!(kinds[..3], expected.each_ref().map(std::mem::discriminant));
}

#[test]
fn local_first_waits_for_nothing() {
    let mut rig = Rig::ready_with(|config| config.delivery = Delivery::LocalFirst);
    rig.echoes = false;
    rig.emit(1);
    assert_eq!(rig.delivered(), [1]);
    assert_eq!(rig.core.stats().delivered_early, 0);
}

#[test]
fn never_starved_while_a_publish_hangs_and_nothing_is_even_sent() {
    let mut rig = Rig::ready();
    rig.reports = false;
    rig.echoes = false;
    rig.emit(1);
    rig.pass(secs(0.5));
    rig.emit(2);
    assert_eq!(rig.sent(), [0], "one batch at a time");
    rig.until(secs(0.999));
    assert!(rig.delivered().is_empty());
    rig.until(secs(1.0));
    assert_eq!(rig.delivered(), [1, 2]);
    assert_eq!(rig.core.status, Status::Degraded);
}

#[test]
fn never_starved_behind_a_hello_that_hangs() {
    let mut rig = Rig::ready();
    rig.reports = false;
    rig.pass(secs(2.0));
    assert_eq!(rig.hellos().len(), 1);
    rig.emit(1);
    rig.pass(secs(0.99));
    assert!(rig.delivered().is_empty() && rig.sent().is_empty());
    rig.pass(secs(0.01));
    assert_eq!(rig.delivered(), [1]);
}

#[test]
fn never_starved_by_a_local_event_behind_a_hanging_one() {
    let mut rig = Rig::ready();
    rig.echoes = false;
    rig.pass(secs(0.3));
    rig.emit(1);
    rig.emit_on(2, None);
    rig.pass(secs(1.0));
    assert_eq!(rig.delivered(), [1, 2]);
}

#[test]
fn settle_by_echo_and_not_by_what_publish_returns() {
    let mut rig = Rig::ready();
    rig.echoes = false;
    rig.emit(1);
    assert_eq!(rig.core.stats().unsettled, 1);
    rig.pass(secs(3.5));
    assert_eq!(
        rig.core.status,
        Status::Reconnecting,
        "published and never heard"
    );
    rig.seen.clear();
    rig.echoes = true;
    rig.up();
    assert_eq!(rig.sent(), [0]);
    assert_eq!(
        (rig.core.stats().unsettled, rig.core.stats().resent),
        (0, 1)
    );
    rig.down();
    rig.up();
    assert!(rig.sent().is_empty(), "what came back is not sent again");
}

#[test]
fn replay_goes_in_order_from_the_lowest_with_new_ones_behind() {
    let mut rig = Rig::ready_with(|config| config.limits.batch_items = 2);
    rig.echoes = false;
    (0..4).for_each(|event| rig.emit(event));
    rig.echo(1);
    rig.down();
    rig.emit(4);
    rig.seen.clear();
    rig.reports = false;
    rig.up();
    assert!(rig.sent().is_empty(), "the hello is not reported on yet");
    let published = |rig: &mut Rig, batch| {
        rig.feed(Input::Published {
            link: rig.link,
            batch,
            failed: Vec::new(),
        });
        rig.batches().pop()
    };
    let flight = |rig: &Rig| {
        rig.core
            .link
            .as_ref()
            .and_then(|link| link.flight.as_ref())
            .map(|flight| flight.batch)
    };
    let hello = flight(&rig).expect("a hello is out");
    let first = published(&mut rig, hello).expect("a replay");
    rig.emit(5);
    let second = published(&mut rig, first.batch).expect("more");
    let third = published(&mut rig, second.batch).expect("the rest");
    let seqs = |items: &[Item<u32>]| -> Vec<_> {
        items
            .iter()
            .filter_map(|item| {
                if let Item::Event { wb, .. } = item {
                    Some(wb.seq)
                } else {
                    None
                }
            })
            .collect()
    };
    assert_eq!(
        [seqs(&first.items), seqs(&second.items), seqs(&third.items)],
        [vec![0, 2], vec![3, 4], vec![5]]
    );
}

#[test]
fn late_is_marked() {
    let mut rig = Rig::new();
    rig.emit(1);
    rig.pass(secs(2.0));
    rig.up();
    rig.emit(2);
    let ages: Vec<_> = rig
        .items()
        .into_iter()
        .filter_map(|item| {
            if let Item::Event { wb, .. } = item {
                Some((wb.seq, wb.age, wb.early))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(ages, [(0, Some(2_000), true), (1, None, false)]);
}

#[test]
fn node_safe_a_batch_is_of_one_lane_and_in_order() {
    let mut rig = Rig::new();
    let lanes = [Lane::Events, Lane::Events, Lane::Control, Lane::Events];
    for (event, lane) in (0..).zip(lanes) {
        rig.emit_on(event, Some(lane));
    }
    rig.up();
    let is_event = |item: &Item<u32>| matches!(item, Item::Event { .. });
    let batches: Vec<_> = rig
        .batches()
        .into_iter()
        .filter(|batch| batch.items.iter().all(is_event))
        .collect();
    let shape: Vec<_> = batches
        .iter()
        .map(|batch| (batch.lane, batch.items.len()))
        .collect();
    assert_eq!(
        shape,
        [(Lane::Events, 2), (Lane::Control, 1), (Lane::Events, 1)]
    );
}

#[test]
fn only_the_refused_element_is_sent_again() {
    let mut rig = Rig::new();
    (0..3).for_each(|event| rig.emit(event));
    rig.echoes_hello = false;
    rig.up();
    rig.seen.clear();
    rig.echoes_hello = true;
    rig.fails = vec![(1, Failure::Transient)];
    let nonce = rig.core.link.as_ref().expect("a link").nonce;
    rig.hello(super::super::message::Hello {
        node: US,
        nonce,
        ..super::rig::hello(US, 0, None)
    });
    assert_eq!(rig.sent(), [0, 1, 2]);
    rig.pass(secs(0.06));
    assert_eq!(rig.sent(), [1]);
    assert_eq!(
        (rig.core.stats().refused_for_now, rig.core.stats().unsettled),
        (1, 0)
    );
}

#[test]
fn an_element_refused_for_good_is_voided_and_the_rest_goes_on() {
    let mut rig = Rig::ready();
    rig.fails = vec![(0, Failure::Permanent)];
    rig.emit(7);
    rig.emit(8);
    assert_eq!(rig.delivered(), [7, 8]);
    let quarantined = rig.drain(|output| {
        if let Output::Quarantine(q) = output {
            Some((q.reason, q.seq, q.body))
        } else {
            None
        }
    });
    assert_eq!(quarantined, [(QuarantineReason::Refused, Some(0), Some(7))]);
    let voids = rig.voids();
    assert_eq!(
        voids
            .iter()
            .map(|void| (void.to, void.seqs.clone()))
            .collect::<Vec<_>>(),
        [(None, vec![(0, 0)])]
    );
    assert_eq!(
        (rig.core.stats().voided, rig.core.stats().unsettled),
        (1, 0)
    );
}

#[test]
fn a_full_log_gives_its_lowest_to_own_clients_and_says_so() {
    let mut rig = Rig::ready_with(|config| config.limits.log_entries = 3);
    rig.reports = false;
    rig.echoes = false;
    (0..5).for_each(|event| rig.emit(event));
    assert_eq!(rig.delivered(), [0, 1]);
    let stats = rig.core.stats();
    assert_eq!(
        (
            stats.dropped_unsettled,
            stats.dropped_out,
            stats.log_entries
        ),
        (1, 1, 3)
    );
    rig.reports = true;
    rig.echoes = true;
    rig.down();
    rig.seen.clear();
    rig.up();
    let lows: Vec<_> = rig
        .hellos()
        .iter()
        .map(|hello| (hello.low, hello.sent))
        .collect();
    assert_eq!(lows, [(2, Some(0))]);
}

#[test]
fn what_leaves_the_log_by_its_size_is_delivered_at_once() {
    let mut rig = Rig::ready_with(|config| config.limits.log_bytes = 250);
    rig.echoes = false;
    (0..4).for_each(|event| rig.emit(event));
    assert_eq!(
        (rig.core.status, rig.delivered()),
        (Status::Ready, vec![0, 1])
    );
}

#[test]
fn old_entries_leave_the_log() {
    let mut rig = Rig::ready();
    rig.emit(1);
    rig.until(secs(299.0));
    assert_eq!(rig.core.stats().log_entries, 1);
    rig.until(secs(301.0));
    assert_eq!(
        (rig.core.stats().log_entries, rig.core.stats().dropped_out),
        (0, 0)
    );
}

#[test]
fn bounded_waiting_slots_and_an_event_larger_than_the_log() {
    let mut rig = Rig::ready_with(|config| {
        config.limits.log_entries = 10;
        config.limits.log_bytes = 1_000;
    });
    rig.echoes = false;
    rig.emit(0);
    (1..30).for_each(|event| rig.emit_on(event, None));
    assert_eq!(
        rig.core.stats().waiting,
        0,
        "the head went, and nothing behind it had to wait"
    );
    rig.feed(Input::Emit(Emit {
        event: 30,
        sync: Some(Outgoing {
            lane: Lane::Events,
            body: 30,
            size: 1_001,
        }),
    }));
    assert_eq!(rig.core.stats().refused, 1);
    assert_eq!(rig.delivered(), (0..=30).collect::<Vec<_>>());
}

#[test]
fn an_echo_of_what_we_did_not_send_means_that_two_nodes_share_an_id() {
    let mut rig = Rig::ready();
    rig.echo(5);
    let reasons = rig.drain(|output| {
        if let Output::Quarantine(q) = output {
            Some((q.reason, q.seq))
        } else {
            None
        }
    });
    assert_eq!(reasons, [(QuarantineReason::ClonedIdentity, Some(5))]);
}

#[test]
fn ready_comes_back_under_steady_load() {
    let mut rig = Rig::ready();
    rig.echoes = false;
    rig.emit(0);
    rig.pass(secs(1.1));
    assert_eq!(rig.core.status, Status::Degraded);
    // From here on each echo is 200 ms late, so there is never a moment without an unsettled entry.
    for seq in 1..20_u64 {
        rig.emit(0);
        rig.pass(secs(0.1));
        rig.echo(seq - 1);
    }
    assert_eq!(
        (rig.core.status, rig.core.stats().unsettled),
        (Status::Ready, 1)
    );
}
