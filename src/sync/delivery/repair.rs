use std::collections::BTreeMap;
use std::time::Duration;

use super::config::Config;
use super::io::Item;
use super::log::{Entry, Log};
use super::message::{Control, VERSION, Void, Want, Wb, spans};
use super::node::NodeId;
use super::time::{Time, millis};

/// The wants for our log, answered together, in order, and no faster than `Limits::repair_rate`.
///
/// One open want per asker, a later one in place of an earlier; as many askers as `Limits::peers`, others are not answered
/// and counted.
#[derive(Debug)]
pub(crate) struct Repair {
    askers: BTreeMap<NodeId, Asked>,
    /// When to answer; the first asker sets it.
    due: Option<Time>,
    bucket: Bucket,
}

/// What there is to send to askers now.
#[derive(Debug)]
pub(crate) struct Answer<B> {
    pub(crate) items: Vec<Item<B>>,
    /// Somebody asked for what is not kept any more, which only a hello can say.
    pub(crate) needs_hello: bool,
}

#[derive(Debug)]
struct Asked {
    from: u64,
    to: u64,
    /// What was emitted before is older than the asker's clients.
    horizon: Time,
    /// The asker's clock when it asked.
    asked: u64,
    /// Sequences that it was answered: askers take turns of [`TURN`], so that one who wants all does not starve the others.
    answered: u64,
    at: Time,
}

impl Repair {
    pub(crate) fn new(now: Time, config: &Config) -> Self {
        Self {
            askers: BTreeMap::new(),
            due: None,
            bucket: Bucket::new(now, config),
        }
    }

    /// Notes a want; false if it makes no sense or too many ask.
    pub(crate) fn ask(&mut self, now: Time, want: &Want, config: &Config) -> bool {
        let is_full =
            self.askers.len() >= config.limits.peers && !self.askers.contains_key(&want.from_node);
        if want.from > want.to || is_full {
            return false;
        }
        let horizon = now.back(Duration::from_millis(want.max_age));
        let least = self.askers.values().map(|asked| asked.answered).min();
        let before = self.askers.get(&want.from_node);
        let answered = before.map(|asked| asked.answered).or(least);
        self.askers.insert(
            want.from_node,
            Asked {
                from: want.from,
                to: want.to,
                horizon,
                asked: want.asked,
                answered: answered.unwrap_or(0),
                at: now,
            },
        );
        self.due.get_or_insert(now + config.timing.answer_after);
        true
    }

    #[cfg(test)]
    pub(crate) fn askers(&self) -> usize {
        self.askers.len()
    }

    /// When there is something to answer.
    pub(crate) fn due(&self) -> Option<Time> {
        self.due.map(|due| due.max(self.bucket.opens_at()))
    }

    /// Forgets who asked: their questions come again on the next link.
    pub(crate) fn clear(&mut self) {
        self.askers.clear();
        self.due = None;
    }

    /// Answers as much as fits into one batch and the rate.
    pub(crate) fn answer<B: Clone>(
        &mut self,
        now: Time,
        log: &mut Log<B>,
        config: &Config,
    ) -> Answer<B> {
        let mut answer = Answer {
            items: Vec::new(),
            needs_hello: false,
        };
        self.bucket.refill(now);
        if self.due.is_none_or(|due| due > now) || !self.bucket.is_open() {
            return answer;
        }
        self.askers
            .retain(|_, asked| now.since(asked.at) < config.timing.want_lives);
        self.clip(log, config, &mut answer);
        self.serve(now, log, config, &mut answer);
        if self.askers.is_empty() {
            self.due = None;
        }
        answer
    }

    /// Cuts each want to what is kept, was sent, and is young enough for its asker.
    fn clip<B>(&mut self, log: &Log<B>, config: &Config, answer: &mut Answer<B>) {
        for (&asker, asked) in &mut self.askers {
            if asked.from < log.low() {
                answer.needs_hello = true;
                asked.from = log.low();
            }
            let young = log
                .first_since(asked.horizon)
                .min(asked.to.saturating_add(1))
                .min(log.sent());
            if asked.from < young {
                answer.items.push(Item::Control(Control::Void(Void {
                    node: config.node,
                    to: Some(asker),
                    asked: Some(asked.asked),
                    seqs: vec![(asked.from, young - 1)],
                })));
                self.bucket.spend(OVERHEAD);
                asked.from = young;
            }
        }
        self.askers
            .retain(|_, asked| asked.from <= asked.to && asked.from < log.sent());
    }

    fn serve<B: Clone>(
        &mut self,
        now: Time,
        log: &mut Log<B>,
        config: &Config,
        answer: &mut Answer<B>,
    ) {
        let mut refused = Vec::new();
        let mut bytes = 0;
        while self.bucket.is_open()
            && answer.items.len() < config.limits.batch_items
            && bytes < config.limits.batch_bytes
        {
            let Some(seq) = self.next_wanted(log.sent()) else {
                break;
            };
            let Some(entry) = log.get_mut(seq) else {
                continue;
            };
            let Some(body) = entry.body.clone() else {
                refused.push(seq);
                continue;
            };
            if entry
                .repeated
                .is_some_and(|at| now.since(at) < config.timing.want_every)
            {
                continue;
            }
            entry.repeated = Some(now);
            bytes += entry.size;
            self.bucket.spend(entry.size as u64 + OVERHEAD);
            answer.items.push(Item::Again {
                wb: repeated_wb(now, config.node, seq, entry),
                body,
            });
        }
        if !refused.is_empty() {
            answer.items.push(Item::Control(Control::Void(Void {
                node: config.node,
                to: None,
                asked: None,
                seqs: spans(refused),
            })));
        }
    }

    /// The lowest sequence that anybody whose turn it is waits for; it is answered at once for all who have come as far.
    fn next_wanted(&mut self, sent: u64) -> Option<u64> {
        let turns = self.askers.values();
        let (_, seq) = turns
            .map(|asked| (asked.answered / TURN, asked.from))
            .min()?;
        for asked in self.askers.values_mut().filter(|asked| asked.from == seq) {
            asked.from += 1;
            asked.answered += 1;
        }
        self.askers
            .retain(|_, asked| asked.from <= asked.to && asked.from < sent);
        Some(seq)
    }
}

/// A token bucket that may go into debt by one element, so that an element larger than the burst still goes.
#[derive(Debug)]
struct Bucket {
    level: i64,
    burst: i64,
    rate: u64,
    at: Time,
}

impl Bucket {
    fn new(now: Time, config: &Config) -> Self {
        let burst = i64::try_from(config.limits.repair_burst).unwrap_or(i64::MAX);
        Self {
            level: burst,
            burst,
            rate: config.limits.repair_rate.max(1),
            at: now,
        }
    }

    const fn is_open(&self) -> bool {
        self.level > 0
    }

    fn refill(&mut self, now: Time) {
        let gained = now.since(self.at).as_nanos() * u128::from(self.rate) / NANOS;
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(self.burst);
            self.at = now;
        }
    }

    fn spend(&mut self, bytes: u64) {
        self.level = self
            .level
            .saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn opens_at(&self) -> Time {
        let debt = u128::from(1_i64.saturating_sub(self.level).max(0).unsigned_abs());
        let nanos = (debt * NANOS).div_ceil(u128::from(self.rate));
        self.at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn repeated_wb<B>(now: Time, node: NodeId, seq: u64, entry: &Entry<B>) -> Wb {
    Wb {
        v: VERSION,
        node,
        seq,
        age: Some(millis(now.since(entry.emitted))),
        early: entry.early,
    }
}

/// Sequences that one asker is answered before the others have their turn.
const TURN: u64 = 32;
/// What a message of the control lane takes beside a body, roughly.
const OVERHEAD: u64 = 128;
const NANOS: u128 = 1_000_000_000;
