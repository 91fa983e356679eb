use std::collections::BTreeMap;
use std::time::Duration;

use super::config::Limits;
use super::message::Span;
use super::time::Time;

/// Envelopes of one peer that came before a lower sequence, and ranges that are known not to come.
///
/// Bounded by `Limits::hold_entries`, `hold_bytes` and [`MAX_SKIPS`]: what goes beyond is not taken; a `Want` brings it again.
#[derive(Debug)]
pub(crate) struct Hold<B> {
    events: BTreeMap<u64, Held<B>>,
    skips: BTreeMap<u64, Skip>,
    bytes: usize,
}

/// One envelope that waits.
#[derive(Debug)]
pub(crate) struct Held<B> {
    pub(crate) body: B,
    pub(crate) size: usize,
    pub(crate) age: Option<Duration>,
    pub(crate) arrived: Time,
    /// Its origin's own clients heard it before the broker had it.
    pub(crate) early: bool,
}

/// A range that will not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Skip {
    pub(crate) to: u64,
    /// Nobody misses it: it is older than our clients.
    pub(crate) is_silent: bool,
}

/// What stands at a sequence.
#[derive(Debug)]
pub(crate) enum Place<B> {
    Event(Held<B>),
    Skip(Skip),
    Nothing,
}

impl<B> Hold<B> {
    pub(crate) const fn new() -> Self {
        Self {
            events: BTreeMap::new(),
            skips: BTreeMap::new(),
            bytes: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(crate) fn n_skips(&self) -> usize {
        self.skips.len()
    }

    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.events.contains_key(&seq)
    }

    /// Whether one more fits. An empty hold takes anything, or a huge envelope could never be held.
    pub(crate) fn has_room(&self, size: usize, limits: &Limits) -> bool {
        let fits = self.events.len() < limits.hold_entries
            && self.bytes.saturating_add(size) <= limits.hold_bytes;
        fits || self.events.is_empty()
    }

    pub(crate) fn insert(&mut self, seq: u64, held: Held<B>) {
        self.bytes += held.size;
        if let Some(replaced) = self.events.insert(seq, held) {
            self.bytes -= replaced.size;
        }
    }

    pub(crate) fn skip(&mut self, (from, to): Span, is_silent: bool) {
        if self.skips.len() < MAX_SKIPS || self.skips.contains_key(&from) {
            let skip = self.skips.entry(from).or_insert(Skip { to, is_silent });
            skip.to = skip.to.max(to);
        }
    }

    /// The lowest sequence at which something stands.
    pub(crate) fn first(&self) -> Option<u64> {
        let event = self.events.keys().next();
        let skip = self.skips.keys().next();
        event.into_iter().chain(skip).min().copied()
    }

    /// The highest sequence of which we have the envelope.
    pub(crate) fn last(&self) -> Option<u64> {
        self.events.keys().next_back().copied()
    }

    /// Takes what stands at `next`; below it nothing is left. An event wins over a range: we have it, whatever was said.
    pub(crate) fn take(&mut self, next: u64) -> Place<B> {
        if let Some(held) = self.events.remove(&next) {
            self.bytes -= held.size;
            return Place::Event(held);
        }
        while let Some((&from, &skip)) = self
            .skips
            .first_key_value()
            .filter(|(from, _)| **from <= next)
        {
            self.skips.remove(&from);
            if skip.to >= next {
                return Place::Skip(self.stop_before_event(next, skip));
            }
        }
        Place::Nothing
    }

    /// Cuts a range at the first event inside it and keeps the rest for later.
    fn stop_before_event(&mut self, next: u64, skip: Skip) -> Skip {
        match self
            .events
            .range(next..=skip.to)
            .next()
            .map(|(&seq, _)| seq)
        {
            Some(seq) => {
                self.skip((seq, skip.to), skip.is_silent);
                Skip {
                    to: seq - 1,
                    ..skip
                }
            }
            None => skip,
        }
    }
}

/// The ranges that a peer can have open at a time; its own limit for one message.
pub(crate) const MAX_SKIPS: usize = 64;
