//! What peers send: order, holes, gaps, first and last contact.

use std::time::Duration;

use super::super::message::{Hello, Void};
use super::super::{Control, GapReason, Message, Output, QuarantineReason, Status, Time, Wb};
use super::rig::{A, B, Rig, US, hello, node, secs, wb};

/// A core that has met A, at sequence 0.
fn acquainted() -> Rig {
    let mut rig = Rig::ready();
    rig.hello(hello(A, 0, None));
    rig.pass(secs(0.2));
    rig.seen.clear();
    rig
}

pub(super) fn seqs(rig: &mut Rig) -> Vec<u64> {
    rig.released().into_iter().map(|(_, seq)| seq).collect()
}

#[test]
fn once_in_whatever_comes_how_often_and_in_which_order() {
    let mut rig = acquainted();
    for seq in [0, 0, 3, 2, 3, 1, 2, 4, 0] {
        rig.event(A, seq);
    }
    assert_eq!(seqs(&mut rig), [0, 1, 2, 3, 4]);
    assert_eq!((rig.core.stats().duplicates, rig.core.stats().late), (4, 0));
}

#[test]
fn a_release_says_whose_it_is_and_how_late() {
    let mut rig = acquainted();
    rig.event(A, 0);
    rig.again(A, 1);
    let labels = rig.drain(|output| match output {
        Output::Release(release) => Some((release.name.to_string(), release.age)),
        _ => None,
    });
    let late = Duration::from_millis(77);
    assert_eq!(
        labels,
        [("peer".to_owned(), None), ("peer".to_owned(), Some(late))]
    );
}

#[test]
fn all_or_gap_a_hole_is_asked_for_and_given_up_after_ten_seconds() {
    let mut rig = acquainted();
    rig.event(A, 0);
    rig.event(A, 3);
    rig.pass(Duration::from_millis(49));
    assert!(rig.wants().is_empty());
    let asked = rig.now;
    let mut wants = 0;
    // Our own hellos vouch for the time up to two seconds late.
    for _ in 0..130 {
        rig.hello(hello(A, 0, Some(3)));
        rig.pass(secs(0.1));
        let new = rig.wants();
        assert!(
            new.iter()
                .all(|want| (want.of_node, want.from, want.to) == (A, 1, 2))
        );
        wants += new.len();
        if !rig
            .seen
            .iter()
            .any(|output| matches!(output, Output::Gap(_)))
        {
            assert!(rig.now.since(asked) < secs(12.5), "no gap");
        } else {
            assert!(rig.now.since(asked) > secs(10.0), "too early");
        }
    }
    assert!((32..=64).contains(&wants), "{wants} in 10 to 12 s");
    assert_eq!(rig.gaps(), [(1, 2, GapReason::Unanswered)]);
    assert_eq!(seqs(&mut rig), [0, 3]);
    rig.event(A, 1);
    rig.event(A, 0);
    assert!(rig.released().is_empty());
    assert_eq!((rig.core.stats().late, rig.core.stats().duplicates), (1, 1));
    assert_eq!(rig.core.peers()[0].missing, 2);
}

#[test]
fn progress_restarts_the_clock_of_a_hole() {
    let mut rig = acquainted();
    rig.event(A, 20);
    for seq in 0..20 {
        (0..9).for_each(|_| {
            rig.hello(hello(A, 0, Some(20)));
            rig.pass(secs(1.0));
        });
        rig.again(A, seq);
    }
    assert!(rig.gaps().is_empty());
    assert_eq!(seqs(&mut rig), (0..=20).collect::<Vec<_>>());
    assert_eq!(rig.core.stats().repaired, 20);
}

/// The clock of a hole runs only while an answer can come.
#[test]
fn all_or_gap_no_hole_is_given_up_while_a_link_is_down_or_a_peer_is_silent_or_deaf() {
    let mut rig = acquainted();
    rig.event(A, 1);
    rig.pass(secs(30.0));
    assert!(rig.gaps().is_empty(), "silent");
    for _ in 0..30 {
        rig.hello(Hello {
            ear: None,
            ..hello(A, 0, Some(1))
        });
        rig.pass(secs(1.0));
    }
    assert!(rig.gaps().is_empty(), "deaf");
    rig.down();
    rig.pass(secs(30.0));
    rig.up();
    rig.hello(hello(A, 0, Some(1)));
    rig.pass(secs(1.0));
    assert!(rig.gaps().is_empty(), "down");
    rig.again(A, 0);
    assert_eq!(seqs(&mut rig), [0, 1]);
}

/// A broker that was frozen can deliver a hello late, which says nothing about the time before.
#[test]
fn one_hello_after_a_long_silence_does_not_end_a_hole() {
    let mut rig = acquainted();
    rig.event(A, 1);
    rig.pass(secs(40.0));
    rig.hello(hello(A, 0, Some(1)));
    rig.pass(secs(1.0));
    assert!(rig.gaps().is_empty());
    rig.again(A, 0);
    assert_eq!(seqs(&mut rig), [0, 1]);
}

#[test]
fn a_hole_does_not_count_time_for_which_we_have_no_proof_of_our_own() {
    let mut rig = acquainted();
    rig.event(A, 1);
    for half in 0..21 {
        rig.echoes_hello = half < 15;
        rig.hello(hello(A, 0, Some(1)));
        rig.pass(secs(0.5));
    }
    assert_eq!(rig.core.status, Status::Degraded);
    assert!(rig.gaps().is_empty());
}

#[test]
fn a_new_link_of_either_end_gives_a_hole_its_full_time() {
    let mut rig = acquainted();
    rig.event(A, 1);
    let wait = |rig: &mut Rig, nonce| {
        for _ in 0..8 {
            rig.hello(Hello {
                nonce,
                ..hello(A, 0, Some(1))
            });
            rig.pass(secs(1.0));
        }
        assert!(rig.gaps().is_empty());
    };
    wait(&mut rig, 1);
    rig.down();
    rig.up();
    wait(&mut rig, 1);
    wait(&mut rig, 2);
    for _ in 0..6 {
        rig.hello(Hello {
            nonce: 2,
            ..hello(A, 0, Some(1))
        });
        rig.pass(secs(1.0));
    }
    assert_eq!(rig.gaps(), [(0, 0, GapReason::Unanswered)]);
}

#[test]
fn a_hole_is_not_given_up_for_time_in_which_this_process_slept() {
    let mut rig = acquainted();
    rig.event(A, 1);
    rig.hello(hello(A, 0, Some(1)));
    rig.now = Time::at(secs(60.0));
    for _ in 0..10 {
        rig.hello(hello(A, 0, Some(1)));
    }
    rig.feed(super::super::Input::Tick);
    assert!(rig.gaps().is_empty());
}

#[test]
fn the_tail_is_found_by_the_hello() {
    let mut rig = acquainted();
    rig.hello(hello(A, 0, Some(2)));
    rig.pass(Duration::from_millis(60));
    let wants = rig.wants();
    assert_eq!(
        wants
            .iter()
            .map(|want| (want.from, want.to))
            .collect::<Vec<_>>(),
        [(0, 2)]
    );
}

#[test]
fn what_the_origin_does_not_keep_is_one_gap_around_what_is_here() {
    let mut rig = acquainted();
    rig.event(A, 0);
    rig.event(A, 4);
    rig.hello(hello(A, 7, Some(8)));
    assert_eq!(
        rig.gaps(),
        [(1, 3, GapReason::Evicted), (5, 6, GapReason::Evicted)]
    );
    assert_eq!(seqs(&mut rig), [0, 4]);
    rig.event(A, 7);
    assert_eq!(seqs(&mut rig), [7]);
}

#[test]
fn first_contact_by_hello_begins_at_the_lowest_that_is_kept() {
    let mut rig = Rig::ready();
    rig.pass(secs(2.0));
    rig.hello(hello(A, 40, Some(42)));
    rig.event(A, 43);
    rig.pass(Duration::from_millis(60));
    let wants = rig.wants();
    assert_eq!(
        wants
            .iter()
            .map(|want| (want.from, want.to))
            .collect::<Vec<_>>(),
        [(40, 42)]
    );
    assert_eq!(wants[0].max_age, 3_050, "our time and a slack");
    rig.void(A, Some(US), (40, 41));
    rig.again(A, 42);
    assert_eq!(seqs(&mut rig), [42, 43]);
    assert!(
        rig.gaps().is_empty(),
        "what is older than our clients is no loss"
    );
}

#[test]
fn first_contact_by_envelope_waits_for_what_is_below_it() {
    let mut rig = Rig::ready();
    rig.event(A, 5);
    assert!(rig.released().is_empty());
    rig.pass(Duration::from_millis(60));
    assert_eq!(
        rig.wants()
            .iter()
            .map(|want| (want.from, want.to))
            .collect::<Vec<_>>(),
        [(0, 4)]
    );
    rig.hello(hello(A, 4, Some(5)));
    rig.again(A, 4);
    assert_eq!(seqs(&mut rig), [4, 5]);
    assert!(rig.gaps().is_empty());
    rig.event(B, 0);
    assert_eq!(rig.released(), [(B, 0)]);
}

#[test]
fn a_void_for_all_is_a_gap_and_a_void_for_another_is_nothing() {
    let mut rig = acquainted();
    rig.void(A, Some(B), (0, 3));
    rig.event(A, 0);
    rig.event(A, 3);
    rig.void(A, None, (1, 1));
    assert_eq!(rig.gaps(), [(1, 1, GapReason::Refused)]);
    rig.void(A, None, (2, 2));
    rig.void(A, None, (0, 2));
    assert_eq!(rig.gaps(), [(2, 2, GapReason::Refused)]);
    assert_eq!(seqs(&mut rig), [0, 3]);
}

#[test]
fn a_void_that_overtakes_its_neighbours_waits_for_them() {
    let mut rig = acquainted();
    rig.void(A, None, (2, 4));
    rig.event(A, 3);
    rig.event(A, 5);
    assert!(rig.gaps().is_empty());
    rig.event(A, 0);
    rig.event(A, 1);
    assert_eq!(
        rig.gaps(),
        [(2, 2, GapReason::Refused), (4, 4, GapReason::Refused)],
        "3 is here, whatever was said"
    );
    assert_eq!(seqs(&mut rig), [0, 1, 3, 5]);
}

#[test]
fn an_unknown_peer_or_a_new_link_of_a_known_one_is_answered_soon_and_not_often() {
    let mut rig = Rig::ready();
    rig.hello(hello(A, 0, None));
    rig.pass(secs(0.16));
    assert_eq!(rig.hellos().len(), 1);
    rig.hello(hello(A, 0, None));
    rig.pass(secs(0.2));
    assert!(rig.hellos().is_empty(), "known, same link");
    rig.hello(Hello {
        nonce: 2,
        ..hello(A, 0, None)
    });
    rig.pass(secs(0.1));
    assert_eq!(rig.hellos().len(), 1);
    for nonce in 0..100 {
        rig.hello(Hello {
            nonce: nonce + 10,
            ..hello(A, 0, None)
        });
        rig.pass(secs(0.01));
    }
    assert!(rig.hellos().len() <= 11);
}

#[test]
fn a_silent_peer_is_forgotten_with_a_final_gap_and_goes_on_where_it_was() {
    let mut rig = acquainted();
    rig.event(A, 0);
    rig.hello(Hello {
        assigned: Some(4),
        ..hello(A, 0, Some(2))
    });
    rig.event(A, 2);
    let heard = rig.now;
    while rig.now.since(heard) < secs(59.0) {
        rig.hello(hello(B, 0, None));
        rig.pass(secs(1.0));
    }
    assert!(rig.gaps().is_empty());
    rig.pass(secs(2.0));
    assert_eq!(
        rig.gaps(),
        [(1, 1, GapReason::Departed), (3, 4, GapReason::Departed)]
    );
    assert_eq!(seqs(&mut rig), [0, 2]);
    assert_eq!(
        rig.core
            .peers()
            .iter()
            .map(|row| row.node)
            .collect::<Vec<_>>(),
        [B]
    );
    // It comes back with its whole log. Without a memory of where it was, all of it would be heard twice.
    rig.event(A, 2);
    rig.hello(Hello {
        nonce: 9,
        ..hello(A, 0, Some(6))
    });
    (0..=6).for_each(|seq| rig.again(A, seq));
    assert_eq!(seqs(&mut rig), [5, 6]);
    assert!(rig.gaps().is_empty());
}

#[test]
fn silence_does_not_count_while_we_have_no_link() {
    let mut rig = acquainted();
    rig.hello(hello(A, 0, Some(3)));
    rig.down();
    rig.pass(secs(200.0));
    rig.up();
    rig.pass(secs(59.0));
    assert_eq!(rig.core.peers().len(), 1);
    assert!(rig.gaps().is_empty());
}

#[test]
fn bye_leaves_time_for_a_lane_that_is_behind() {
    let mut rig = acquainted();
    rig.bye(A, Some(2));
    rig.event(A, 0);
    rig.event(A, 1);
    rig.pass(secs(0.9));
    rig.event(A, 2);
    rig.pass(secs(1.0));
    assert_eq!(seqs(&mut rig), [0, 1, 2]);
    assert!(rig.gaps().is_empty() && rig.core.peers().is_empty());
    rig.event(A, 1);
    assert_eq!(
        (rig.core.peers().len(), rig.core.stats().duplicates),
        (0, 1)
    );
}

#[test]
fn bye_with_something_missing_is_a_final_gap() {
    let mut rig = acquainted();
    rig.event(A, 1);
    rig.bye(A, Some(2));
    rig.pass(secs(1.5));
    assert!(rig.wants().is_empty(), "nobody is there to answer");
    assert_eq!(
        rig.gaps(),
        [(0, 0, GapReason::Departed), (2, 2, GapReason::Departed)]
    );
}

#[test]
fn other_versions_and_codecs_are_quarantined() {
    let mut rig = Rig::ready();
    rig.hear(Message::Event {
        wb: Some(Wb { v: 2, ..wb(A, 0) }),
        body: 1,
        size: 1,
    });
    rig.hello(Hello {
        v: 2,
        ..hello(A, 0, None)
    });
    rig.hello(Hello {
        codec: "bson".to_owned(),
        ..hello(A, 0, None)
    });
    let reasons = rig.drain(|output| {
        if let Output::Quarantine(q) = output {
            Some(q.reason)
        } else {
            None
        }
    });
    assert_eq!(
        reasons,
        [
            QuarantineReason::Version,
            QuarantineReason::Version,
            QuarantineReason::Codec
        ]
    );
    assert!(rig.core.peers().is_empty());
}

#[test]
fn foreign_events_are_heard_once_per_copy() {
    let mut rig = Rig::ready();
    (0..2).for_each(|_| {
        rig.hear(Message::Event {
            wb: None,
            body: 5,
            size: 1,
        })
    });
    let heard = rig.drain(|output| {
        if let Output::Foreign { body } = output {
            Some(*body)
        } else {
            None
        }
    });
    assert_eq!((heard, rig.core.stats().foreign), (vec![5, 5], 2));
}

#[test]
fn hellos_become_rare_and_short_among_many() {
    let mut rig = Rig::ready();
    (0..40).for_each(|n| rig.hello(hello(node(n), 0, None)));
    rig.pass(secs(1.0));
    rig.seen.clear();
    for _ in 0..12 {
        (0..40).for_each(|n| rig.hello(hello(node(n), 0, None)));
        rig.pass(secs(1.0));
    }
    let hellos = rig.hellos();
    assert!(
        (3..=4).contains(&hellos.len()),
        "every 4 s: {}",
        hellos.len()
    );
    assert!(hellos.iter().all(|hello| hello.heard.is_none()));
    assert_eq!(rig.core.status, Status::Ready);
}

/// The question was kept by a frozen broker: by then the owner took our clients for younger than they are.
#[test]
fn an_answer_to_an_old_question_skips_nothing() {
    let mut rig = acquainted();
    rig.event(A, 2);
    let stale = Void {
        node: A,
        to: Some(US),
        asked: Some(0),
        seqs: vec![(0, 1)],
    };
    rig.pass(secs(1.5));
    rig.hear(Message::Control(Control::Void(stale)));
    assert_eq!(rig.released(), []);
    rig.void(A, Some(US), (0, 1));
    assert_eq!(seqs(&mut rig), [2]);
}

#[test]
fn bounded_the_holds_of_all_peers_together() {
    let mut rig = Rig::ready_with(|config| config.limits.hold_total = 250);
    for peer in 1..=5 {
        rig.hello(hello(node(peer), 0, Some(3)));
        rig.event(node(peer), 2);
    }
    let stats = rig.core.stats();
    assert_eq!((stats.held, stats.hold_refused), (2, 3));
    rig.event(node(5), 0);
    assert_eq!(
        rig.released(),
        [(node(5), 0)],
        "what need not wait is taken"
    );
}

#[test]
fn who_is_silent_is_not_asked() {
    let mut rig = acquainted();
    rig.event(A, 2);
    rig.pass(secs(5.0));
    assert!(!rig.wants().is_empty());
    rig.pass(secs(5.0));
    rig.wants();
    rig.pass(secs(5.0));
    assert_eq!(rig.wants(), []);
    rig.hello(hello(A, 0, Some(2)));
    rig.pass(secs(0.3));
    assert!(!rig.wants().is_empty());
}

#[test]
fn what_waited_is_as_much_older_when_clients_hear_it() {
    let mut rig = acquainted();
    rig.event(A, 1);
    rig.pass(secs(2.0));
    rig.again(A, 0);
    let ages = rig.drain(|output| match output {
        Output::Release(release) => Some(release.age),
        _ => None,
    });
    assert_eq!(ages, [Some(Duration::from_millis(77)), Some(secs(2.0))]);
}
