//! Two nodes with one id, and nodes that do not read each other.

use super::super::io::DropReason;
use super::super::message::Hello;
use super::super::{Input, Item, Message, NodeId, Output, QuarantineReason, Status};
use super::rig::{A, B, Rig, US, hello, secs};

const NEW: NodeId = NodeId::from_bytes([0xcc; 16]);

/// A node with the id of another: two events of it are settled, a third one has no echo.
fn twin() -> Rig {
    let mut rig = Rig::ready();
    rig.emit(100);
    rig.emit(200);
    rig.echoes = false;
    rig.emit(300);
    rig.seen.clear();
    rig.echo(7);
    rig
}

fn renamed() -> Rig {
    let mut rig = twin();
    rig.feed(Input::Rename(NEW));
    rig.echoes = true;
    rig
}

fn times_cloned(rig: &mut Rig) -> usize {
    rig.drain(|output| matches!(output, Output::Cloned).then_some(()))
        .len()
}

fn published(rig: &mut Rig) -> Vec<(NodeId, u64, u32)> {
    let event = |item| match item {
        Item::Event { wb, body } => Some((wb.node, wb.seq, body)),
        Item::Again { .. } | Item::Control(_) => None,
    };
    rig.items().into_iter().filter_map(event).collect()
}

#[test]
fn a_cloned_identity_asks_once_for_a_new_one() {
    let mut rig = twin();
    rig.echo(8);
    assert_eq!(times_cloned(&mut rig), 1);
    assert_eq!(rig.core.stats().quarantined, 2);
}

#[test]
fn who_forges_our_id_costs_us_one_link_in_thirty_seconds() {
    let mut rig = renamed();
    for _ in 0..100 {
        rig.up();
        rig.hello(Hello {
            nonce: 12_345,
            ..hello(NEW, 0, None)
        });
        rig.pass(secs(0.1));
    }
    assert_eq!(times_cloned(&mut rig), 1);
}

#[test]
fn what_has_no_echo_is_sent_again_under_the_new_id() {
    let mut rig = renamed();
    let reasons = rig.drain(|output| match output {
        Output::DropLink { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reasons, [DropReason::Renamed]);
    rig.up();
    rig.emit(400);
    assert_eq!(published(&mut rig), [(NEW, 0, 300), (NEW, 1, 400)]);
    assert_eq!(rig.core.status, Status::Ready);
    assert_eq!(rig.core.stats().renamed, 1);
}

#[test]
fn what_own_clients_heard_meanwhile_is_early_under_the_new_id() {
    let mut rig = renamed();
    rig.up();
    let event = |item| match item {
        Item::Event { wb, body } => Some((wb.seq, wb.early, body)),
        Item::Again { .. } | Item::Control(_) => None,
    };
    let events: Vec<_> = rig.items().into_iter().filter_map(event).collect();
    assert_eq!(events, [(0, true, 300)]);
}

#[test]
fn own_once_across_a_new_id() {
    let mut rig = twin();
    rig.emit_on(350, None);
    rig.feed(Input::Rename(NEW));
    rig.echoes = true;
    rig.up();
    rig.emit(400);
    assert_eq!(rig.delivered(), [300, 350, 400]);
}

#[test]
fn the_twin_is_a_peer_from_where_we_stood() {
    let mut rig = renamed();
    rig.up();
    rig.event(US, 2);
    assert_eq!(rig.released(), [], "that was ours");
    rig.event(US, 3);
    assert_eq!(rig.released(), [(US, 3)]);
}

#[test]
fn a_hello_with_our_id_that_we_never_sent_is_of_a_twin() {
    let mut rig = Rig::ready();
    let twin = hello(US, 0, None);
    rig.hello(Hello {
        nonce: 12_345,
        ..twin
    });
    assert_eq!(times_cloned(&mut rig), 1);
}

#[test]
fn a_late_hello_of_an_earlier_link_of_ours_is_not() {
    let mut rig = Rig::new();
    rig.echoes_hello = false;
    rig.up();
    let first = rig.hellos().pop().expect("a hello");
    rig.down();
    rig.up();
    rig.hello(first);
    assert_eq!(times_cloned(&mut rig), 0);
    assert_eq!(rig.core.stats().stale_hellos, 1);
}

fn stranger(rig: &mut Rig) {
    let stranger = hello(A, 0, None);
    rig.hello(Hello {
        codec: "other".to_owned(),
        ..stranger
    });
}

#[test]
fn among_strangers_nothing_is_published_and_own_clients_are_served() {
    let mut rig = Rig::ready();
    stranger(&mut rig);
    assert_eq!(rig.core.status, Status::Incompatible);
    rig.emit(100);
    assert_eq!(rig.delivered(), [100]);
    assert_eq!(published(&mut rig), []);
}

#[test]
fn when_the_strangers_are_gone_what_waited_goes_out() {
    let mut rig = Rig::ready();
    rig.hear(Message::Stranger(A));
    rig.emit(100);
    rig.pass(secs(10.0));
    assert_eq!(rig.core.status, Status::Ready);
    assert_eq!(published(&mut rig), [(US, 0, 100)]);
}

#[test]
fn where_others_read_us_a_stranger_changes_nothing() {
    let mut rig = Rig::ready();
    stranger(&mut rig);
    rig.hello(hello(B, 0, None));
    assert_eq!(rig.core.status, Status::Ready);
    stranger(&mut rig);
    assert_eq!(rig.core.status, Status::Ready);
    let reasons = rig.drain(|output| match output {
        Output::Quarantine(quarantined) => Some(quarantined.reason),
        _ => None,
    });
    assert_eq!(reasons, [QuarantineReason::Codec; 2]);
}
