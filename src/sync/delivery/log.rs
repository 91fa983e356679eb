use std::collections::VecDeque;

use wingbeat_adapter::Lane;

use super::config::Limits;
use super::io::{LinkId, Outgoing};
use super::time::Time;

/// The origin's envelopes by sequence, before and after sending: journal and repair store in one.
///
/// Bounded by entries, bytes and age; the lowest leave first and the sequencer counts what it loses.
#[derive(Debug)]
pub(crate) struct Log<B> {
    /// The sequence of the first entry, or the next one to be taken.
    low: u64,
    entries: VecDeque<Entry<B>>,
    bytes: usize,
    /// The lowest sequence without an echo, or the next one to be taken.
    unsettled: u64,
    /// The sequence after the highest that was handed to a broker.
    sent: u64,
}

/// One envelope of ours.
#[derive(Debug)]
pub(crate) struct Entry<B> {
    pub(crate) lane: Lane,
    /// `None` once the broker has refused it for good.
    pub(crate) body: Option<B>,
    pub(crate) size: usize,
    pub(crate) emitted: Time,
    pub(crate) settled: bool,
    /// The last link that it was handed to and when that link first got it.
    pub(crate) sent: Option<(LinkId, Time)>,
    /// Own clients heard it without its echo although they were to wait for it.
    pub(crate) early: bool,
    /// When it was last repeated to askers.
    pub(crate) repeated: Option<Time>,
}

impl<B> Log<B> {
    pub(crate) const fn new() -> Self {
        Self {
            low: 0,
            entries: VecDeque::new(),
            bytes: 0,
            unsettled: 0,
            sent: 0,
        }
    }

    /// The lowest sequence that is kept, or the next one to be taken.
    pub(crate) const fn low(&self) -> u64 {
        self.low
    }

    /// The next sequence to be taken.
    pub(crate) fn end(&self) -> u64 {
        self.low + self.entries.len() as u64
    }

    /// The sequence after the highest that was handed to a broker.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// The lowest sequence without an echo, or the next one to be taken.
    pub(crate) const fn unsettled(&self) -> u64 {
        self.unsettled
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Entry<B>> {
        self.entries.get(self.place(seq)?)
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut Entry<B>> {
        let place = self.place(seq)?;
        self.entries.get_mut(place)
    }

    /// Whether nothing has to be awaited for `seq` any more: echoed, refused for good, or gone.
    pub(crate) fn is_settled(&self, seq: u64) -> bool {
        seq < self.low || self.get(seq).is_some_and(|entry| entry.settled)
    }

    pub(crate) fn append(&mut self, outgoing: Outgoing<B>, now: Time) {
        let Outgoing { lane, body, size } = outgoing;
        self.bytes += size;
        self.entries.push_back(Entry {
            lane,
            body: Some(body),
            size,
            emitted: now,
            settled: false,
            sent: None,
            early: false,
            repeated: None,
        });
    }

    /// Takes the lowest entry out if a bound is exceeded.
    pub(crate) fn evict(&mut self, limits: &Limits, now: Time) -> Option<Entry<B>> {
        let oldest = self.entries.front()?;
        let is_full = self.entries.len() > limits.log_entries || self.bytes > limits.log_bytes;
        if !is_full && now.since(oldest.emitted) <= limits.log_age {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.size;
        self.low += 1;
        self.skip_settled();
        Some(entry)
    }

    /// Notes the echo of `seq`; false if it had been settled before.
    pub(crate) fn settle(&mut self, seq: u64) -> bool {
        let is_new = self
            .get_mut(seq)
            .is_some_and(|entry| !std::mem::replace(&mut entry.settled, true));
        self.skip_settled();
        is_new
    }

    /// Begins anew at sequence 0 with what is not settled; returns the new sequences of those from the lowest unsettled on.
    pub(crate) fn renumber(&mut self) -> Vec<Option<u64>> {
        let skip = self.place(self.unsettled).unwrap_or(self.entries.len());
        let mut old = std::mem::replace(self, Self::new()).entries;
        let mut keep = |entry: Entry<B>| {
            let (seq, body) = (self.end(), entry.body.filter(|_| !entry.settled)?);
            self.bytes += entry.size;
            self.entries.push_back(Entry {
                body: Some(body),
                sent: None,
                repeated: None,
                ..entry
            });
            Some(seq)
        };
        old.drain(skip..).map(&mut keep).collect()
    }

    /// Takes the body of an entry that cannot be published; `None` if its echo came all the same.
    pub(crate) fn void(&mut self, seq: u64) -> Option<B> {
        let entry = self.get_mut(seq).filter(|entry| !entry.settled)?;
        let (body, size) = (entry.body.take(), std::mem::take(&mut entry.size));
        self.bytes -= size;
        self.settle(seq);
        body
    }

    /// Notes that `seq` is handed to `link`; true if some link had it before.
    pub(crate) fn mark_sent(&mut self, seq: u64, link: LinkId, now: Time) -> bool {
        self.sent = self.sent.max(seq + 1);
        let Some(entry) = self.get_mut(seq) else {
            return false;
        };
        match entry.sent.replace((link, now)) {
            Some((last, at)) if last == link => {
                entry.sent = Some((link, at));
                true
            }
            before => before.is_some(),
        }
    }

    /// The time since which `link` owes us the echo of the lowest unsettled entry.
    pub(crate) fn owed_since(&self, link: LinkId) -> Option<Time> {
        let (sent_on, at) = self.get(self.unsettled)?.sent?;
        (sent_on == link).then_some(at)
    }

    /// Moves what is judged forward by a time in which this process slept.
    pub(crate) fn forgive(&mut self, slept: std::time::Duration) {
        let skip = self.place(self.unsettled).unwrap_or(self.entries.len());
        for (_, at) in self
            .entries
            .iter_mut()
            .skip(skip)
            .filter_map(|entry| entry.sent.as_mut())
        {
            *at = *at + slept;
        }
    }

    /// The first sequence that was emitted at `horizon` or later.
    pub(crate) fn first_since(&self, horizon: Time) -> u64 {
        self.low
            + self
                .entries
                .partition_point(|entry| entry.emitted < horizon) as u64
    }

    fn place(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.low)?).ok()
    }

    fn skip_settled(&mut self) {
        self.unsettled = self.unsettled.max(self.low);
        while self.get(self.unsettled).is_some_and(|entry| entry.settled) {
            self.unsettled += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn log(entries: u64) -> Log<u64> {
        let mut log = Log::new();
        for body in 0..entries {
            log.append(
                Outgoing {
                    lane: Lane::Events,
                    body,
                    size: 10,
                },
                Time::at(Duration::from_secs(body)),
            );
        }
        log
    }

    #[test]
    fn the_lowest_leave_first_by_each_bound() {
        let now = Time::at(Duration::from_secs(9));
        let by_entries = Limits {
            log_entries: 7,
            ..Limits::default()
        };
        let by_bytes = Limits {
            log_bytes: 75,
            ..Limits::default()
        };
        let by_age = Limits {
            log_age: Duration::from_secs(6),
            ..Limits::default()
        };
        for limits in [by_entries, by_bytes, by_age] {
            let mut log = log(10);
            while log.evict(&limits, now).is_some() {}
            assert_eq!(
                (log.low(), log.end(), log.unsettled(), log.len()),
                (3, 10, 3, 7)
            );
            assert_eq!(log.bytes(), 70);
        }
    }

    #[test]
    fn unsettled_moves_over_what_is_settled() {
        let mut log = log(4);
        assert!(log.settle(1));
        assert_eq!(log.unsettled(), 0);
        assert!(log.settle(0));
        assert!(!log.settle(0));
        assert_eq!(log.unsettled(), 2);
        assert_eq!(log.void(2), Some(2));
        assert_eq!(log.void(2), None);
        assert_eq!((log.unsettled(), log.bytes()), (3, 30));
    }

    #[test]
    fn an_echo_is_owed_by_the_link_that_was_handed_the_entry() {
        let mut log = log(2);
        let (first, second, at) = (LinkId(1), LinkId(2), Time::at(Duration::from_secs(5)));
        assert!(!log.mark_sent(0, first, at));
        assert!(log.mark_sent(0, first, at + Duration::from_secs(1)));
        assert_eq!(
            (log.owed_since(first), log.owed_since(second)),
            (Some(at), None)
        );
        assert!(log.mark_sent(0, second, at));
        assert_eq!(
            (log.owed_since(first), log.owed_since(second)),
            (None, Some(at))
        );
        assert_eq!(log.sent(), 1);
    }
}
