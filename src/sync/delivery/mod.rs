//! Exactly once, in order, or named as missing: the rules between nodes, without a socket, a clock or a task.
//!
//! In come own events, what the broker says and the time; out come deliveries to own clients, batches for the broker, and
//! orders to dial or to drop a link. The shell owns the clock, the adapter and the lock:
//!
//! 1. It dials once at the start, and then whenever [`Output::Dial`] says so.
//! 2. It calls [`Core::handle`] under one lock and carries the outputs out in order under the same lock.
//! 3. It ticks at [`Core::next_deadline`], or later, and hands in what is readable and the publish that is done before it
//!    ticks: time is judged in a tick only, and a starved node is not deaf.
//! 4. It has at most one batch out, and reports on it with [`Input::Published`], unless the link is gone.
//!
//! Invariant: nothing here looks into a body, and nothing that came in by sync goes out again.
//!
//! Invariant: every own event is delivered to own clients exactly once, in the order of the calls; every sequence of a peer
//! is released at most once, in order, or is part of exactly one gap.

mod closing;
mod config;
mod divergence;
mod hearing;
mod hold;
mod identity;
mod io;
mod judging;
mod link;
mod log;
mod message;
mod node;
mod peer;
mod peers;
mod repair;
mod sending;
mod sequencer;
mod slots;
mod stats;
mod strangers;
mod time;

use std::collections::{BTreeSet, VecDeque};
use std::vec::Drain;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

pub(crate) use config::{Config, Delivery};
pub(crate) use io::{
    Body, Emit, Failure, Input, Item, LinkId, Message, Outgoing, Output, Publish, QuarantineReason,
    Quarantined, Release,
};
pub(crate) use message::{Control, LAST_SEQ, VERSION, Wb};
pub(crate) use time::Time;

pub use node::NodeId;
pub use stats::{Gap, GapReason, Origin, PeerStats, Stats, Status};

use closing::Phase;
use divergence::Divergence;
use identity::Nonces;
use link::{Backoff, Link};
use log::Log;
use peers::Peers;
use repair::Repair;
use slots::Slots;
use strangers::Strangers;

/// The sequencer of one topic of one node: status, log, slots, send position, peers.
///
/// `E` is what own clients get of an own event; `B` is the encoded body of an envelope without its `wb`, cheap to clone.
#[derive(Debug)]
pub(crate) struct Core<E, B> {
    config: Config,
    rng: SmallRng,
    built: Time,
    /// The time of the last input and of the last tick.
    now: Time,
    ticked: Time,
    status: Status,
    phase: Phase,
    slots: Slots<E>,
    log: Log<B>,
    /// The end of the log when the trouble began or the link was proven: `Ready` waits until all below is settled.
    mark: u64,
    link: Option<Link>,
    /// Whether the shell is to dial, or does: an order to dial is given once.
    is_dialing: bool,
    backoff: Backoff,
    next_batch: u64,
    /// Sequences that the broker refused for good and that peers are not told of yet. At most as many as the log has.
    voids: BTreeSet<u64>,
    /// What had been sent at which time of this link, to know what peers can have heard. At most 8.
    sent_marks: VecDeque<(Time, u64)>,
    redialed: Option<Time>,
    peers: Peers<B>,
    repair: Repair,
    divergence: Divergence,
    /// When askers were last given something.
    repeated_at: Option<Time>,
    strangers: Strangers,
    nonces: Nonces,
    /// When the shell was last asked for a new id.
    cloned: Option<Time>,
    stats: Stats,
    outputs: Vec<Output<E, B>>,
}

impl<E, B: Body> Core<E, B> {
    /// A core that has no link yet; the shell dials at once.
    pub(crate) fn new(config: Config, now: Time) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(config.seed),
            built: now,
            now,
            ticked: now,
            status: Status::Connecting,
            phase: Phase::Open,
            slots: Slots::new(),
            log: Log::new(),
            mark: 0,
            link: None,
            is_dialing: true,
            backoff: Backoff::default(),
            next_batch: 0,
            voids: BTreeSet::new(),
            sent_marks: VecDeque::new(),
            redialed: None,
            peers: Peers::new(),
            repair: Repair::new(now, &config),
            divergence: Divergence::new(now, &config),
            repeated_at: None,
            strangers: Strangers::default(),
            nonces: Nonces::default(),
            cloned: None,
            stats: Stats::default(),
            outputs: Vec::new(),
            config,
        }
    }

    /// Takes one input and returns what the shell has to do, in order.
    pub(crate) fn handle(&mut self, now: Time, input: Input<E, B>) -> Drain<'_, Output<E, B>> {
        let now = self.advance(now);
        self.dispatch(now, input);
        self.promote(now);
        self.close_if_done(now);
        self.pump(now);
        self.outputs.drain(..)
    }

    /// The counters and the levels.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            waiting: self.slots.len(),
            unsettled: self.log.end() - self.log.unsettled(),
            log_entries: self.log.len(),
            log_bytes: self.log.bytes(),
            held: self.peers.iter().map(|(_, peer)| peer.held()).sum(),
            holes: self
                .peers
                .iter()
                .filter(|(_, peer)| peer.has_hole())
                .count(),
            ..self.stats.clone()
        }
    }

    /// One row per peer.
    pub(crate) fn peers(&self) -> Vec<PeerStats> {
        self.peers.rows(self.now)
    }

    fn dispatch(&mut self, now: Time, input: Input<E, B>) {
        match input {
            Input::Emit(emit) => self.emit(now, emit),
            Input::LinkUp { link } => self.link_up(now, link),
            Input::DialFailed => self.dial_failed(),
            Input::LinkDown { link } => self.link_down(now, link),
            Input::Received { link, message } => self.received(now, link, message),
            Input::Lost { link, n } => self.lost(now, link, n),
            Input::Published {
                link,
                batch,
                failed,
            } => self.published(now, (link, batch), &failed),
            Input::Rename(node) => self.rename(now, node),
            Input::Tick => self.tick(now),
            Input::Close => self.close(),
            Input::CloseNow => self.close_now(now),
        }
    }

    /// Notes the time. It never goes back; and a jump means that this process slept, which nobody else is to blame for.
    fn advance(&mut self, now: Time) -> Time {
        let now = now.max(self.now);
        let slept = now
            .since(self.now)
            .saturating_sub(self.config.timing.starved);
        if !slept.is_zero() {
            self.log.forgive(slept);
            self.peers.forgive(slept);
            self.link.iter_mut().for_each(|link| link.forgive(slept));
        }
        self.now = now;
        now
    }

    fn output(&mut self, output: Output<E, B>) {
        self.outputs.push(output);
    }

    fn quarantine(&mut self, quarantined: Quarantined<B>) {
        self.stats.quarantined += 1;
        self.output(Output::Quarantine(quarantined));
    }

    fn gap(&mut self, gap: Gap) {
        self.stats.gaps += 1;
        let missing = gap
            .range
            .map_or(0, |(from, to)| (to - from).saturating_add(1));
        self.stats.missing = self.stats.missing.saturating_add(missing);
        self.output(Output::Gap(gap));
    }

    /// A number that JSON readers see exactly.
    fn nonce(&mut self) -> u64 {
        self.rng.random_range(0..=LAST_SEQ)
    }
}

#[cfg(test)]
mod tests;
