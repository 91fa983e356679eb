use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;

use super::config::Timing;
use super::io::{BatchId, DropReason, Item, LinkId};
use super::message::{Control, Span};
use super::time::Time;

/// What the core knows of the present link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) nonce: u64,
    up: Time,
    /// When our first hello came back: from then on we know that we hear and are heard.
    pub(crate) proven: Option<Time>,
    /// The next sequence to send.
    pub(crate) cursor: u64,
    /// Sequences that the broker refused for the moment, and when to send each again. They are settled or the link is
    /// dropped within `Timing::link_deadline`, so they are bounded by what is sent in that time.
    pub(crate) retries: BTreeMap<u64, Time>,
    /// The one batch that is out. One at a time makes the order of a link trivial.
    pub(crate) flight: Option<Flight>,
    pub(crate) hello: Hellos,
    /// Whose turn it is: own events and answers to askers take turns, so that neither starves the other.
    pub(crate) answers_next: bool,
}

/// A batch whose report is awaited.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) batch: BatchId,
    pub(crate) since: Time,
    pub(crate) parts: Vec<Part>,
}

/// What stands at one place of a batch, for the report on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Event(u64),
    Again(u64),
    Hello,
    Want,
    /// `true` if it was for one asker only, who asks again if it does not get it.
    Void(Vec<Span>, bool),
    Bye,
}

/// The rhythm of own hellos and whether they come back.
#[derive(Debug)]
pub(crate) struct Hellos {
    due: Time,
    sent: Option<Time>,
    /// The first one sent after the last that came back.
    unanswered: Option<Time>,
    echoed: Time,
}

/// Waits between dials: full jitter over a bound that doubles.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Link {
    pub(crate) fn new(id: LinkId, nonce: u64, now: Time) -> Self {
        let hello = Hellos {
            due: now,
            sent: None,
            unanswered: None,
            echoed: now,
        };
        Self {
            id,
            nonce,
            up: now,
            proven: None,
            cursor: 0,
            retries: BTreeMap::new(),
            flight: None,
            hello,
            answers_next: false,
        }
    }

    /// Why the link has to go, if it has. `owed` is the time since which an echo is awaited, `hello_span` how long an own
    /// hello may stay away.
    pub(crate) fn fault(
        &self,
        now: Time,
        owed: Option<Time>,
        hello_span: Duration,
        timing: &Timing,
    ) -> Option<DropReason> {
        let is_over = |since: Option<Time>, span: Duration| {
            since.is_some_and(|since| now.since(since) >= span)
        };
        let unproven = self.proven.is_none().then_some(self.up);
        let echoed = self.echoed();
        if is_over(unproven, timing.link_deadline) {
            Some(DropReason::NoProof)
        } else if is_over(
            self.flight.as_ref().map(|flight| flight.since),
            timing.link_deadline,
        ) {
            Some(DropReason::PublishHangs)
        } else if is_over(owed, timing.link_deadline) {
            Some(DropReason::NoEcho)
        } else {
            is_over(echoed, hello_span).then_some(DropReason::HelloLost)
        }
    }

    /// Whether an own hello should have come back by now.
    pub(crate) fn is_hello_late(&self, now: Time, timing: &Timing) -> bool {
        self.hello
            .unanswered
            .is_some_and(|sent| now.since(sent) >= timing.echo_deadline)
    }

    /// When an own hello last came back, once one did.
    pub(crate) fn echoed(&self) -> Option<Time> {
        self.proven.map(|_| self.hello.echoed)
    }

    /// Whether the link lived long enough to forget earlier failures.
    pub(crate) fn has_lived(&self, now: Time, timing: &Timing) -> bool {
        self.proven
            .is_some_and(|proven| now.since(proven) >= timing.backoff_reset)
    }

    /// The times at which something has to be judged or sent.
    pub(crate) fn deadlines(
        &self,
        hello_span: Duration,
        timing: &Timing,
    ) -> impl Iterator<Item = Time> {
        let flight = self
            .flight
            .as_ref()
            .map(|flight| flight.since + timing.link_deadline);
        let proof = self
            .proven
            .is_none()
            .then_some(self.up + timing.link_deadline);
        let late = self
            .hello
            .unanswered
            .map(|sent| sent + timing.echo_deadline);
        let lost = self.echoed().map(|echoed| echoed + hello_span);
        let is_free = self.flight.is_none();
        let hello = is_free.then_some(self.hello.due);
        let retry = self.retries.values().min().copied().filter(|_| is_free);
        [flight, proof, late, lost, hello, retry]
            .into_iter()
            .flatten()
    }

    /// Moves what is judged forward by a time in which this process slept.
    pub(crate) fn forgive(&mut self, slept: Duration) {
        self.up = self.up + slept;
        self.hello.echoed = self.hello.echoed + slept;
        self.hello.unanswered = self.hello.unanswered.map(|sent| sent + slept);
        if let Some(flight) = &mut self.flight {
            flight.since = flight.since + slept;
        }
    }
}

impl Hellos {
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.due <= now
    }

    /// Brings the next hello forward, but not below the shortest distance to the last.
    pub(crate) fn hurry(&mut self, at: Time, timing: &Timing) {
        let earliest = self.sent.map_or(at, |sent| at.max(sent + timing.hello_gap));
        self.due = self.due.min(earliest);
    }

    pub(crate) fn sent(&mut self, now: Time, next: Time) {
        self.sent = Some(now);
        self.unanswered.get_or_insert(now);
        self.due = next;
    }

    pub(crate) fn echoed(&mut self, now: Time) {
        self.unanswered = None;
        self.echoed = now;
    }
}

impl Backoff {
    pub(crate) fn next(&mut self, rng: &mut impl Rng, timing: &Timing) -> Duration {
        let (first, last) = timing.backoff;
        let bound = first.saturating_mul(1 << self.failures.min(16)).min(last);
        self.failures = self.failures.saturating_add(1);
        rng.random_range(Duration::ZERO..=bound)
    }

    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

impl<B> From<&Item<B>> for Part {
    fn from(item: &Item<B>) -> Self {
        match item {
            Item::Event { wb, .. } => Self::Event(wb.seq),
            Item::Again { wb, .. } => Self::Again(wb.seq),
            Item::Control(Control::Hello(_)) => Self::Hello,
            Item::Control(Control::Want(_)) => Self::Want,
            Item::Control(Control::Void(void)) => Self::Void(void.seqs.clone(), void.to.is_some()),
            Item::Control(Control::Bye(_)) => Self::Bye,
        }
    }
}
