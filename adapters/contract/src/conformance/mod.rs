//! Tries an adapter against every clause of the [contract](crate::SyncAdapter#contract), with faults.
//!
//! An author writes a [`Harness`], which owns a broker and makes adapters for it, and one line:
//!
//! ```
//! use std::sync::Arc;
//! use wingbeat_adapter::conformance::{Access, Facts, Fault, Harness};
//! use wingbeat_adapter::{BoxFuture, MemoryBroker, SyncAdapter, SyncError};
//!
//! struct Memory(MemoryBroker);
//!
//! impl Harness for Memory {
//!     fn facts(&self) -> Facts {
//!         let mut facts = Facts::new();
//!         facts.can_kill = true;
//!         facts
//!     }
//!
//!     fn adapter(&self, _access: &Access) -> Result<Arc<dyn SyncAdapter>, SyncError> {
//!         Ok(Arc::new(self.0.clone()))
//!     }
//!
//!     fn holdings(&self) -> BoxFuture<'_, usize> {
//!         Box::pin(async { self.0.links() })
//!     }
//!
//!     fn inflict(&self, fault: Fault) -> BoxFuture<'_, ()> {
//!         Box::pin(async move {
//!             match fault {
//!                 Fault::Kill => self.0.cut(),
//!                 Fault::Start => self.0.heal(),
//!                 other => unreachable!("{other:?} is not promised"),
//!             }
//!         })
//!     }
//! }
//!
//! wingbeat_adapter::conformance!(Memory(MemoryBroker::new()));
//! ```
//!
//! The line becomes one `#[test]` for each check, named after its clause: `clause_06_an_idle_link_ends_when_its_line_is_cut`.
//! The list stands in the macro alone, so a new check reaches every adapter with the next upgrade. The tests bring their
//! own runtime, of two threads, so that they ask nothing of the crate that they stand in.
//!
//! A broker with a port is reached through a [`Proxy`] that cuts, stalls, slows and half-opens its connections. Each run
//! has random topics, so that runs never meet. A check asks for one clause and bears with the breach of any other, as far
//! as that can be, so that the name of what fails says what is wrong.

mod checks;
mod harness;
mod leaks;
mod peer;
mod proxy;
mod trial;

use std::fmt;

use futures_util::future::LocalBoxFuture;

pub use harness::{Access, Facts, Fault, Harness};
pub use proxy::{Direction, Proxy};

use trial::{Stop, Trial, Verdict};

/// Makes one `#[test]` for each check of the suite.
///
/// Takes an expression that makes a [harness](crate::conformance::Harness); each test evaluates it anew. See the
/// [module](mod@crate::conformance) for a whole example.
#[macro_export]
macro_rules! conformance {
    (@list $what:ident $with:tt) => {
        $crate::conformance! { @$what $with
            1 clause_01_every_link_hears_each_payload_once_the_sender_included,
            1 clause_01_equal_payloads_all_arrive,
            1 clause_01_links_of_two_adapters_hear_each_other,
            2 clause_02_batches_of_all_sizes_keep_their_order,
            2 clause_02_two_senders_each_keep_their_order,
            2 clause_02_what_waited_on_a_slow_and_stalled_line_keeps_its_order,
            3 clause_03_bytes_of_all_values_arrive_unchanged,
            3 clause_03_the_empty_payload_arrives,
            3 clause_03_the_longest_payload_arrives_and_a_longer_one_fails_alone,
            3 clause_03_a_lower_limit_of_the_options_stands,
            4 clause_04_lanes_are_told_apart,
            4 clause_04_other_topics_are_not_heard,
            4 clause_04_a_topic_is_no_pattern,
            5 clause_05_what_follows_connect_is_heard,
            5 clause_05_what_follows_connect_is_heard_on_a_slow_line,
            5 clause_05_who_joins_a_busy_topic_misses_nothing,
            6 clause_06_an_idle_link_ends_when_the_broker_is_killed,
            6 clause_06_an_idle_link_ends_when_its_line_is_cut,
            6 clause_06_a_busy_link_ends_when_its_line_is_cut,
            6 clause_06_a_link_ends_when_one_of_its_connections_is_cut,
            6 clause_06_a_silent_line_ends_the_link_within_the_heartbeat,
            6 clause_06_a_deaf_link_ends_within_the_heartbeat,
            6 clause_06_a_mute_link_ends_within_the_heartbeat,
            6 clause_06_a_frozen_broker_ends_the_link_within_the_heartbeat,
            6 clause_06_a_short_stall_is_waited_out,
            6 clause_06_a_slow_line_is_not_taken_for_dead,
            7 clause_07_connect_works_after_each_of_five_cuts,
            7 clause_07_connect_works_after_the_broker_was_killed,
            7 clause_07_links_live_side_by_side,
            8 clause_08_close_is_idempotent_and_ends_inbound,
            8 clause_08_a_publish_after_close_is_closed,
            8 clause_08_close_releases_what_the_link_held,
            8 clause_08_a_lost_link_can_be_closed,
            9 clause_09_a_hundred_dropped_links_leave_nothing_behind,
            9 clause_09_closed_links_leave_nothing_behind,
            9 clause_09_lost_links_leave_nothing_behind,
            10 clause_10_a_cancelled_publish_is_not_overtaken,
            10 clause_10_a_publish_cancelled_in_a_stall_tears_nothing,
            10 clause_10_a_cancelled_connect_leaves_nothing_behind,
            10 clause_10_a_connect_cancelled_on_a_slow_line_leaves_nothing_behind,
            10 clause_10_a_cancelled_close_can_be_repeated,
            11 clause_11_a_reader_that_stops_is_told_what_it_lost,
            12 clause_12_nobody_at_home_is_unavailable,
            12 clause_12_a_silent_broker_is_unavailable_in_time,
            12 clause_12_a_wrong_password_is_refused,
            12 clause_12_options_without_sense_are_config_errors,
            12 clause_12_a_lost_link_is_unavailable,
            13 clause_13_debug_shows_no_password,
            13 clause_13_errors_show_no_password,
            13 clause_13_log_lines_show_no_password,
        }
    };
    (@tests [$harness:expr] $($clause:literal $name:ident,)+) => {
        $(#[test] fn $name() { $crate::conformance::run(stringify!($name), $harness); })+
    };
    (@table [] $($clause:literal $name:ident,)+) => {
        &[$(Check {
            clause: $clause,
            name: stringify!($name),
            body: |trial| Box::pin(checks::$name(trial)),
        }),+]
    };
    ($harness:expr) => { $crate::conformance! { @list tests [$harness] } };
}

/// Every check of the suite, by the order of clauses.
pub const CHECKS: &[Check] = crate::conformance! { @list table [] };

/// Asks for one thing that the contract promises.
pub struct Check {
    clause: u8,
    name: &'static str,
    body: for<'a> fn(&'a Trial) -> LocalBoxFuture<'a, Verdict>,
}

/// What a [`Check`] says of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Outcome {
    /// The adapter does what the clause says.
    Passed,
    /// The broker or its harness lacks what the check needs, which is this.
    NotApplicable(&'static str),
    /// The adapter does not, and this is what it did.
    Failed(String),
}

impl Check {
    /// Returns the number of the clause that it asks for.
    #[must_use]
    pub fn clause(&self) -> u8 {
        self.clause
    }

    /// Returns the name, which says what it asks for.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Tries an adapter, on a runtime of its own.
    ///
    /// # Panics
    ///
    /// If the harness does, if the system gives out no threads, or inside another runtime.
    pub fn examine(&self, harness: impl Harness) -> Outcome {
        let trial = Trial::new(harness);
        let leaks = trial.leaks.dispatch();
        let here = tracing::dispatcher::set_default(&leaks);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // What the adapter's tasks log is read as well; the subscriber stays for as long as the thread.
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&leaks)))
            .build()
            .expect("a runtime for the check");
        let verdict = runtime.block_on(async {
            let verdict = self.judge(&trial).await;
            // Some harnesses need the runtime when they go.
            drop(trial);
            verdict
        });
        runtime.shutdown_background();
        drop(here);
        match verdict {
            Ok(()) => Outcome::Passed,
            Err(Stop::NotApplicable(why)) => Outcome::NotApplicable(why),
            Err(Stop::Failed(why)) => Outcome::Failed(why),
        }
    }

    async fn judge(&self, trial: &Trial) -> Verdict {
        let limit = LONGEST + 2 * trial.facts.heartbeat;
        match tokio::time::timeout(limit, (self.body)(trial)).await {
            Ok(verdict) => verdict,
            Err(_) => trial::fail(format!("it hangs: not done within {limit:?}")),
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("clause", &self.clause)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Runs the check of this name and panics if the adapter fails it: what [`conformance!`](crate::conformance!) writes.
#[doc(hidden)]
pub fn run(name: &str, harness: impl Harness) {
    let check = CHECKS.iter().find(|check| check.name == name);
    match check.expect("a check of the list").examine(harness) {
        Outcome::Passed => {}
        Outcome::NotApplicable(why) => eprintln!("not applicable: {why}"),
        Outcome::Failed(why) => panic!("{name}: {why}"),
    }
}

/// No check takes as long, faults and heartbeats apart, unless the adapter hangs.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(60);
