//! The way out.

use super::super::io::DropReason;
use super::super::{Control, Input, Item, Output, Status};
use super::rig::{A, Rig, hello, secs};

fn is_closed(rig: &Rig) -> bool {
    rig.seen
        .iter()
        .any(|output| matches!(output, Output::Closed))
}

fn byes(rig: &mut Rig) -> Vec<Option<u64>> {
    let bye = |item| {
        if let Item::Control(Control::Bye(bye)) = item {
            Some(bye.sent)
        } else {
            None
        }
    };
    rig.items().into_iter().filter_map(bye).collect()
}

#[test]
fn close_settles_then_says_bye_then_drops_the_link() {
    let mut rig = Rig::ready();
    rig.echoes = false;
    rig.emit(1);
    rig.feed(Input::Close);
    rig.emit(2);
    rig.event(A, 0);
    assert_eq!(rig.released().len(), 1, "peers are heard to the last");
    assert!(rig.delivered().is_empty(), "and order is kept");
    assert!(!is_closed(&rig));
    rig.echo(0);
    assert_eq!(rig.delivered(), [1, 2]);
    assert!(is_closed(&rig));
    assert_eq!(byes(&mut rig), [Some(0)]);
    assert_eq!(
        (rig.core.status, rig.core.stats().refused),
        (Status::Closed, 1)
    );
    let reasons = rig.drain(|output| {
        if let Output::DropLink { reason, .. } = output {
            Some(*reason)
        } else {
            None
        }
    });
    assert_eq!(reasons, [DropReason::Closed]);
    assert!(
        !rig.seen
            .iter()
            .any(|output| matches!(output, Output::Dial { .. }))
    );
}

#[test]
fn close_without_a_link_and_without_anything_to_settle_is_done_at_once() {
    let mut rig = Rig::new();
    rig.feed(Input::Close);
    assert!(is_closed(&rig));
    assert_eq!(rig.core.next_deadline(), None);
    rig.up();
    assert!(matches!(
        rig.seen.last(),
        Some(Output::DropLink {
            reason: DropReason::Closed,
            ..
        })
    ));
}

#[test]
fn close_waits_for_a_link_to_settle_on_until_the_deadline() {
    let mut rig = Rig::new();
    rig.emit(1);
    rig.feed(Input::Close);
    rig.feed(Input::DialFailed);
    rig.pass(secs(5.0));
    assert!(!is_closed(&rig));
    rig.feed(Input::CloseNow);
    assert!(is_closed(&rig));
    assert_eq!(rig.core.stats().unsettled, 1, "what was left is reported");
}

#[test]
fn close_replays_on_a_link_that_comes_in_time() {
    let mut rig = Rig::new();
    rig.emit(1);
    rig.feed(Input::Close);
    rig.up();
    assert!(is_closed(&rig));
    assert_eq!(byes(&mut rig), [Some(0)]);
}

#[test]
fn close_now_delivers_what_waits_and_does_not_wait_for_a_publish_that_hangs() {
    let mut rig = Rig::ready();
    rig.reports = false;
    rig.echoes = false;
    rig.emit(1);
    rig.emit_on(2, None);
    rig.feed(Input::CloseNow);
    assert!(is_closed(&rig));
    assert_eq!(rig.delivered(), [1, 2]);
    rig.emit(3);
    assert_eq!(rig.delivered(), [3]);
}

#[test]
fn a_bye_that_hangs_does_not_hold_the_end_up() {
    let mut rig = Rig::ready();
    rig.reports = false;
    rig.feed(Input::Close);
    assert!(!is_closed(&rig));
    rig.pass(secs(1.0));
    assert!(is_closed(&rig));
}

#[test]
fn a_link_lost_on_the_way_out_is_dialled_again_only_if_something_is_left() {
    let mut rig = Rig::ready();
    rig.hello(hello(A, 0, None));
    rig.echoes = false;
    rig.emit(1);
    rig.feed(Input::Close);
    rig.down();
    assert!(!is_closed(&rig));
    rig.echoes = true;
    rig.up();
    assert!(is_closed(&rig));
}
