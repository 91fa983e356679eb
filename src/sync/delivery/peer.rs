use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Config, Limits, Timing};
use super::hold::{Held, Hold, MAX_SKIPS, Place};
use super::message::{LAST_SEQ, Span, last_of};
use super::node::NodeId;
use super::stats::{GapReason, PeerStats};
use super::time::{Time, millis};

/// One origin as we hear it: how far in order, what waits, what is missing.
///
/// Every sequence from the first contact on leaves exactly once, as an event, as part of a gap, or as a range that is older
/// than our clients; `next` only grows.
#[derive(Debug)]
pub(crate) struct Peer<B> {
    pub(crate) name: Arc<str>,
    /// Of its last hello: another one means that it has a new link.
    nonce: Option<u64>,
    /// Whether `next` is known to be where our clients begin. Before that nothing is missing, only not asked for yet.
    is_contacted: bool,
    next: u64,
    /// The sequence after the highest that it announced as sent.
    sent: u64,
    /// The same for what it had taken but maybe not sent.
    assigned: u64,
    hold: Hold<B>,
    hole: Option<Hole>,
    crowd: Option<Crowd>,
    /// The last ranges that were given up, so that what comes after all is told from what came twice. At most 16.
    given_up: VecDeque<Span>,
    last_heard: Time,
    /// When it is forgotten, once it said `Bye`.
    leaves: Option<Time>,
    ear: Ear,
    counts: Counts,
    /// What the present input has set free; the core takes it at once.
    freed: Vec<Freed<B>>,
}

/// What a peer's message sets free, in order.
#[derive(Debug)]
pub(crate) enum Freed<B> {
    Release(Held<B>),
    Gap { range: Span, reason: GapReason },
}

/// What became of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    Duplicate,
    Late,
    NoRoom,
}

/// An envelope as it comes in.
#[derive(Debug)]
pub(crate) struct Arrival<B> {
    pub(crate) seq: u64,
    pub(crate) held: Held<B>,
    /// Whether it came as an `Again`.
    pub(crate) is_repeated: bool,
}

/// What a hello says about a log, in half-open terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) low: u64,
    pub(crate) sent: u64,
    pub(crate) assigned: u64,
}

/// The sequences from `next` to `end`, missing.
#[derive(Debug)]
struct Hole {
    end: u64,
    /// How long it stands without progress while we could have been answered, as far as that is proven.
    spent: Duration,
    counted_to: Time,
    want_at: Time,
}

/// A full hold before which newcomers are turned away, to be asked for later.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    since: Time,
    /// How far the peer was ahead of what it had repeated by then.
    lead: u64,
}

/// Whether the peer hears us.
#[derive(Debug, Default)]
struct Ear {
    end: u64,
    hears_us: Option<bool>,
    deaf_since: Option<Time>,
}

#[derive(Debug, Default)]
struct Counts {
    received: u64,
    repaired: u64,
    duplicate: u64,
    late: u64,
    missing: u64,
}

impl<B> Peer<B> {
    /// A peer of which nothing is known.
    pub(crate) fn new(now: Time) -> Self {
        Self {
            name: "".into(),
            nonce: None,
            is_contacted: false,
            next: 0,
            sent: 0,
            assigned: 0,
            hold: Hold::new(),
            hole: None,
            crowd: None,
            given_up: VecDeque::new(),
            last_heard: now,
            leaves: None,
            ear: Ear::default(),
            counts: Counts::default(),
            freed: Vec::new(),
        }
    }

    /// A peer that departed and is heard again: it goes on where it was, or its log would be heard twice.
    pub(crate) fn returned(now: Time, next: u64) -> Self {
        Self {
            is_contacted: true,
            next,
            sent: next,
            assigned: next,
            ..Self::new(now)
        }
    }

    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) const fn last_heard(&self) -> Time {
        self.last_heard
    }

    pub(crate) const fn leaves(&self) -> Option<Time> {
        self.leaves
    }

    pub(crate) const fn is_contacted(&self) -> bool {
        self.is_contacted
    }

    pub(crate) const fn hold(&self) -> &Hold<B> {
        &self.hold
    }

    pub(crate) fn held(&self) -> usize {
        self.hold.len()
    }

    pub(crate) const fn has_hole(&self) -> bool {
        self.hole.is_some()
    }

    pub(crate) fn want_at(&self) -> Option<Time> {
        self.hole.as_ref().map(|hole| hole.want_at)
    }

    /// Hands over what came free, in order.
    pub(crate) fn freed(&mut self) -> Vec<Freed<B>> {
        std::mem::take(&mut self.freed)
    }

    /// Notes a sign of life.
    pub(crate) const fn heard(&mut self, now: Time) {
        self.last_heard = now;
    }

    /// Whether the peer can have come so far. Before the contact it can be anywhere.
    pub(crate) fn is_plausible(&self, seq: u64, config: &Config) -> bool {
        seq <= if self.is_contacted {
            self.horizon(config)
        } else {
            LAST_SEQ
        }
    }

    /// Takes an envelope.
    pub(crate) fn take(&mut self, now: Time, arrival: Arrival<B>, config: &Config) -> Verdict {
        let verdict = self.place(now, arrival, config);
        match verdict {
            Verdict::Duplicate => self.counts.duplicate += 1,
            Verdict::Late => self.counts.late += 1,
            Verdict::Taken | Verdict::NoRoom => {}
        }
        verdict
    }

    /// Takes what a hello says about the peer's log; false if no log can be like that.
    pub(crate) fn announce(&mut self, now: Time, reach: Reach, config: &Config) -> bool {
        let Reach {
            low,
            sent,
            assigned,
        } = reach;
        let end = sent.max(assigned);
        if low > end || end > LAST_SEQ || end - low > config.limits.jump {
            return false;
        }
        self.sent = self.sent.max(sent);
        self.assigned = self.assigned.max(assigned);
        let before = self.next;
        self.contact(low);
        self.raise(low, GapReason::Evicted);
        self.watch_hole(now, before, &config.timing);
        true
    }

    /// Skips ranges that will not come; false if one of them is out of reach.
    pub(crate) fn void(
        &mut self,
        now: Time,
        spans: &[Span],
        is_silent: bool,
        config: &Config,
    ) -> bool {
        let horizon = self.horizon(config);
        let mut is_plausible = true;
        for &(from, to) in spans.iter().take(MAX_SKIPS) {
            is_plausible &= from <= to && to <= horizon;
            if from <= to && to <= horizon && to >= self.next {
                self.hold.skip((from.max(self.next), to), is_silent);
            }
        }
        let before = self.next;
        self.drain();
        self.watch_hole(now, before, &config.timing);
        is_plausible
    }

    /// Notes a `Bye`: from `at` on the peer can be forgotten.
    pub(crate) fn leave(&mut self, at: Time, sent: u64, config: &Config) {
        if sent <= self.horizon(config) {
            self.sent = self.sent.max(sent);
        }
        self.leaves.get_or_insert(at);
    }

    /// Gives up everything up to the end that the peer announced, and says where that is.
    pub(crate) fn depart(&mut self) -> u64 {
        let held = self.hold.last().map_or(0, |seq| seq + 1);
        let end = self.sent.max(self.assigned).max(held);
        self.raise(end, GapReason::Departed);
        self.next
    }

    /// Adds to the hole's clock the time for which both ends have proof: we heard ourselves, and so did the peer, up to
    /// `until`. One hello vouches for no more than `most`, because a frozen broker may have held it back.
    pub(crate) fn vouch(&mut self, until: Time, most: Duration) {
        if let Some(hole) = &mut self.hole {
            hole.spent += until.since(hole.counted_to).min(most);
            hole.counted_to = hole.counted_to.max(until);
        }
    }

    /// Gives the hole up if it stood too long while the peer could have answered.
    pub(crate) fn judge_hole(&mut self, now: Time, config: &Config) {
        let is_over = |hole: &&Hole| hole.spent >= config.timing.hole_patience;
        let Some(end) = self.hole.as_ref().filter(is_over).map(|hole| hole.end) else {
            return;
        };
        let before = self.next;
        self.raise(end, GapReason::Unanswered);
        self.watch_hole(now, before, &config.timing);
    }

    /// Starts the clock of the hole anew, as the link of one end is new.
    pub(crate) fn restart_hole(&mut self, now: Time, timing: &Timing) {
        self.crowd = None;
        if let Some(hole) = &mut self.hole {
            *hole = Hole {
                end: hole.end,
                spent: Duration::ZERO,
                counted_to: now,
                want_at: now + timing.want_after,
            };
        }
    }

    /// Moves the clock of the hole over a time in which this process slept.
    pub(crate) fn forgive(&mut self, slept: Duration) {
        if let Some(hole) = &mut self.hole {
            hole.counted_to = hole.counted_to + slept;
        }
        if let Some(crowd) = &mut self.crowd {
            crowd.since = crowd.since + slept;
        }
    }

    /// The range to ask for, which is asked for again at `again`.
    pub(crate) fn want(&mut self, again: Time) -> Option<Span> {
        let hole = self.hole.as_mut()?;
        hole.want_at = again;
        Some((self.next, hole.end - 1))
    }

    /// Whether it ever said hello, in a way that we read.
    pub(crate) const fn said_hello(&self) -> bool {
        self.nonce.is_some()
    }

    /// Notes the nonce of a hello and tells whether it is another one than before.
    pub(crate) fn is_new_link(&mut self, nonce: u64) -> bool {
        self.nonce.replace(nonce) != Some(nonce)
    }

    /// Notes how far the peer heard us; `due` is what it can be expected to have heard.
    ///
    /// A peer that repairs is behind and still hears us: only one that stands still is deaf.
    pub(crate) fn listen(&mut self, now: Time, heard: Option<u64>, due: u64) {
        let moves = heard.is_some_and(|end| end > self.ear.end);
        let hears = heard.is_some_and(|end| end >= due);
        self.ear.end = heard.unwrap_or(self.ear.end);
        self.ear.hears_us = Some(hears);
        self.ear.deaf_since = if hears || moves {
            None
        } else {
            self.ear.deaf_since.or(Some(now))
        };
    }

    /// Whether the peer says so for this long; `None` if it says nothing.
    pub(crate) fn is_deaf(&self, now: Time, span: Duration) -> Option<bool> {
        self.ear.hears_us?;
        Some(
            self.ear
                .deaf_since
                .is_some_and(|since| now.since(since) >= span),
        )
    }

    /// Forgets what it said about hearing us, as the link is new.
    pub(crate) fn reset_ear(&mut self) {
        self.ear = Ear::default();
    }

    pub(crate) fn row(&self, node: NodeId, now: Time) -> PeerStats {
        PeerStats {
            node,
            name: Arc::clone(&self.name),
            next: self.next,
            sent: last_of(self.sent),
            received: self.counts.received,
            repaired: self.counts.repaired,
            duplicate: self.counts.duplicate,
            late: self.counts.late,
            missing: self.counts.missing,
            held: self.hold.len(),
            lag: self.sent.saturating_sub(self.next),
            hears_us: self.ear.hears_us,
            last_heard_ms: millis(now.since(self.last_heard)),
        }
    }

    fn place(&mut self, now: Time, arrival: Arrival<B>, config: &Config) -> Verdict {
        let seq = arrival.seq;
        if seq < self.next || self.hold.contains(seq) {
            return self.second_copy(seq);
        }
        let before = self.next;
        if !self.has_room(&arrival, &config.limits)
            && !self.make_room(now, &arrival, &config.timing)
        {
            return Verdict::NoRoom;
        }
        self.counts.repaired += u64::from(arrival.is_repeated);
        if seq == self.next && self.hold.first().is_none() {
            self.free(arrival.held);
        } else {
            self.hold.insert(seq, arrival.held);
            self.drain();
        }
        self.watch_hole(now, before, &config.timing);
        Verdict::Taken
    }

    /// The highest sequence that the peer can be believed to speak of.
    fn horizon(&self, config: &Config) -> u64 {
        self.next
            .max(self.sent)
            .saturating_add(config.limits.jump)
            .min(LAST_SEQ)
    }

    fn second_copy(&self, seq: u64) -> Verdict {
        let is_late = self
            .given_up
            .iter()
            .any(|&(from, to)| (from..=to).contains(&seq));
        if is_late {
            Verdict::Late
        } else {
            Verdict::Duplicate
        }
    }

    /// What is next goes through the hold at once.
    fn has_room(&self, arrival: &Arrival<B>, limits: &Limits) -> bool {
        arrival.seq == self.next || self.hold.has_room(arrival.held.size, limits)
    }

    /// Turns a newcomer away while the peer repeats faster than it sends: it is asked for once the hold has room. A peer that
    /// has not become nearer for as long as a hole may stand never will: then everything before the newcomer that is not
    /// here is given up, so that its present is heard.
    fn make_room(&mut self, now: Time, arrival: &Arrival<B>, timing: &Timing) -> bool {
        if arrival.is_repeated || !self.is_contacted {
            return false;
        }
        let lead = arrival.seq - self.next;
        let crowd = *self.crowd.get_or_insert(Crowd { since: now, lead });
        if now.since(crowd.since) < timing.hole_patience {
            return false;
        }
        let is_nearer = lead < crowd.lead;
        self.crowd = is_nearer.then_some(Crowd { since: now, lead });
        if !is_nearer {
            self.raise(arrival.seq, GapReason::HoldFull);
        }
        !is_nearer
    }

    /// Fixes where our clients begin: at the lowest sequence that can still be asked for, or that is here already.
    fn contact(&mut self, low: u64) {
        if !self.is_contacted {
            self.is_contacted = true;
            let first = self.hold.first().unwrap_or(low);
            self.next = self.next.max(low.min(first));
        }
    }

    /// Sets an envelope free whose turn it is.
    fn free(&mut self, held: Held<B>) {
        self.freed.push(Freed::Release(held));
        self.counts.received += 1;
        self.next += 1;
        self.is_contacted = true;
    }

    /// Sets free what stands at `next`, as long as something does.
    fn drain(&mut self) {
        loop {
            match self.hold.take(self.next) {
                Place::Event(held) => self.free(held),
                Place::Skip(skip) if skip.is_silent => self.next = skip.to + 1,
                Place::Skip(skip) => self.give_up(skip.to + 1, GapReason::Refused),
                Place::Nothing => return,
            }
            self.is_contacted = true;
        }
    }

    /// Brings `next` to `end`: what is here is released in order, what is not is given up, and nothing else is.
    fn raise(&mut self, end: u64, reason: GapReason) {
        self.drain();
        while self.next < end {
            let stop = self.hold.first().map_or(end, |first| first.min(end));
            self.give_up(stop, reason);
            self.drain();
        }
        self.is_contacted = true;
    }

    fn give_up(&mut self, end: u64, reason: GapReason) {
        let range = (self.next, end - 1);
        self.counts.missing += end - self.next;
        self.next = end;
        if self.given_up.len() == 16 {
            self.given_up.pop_front();
        }
        self.given_up.push_back(range);
        self.freed.push(Freed::Gap { range, reason });
    }

    /// Finds the first hole anew. Progress restarts its clock; a hole that has been asked for keeps its rhythm.
    fn watch_hole(&mut self, now: Time, before: u64, timing: &Timing) {
        let end = self
            .hold
            .first()
            .or((self.next < self.sent).then_some(self.sent));
        let soon = now + timing.want_after;
        self.hole = match (end, self.hole.take()) {
            (None, _) => {
                self.crowd = None;
                None
            }
            (Some(end), Some(hole)) if before == self.next => Some(Hole { end, ..hole }),
            (Some(end), hole) => {
                let rhythm = hole
                    .filter(|hole| hole.end == end)
                    .map_or(soon, |hole| hole.want_at);
                Some(Hole {
                    end,
                    spent: Duration::ZERO,
                    counted_to: now,
                    want_at: soon.max(rhythm),
                })
            }
        };
    }
}
