//! The suite tries adapters that are broken on purpose: it rejects each one, and for the clause that it breaks alone.
//!
//! `flawed` breaks a link of the memory broker in one way at a time; `wire` speaks over TCP, so that faults of the line
//! can be tried as well.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod flawed;
mod wire;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use flawed::{Flaw, Flawed};
use parking_lot::Mutex;
use wingbeat_adapter::conformance::{CHECKS, Check, Harness, Outcome};
use wire::{Wire, WireFlaw};

/// What the suite says of an adapter.
#[derive(Debug, Default)]
struct Report {
    failed: Vec<(u8, String)>,
    not_applicable: Vec<(&'static str, &'static str)>,
}

impl Report {
    /// Runs all checks, a few at a time: most of their time goes by in waiting.
    fn of<H: Harness>(harness: impl Fn() -> H + Sync) -> Self {
        let (report, next) = (Mutex::<Self>::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while let Some(check) = CHECKS.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = check.examine(harness());
                        report.lock().note(check, outcome);
                    }
                });
            }
        });
        report.into_inner()
    }

    fn note(&mut self, check: &Check, outcome: Outcome) {
        match outcome {
            Outcome::Passed => {}
            Outcome::NotApplicable(why) => self.not_applicable.push((check.name(), why)),
            Outcome::Failed(why) => {
                let line = format!("{}: {why}", check.name());
                self.failed.push((check.clause(), line));
            }
            other => panic!("{}: {other:?}", check.name()),
        }
    }

    #[track_caller]
    fn rejects_for(&self, clauses: &[u8]) {
        let failed: BTreeSet<u8> = self.failed.iter().map(|(clause, _)| *clause).collect();
        let due = clauses.iter().copied().collect();
        assert_eq!(failed, due, "{self:#?}");
    }

    #[track_caller]
    fn rejects_for_none_but(&self, clauses: &[u8]) {
        let is_due = |(clause, _): &(u8, String)| clauses.contains(clause);
        assert!(self.failed.iter().all(is_due), "{self:#?}");
    }

    /// At least this check, among those of its clause, has to see it.
    #[track_caller]
    fn sees(&self, check: &str) {
        let is_seen = |(_, line): &(u8, String)| line.starts_with(&format!("{check}: "));
        assert!(self.failed.iter().any(is_seen), "{check}: {self:#?}");
    }
}

#[track_caller]
fn flawed(flaw: Flaw, clauses: &[u8]) -> Report {
    let report = Report::of(|| Flawed::new(flaw));
    report.rejects_for(clauses);
    report
}

#[track_caller]
fn wire(flaw: WireFlaw, clauses: &[u8]) -> Report {
    let report = Report::of(|| Wire::new(flaw));
    report.rejects_for(clauses);
    report
}

#[test]
fn an_adapter_in_the_process_without_a_flaw_passes_all_but_what_needs_a_line() {
    let report = flawed(Flaw::None, &[]);
    let reasons: BTreeSet<_> = report.not_applicable.iter().map(|(_, why)| *why).collect();
    let due = [
        "the broker has no port that a proxy could stand before",
        "the harness cannot hurt its broker so",
    ];
    assert_eq!(reasons, due.into(), "{report:#?}");
}

#[test]
fn deaf_to_self() {
    flawed(Flaw::DeafToSelf, &[1]);
}

#[test]
fn hears_its_own_adapter_only() {
    flawed(Flaw::HearsItsOwnAdapterOnly, &[1])
        .sees("clause_01_links_of_two_adapters_hear_each_other");
}

/// Hearing everything twice is against two clauses.
#[test]
fn hears_everything_twice() {
    flawed(Flaw::Doubles, &[1, 5]);
}

#[test]
fn drops_what_looks_like_a_duplicate() {
    flawed(Flaw::DropsEquals, &[1]).sees("clause_01_equal_payloads_all_arrive");
}

#[test]
fn reorders() {
    flawed(Flaw::Reorders, &[2]);
}

#[test]
fn mangles_bytes_that_are_no_text() {
    flawed(Flaw::Mangles, &[3]).sees("clause_03_bytes_of_all_values_arrive_unchanged");
}

#[test]
fn swallows_the_empty_payload() {
    flawed(Flaw::SwallowsEmpty, &[3]).sees("clause_03_the_empty_payload_arrives");
}

#[test]
fn refuses_the_batch_for_one_payload() {
    flawed(Flaw::RefusesTheBatch, &[3]);
}

#[test]
fn knows_no_limit() {
    flawed(Flaw::KnowsNoLimit, &[3]);
}

#[test]
fn leaks_topics() {
    flawed(Flaw::LeaksTopics, &[4]).sees("clause_04_other_topics_are_not_heard");
}

#[test]
fn takes_a_topic_for_a_pattern() {
    flawed(Flaw::TakesPatterns, &[4]).sees("clause_04_a_topic_is_no_pattern");
}

#[test]
fn swaps_lanes() {
    flawed(Flaw::SwapsLanes, &[4]).sees("clause_04_lanes_are_told_apart");
}

#[test]
fn resolves_connect_before_it_is_subscribed() {
    flawed(Flaw::SubscribesLate, &[5]);
}

#[test]
fn immortal_link() {
    flawed(Flaw::Immortal, &[6]);
}

#[test]
fn connects_once_and_never_again() {
    flawed(Flaw::ConnectsOnce, &[7]);
}

#[test]
fn closes_all_links_with_one() {
    flawed(Flaw::ClosesAllLinks, &[7]).sees("clause_07_links_live_side_by_side");
}

#[test]
fn open_after_close() {
    flawed(Flaw::OpenAfterClose, &[8]);
}

#[test]
fn fails_the_second_close() {
    flawed(Flaw::FailsSecondClose, &[8]);
}

#[test]
fn leaks_links_on_drop() {
    flawed(Flaw::LeaksOnDrop, &[9]);
}

/// Where a close frees nothing, neither does anything that ends in one.
#[test]
fn leaks_links_on_close() {
    flawed(Flaw::LeaksOnClose, &[8, 9, 10]).sees("clause_09_closed_links_leave_nothing_behind");
}

#[test]
fn sends_what_was_cancelled_behind_what_came_later() {
    flawed(Flaw::SendsCancelledLater, &[10]).sees("clause_10_a_cancelled_publish_is_not_overtaken");
}

#[test]
fn leaks_the_link_of_a_cancelled_connect() {
    flawed(Flaw::LeaksCancelledConnect, &[10])
        .sees("clause_10_a_cancelled_connect_leaves_nothing_behind");
}

#[test]
fn takes_a_cancelled_close_for_done() {
    flawed(Flaw::ForgetsCancelledClose, &[10]).sees("clause_10_a_cancelled_close_can_be_repeated");
}

#[test]
fn drops_in_silence() {
    flawed(Flaw::DropsInSilence, &[11]);
}

#[test]
fn calls_unreachable_refused() {
    flawed(Flaw::CallsUnreachableRefused, &[12]).sees("clause_12_nobody_at_home_is_unavailable");
}

#[test]
fn calls_refused_unavailable() {
    flawed(Flaw::CallsRefusedUnavailable, &[12]).sees("clause_12_a_wrong_password_is_refused");
}

#[test]
fn calls_nonsense_unavailable() {
    flawed(Flaw::CallsNonsenseUnavailable, &[12])
        .sees("clause_12_options_without_sense_are_config_errors");
}

#[test]
fn calls_a_lost_link_closed() {
    flawed(Flaw::CallsLostClosed, &[12]).sees("clause_12_a_lost_link_is_unavailable");
}

#[test]
fn shows_the_password_in_debug() {
    flawed(Flaw::DebugShowsPassword, &[13]).sees("clause_13_debug_shows_no_password");
}

#[test]
fn shows_the_password_in_an_error() {
    flawed(Flaw::ErrorShowsPassword, &[13]).sees("clause_13_errors_show_no_password");
}

#[test]
fn shows_the_password_in_a_log_line() {
    flawed(Flaw::LogShowsPassword, &[13]).sees("clause_13_log_lines_show_no_password");
}

#[test]
fn an_adapter_over_tcp_without_a_flaw_is_tried_by_every_check_and_passes() {
    let report = wire(WireFlaw::None, &[]);
    assert!(report.not_applicable.is_empty(), "{report:#?}");
}

#[test]
fn has_no_heartbeat() {
    let report = wire(WireFlaw::NoHeartbeat, &[6]);
    report.sees("clause_06_a_silent_line_ends_the_link_within_the_heartbeat");
    report.sees("clause_06_a_deaf_link_ends_within_the_heartbeat");
    report.sees("clause_06_a_mute_link_ends_within_the_heartbeat");
    report.sees("clause_06_a_frozen_broker_ends_the_link_within_the_heartbeat");
}

#[test]
fn takes_a_cut_line_for_a_pause() {
    let report = wire(WireFlaw::NeverEnds, &[6]);
    report.sees("clause_06_an_idle_link_ends_when_its_line_is_cut");
    report.sees("clause_06_a_busy_link_ends_when_its_line_is_cut");
}

#[test]
fn does_not_miss_half_of_itself() {
    wire(WireFlaw::IgnoresHalf, &[6])
        .sees("clause_06_a_link_ends_when_one_of_its_connections_is_cut");
}

/// On a busy machine there is no clause that it keeps, so it is held against these two checks alone.
#[test]
fn takes_any_pause_for_the_end() {
    let report = Report::of(|| Wire::new(WireFlaw::Impatient));
    report.sees("clause_06_a_short_stall_is_waited_out");
    report.sees("clause_06_a_slow_line_is_not_taken_for_dead");
}

#[test]
fn keeps_what_waits_on_a_stack() {
    wire(WireFlaw::NewestFirst, &[2])
        .sees("clause_02_what_waited_on_a_slow_and_stalled_line_keeps_its_order");
}

#[test]
fn is_of_no_use_after_its_first_loss() {
    wire(WireFlaw::GivesUp, &[7]).sees("clause_07_connect_works_after_each_of_five_cuts");
}

/// On a busy machine a dropped `connect` is one more loss that it makes good, which is against clause 10 too.
#[test]
fn dials_again_by_itself_for_nobody() {
    let report = Report::of(|| Wire::new(WireFlaw::RedialsForNobody));
    report.rejects_for_none_but(&[9, 10]);
    report.sees("clause_09_lost_links_leave_nothing_behind");
}

#[test]
fn keeps_what_it_dialled_for_a_connect_that_was_dropped() {
    let report = wire(WireFlaw::LeaksDials, &[10]);
    report.sees("clause_10_a_connect_cancelled_on_a_slow_line_leaves_nothing_behind");
}

#[test]
fn resolves_connect_before_the_broker_confirms() {
    wire(WireFlaw::ResolvesEarly, &[5])
        .sees("clause_05_what_follows_connect_is_heard_on_a_slow_line");
}

#[test]
fn leaves_half_a_frame_on_the_line() {
    wire(WireFlaw::TearsFrames, &[10])
        .sees("clause_10_a_publish_cancelled_in_a_stall_tears_nothing");
}

#[test]
fn waits_for_a_silent_broker_without_a_limit() {
    wire(WireFlaw::IgnoresTimeout, &[12]).sees("clause_12_a_silent_broker_is_unavailable_in_time");
}

const THREADS: usize = 16;
