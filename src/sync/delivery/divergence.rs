use std::time::Duration;

use super::Time;
use super::config::{Config, Timing};
use super::node::NodeId;
use super::slots::Slot;

/// Finds the services whose clients may have heard events of two origins in another order here than elsewhere.
///
/// The broker gives one order to what is sent while all are `Ready`. In an outage each node's own clients hear its own
/// events at once, so two of them on one record can leave different last states at the clients of two nodes. Bounded: one
/// row for each service of the app.
#[derive(Debug)]
pub(crate) struct Divergence {
    built: Time,
    rows: Vec<Row>,
    /// The own events of the last outage that own clients heard before anybody else.
    outage: Option<Outage>,
}

/// What is known of one service.
#[derive(Clone, Debug, Default)]
struct Row {
    /// Who was last heard, and when; and who else before that.
    last: Option<(Source, Time)>,
    before: Option<(Source, Time)>,
    /// The last own event that was heard early.
    early: Option<u64>,
    doubt: Option<Doubt>,
}

/// Whose event clients heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Us,
    Peer(NodeId),
    Foreign,
}

/// Own events that were heard early, from the first of them to the echo of the last.
#[derive(Clone, Copy, Debug)]
struct Outage {
    from: u64,
    to: u64,
    ended: Option<Time>,
}

/// Orders that may differ, not told to the app yet: it is told when no more of them come, because what it fetches before
/// that can be overtaken.
#[derive(Clone, Debug)]
struct Doubt {
    source: Source,
    first: Time,
    last: Time,
}

/// An event of somebody else that clients are about to hear.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hearing {
    pub(crate) service: usize,
    pub(crate) source: Source,
    /// How long ago it happened, if it comes late.
    pub(crate) age: Option<Duration>,
    /// The origin's own clients heard it before the broker had it.
    pub(crate) early: bool,
}

impl Divergence {
    pub(crate) fn new(built: Time, config: &Config) -> Self {
        Self {
            built,
            rows: vec![Row::default(); config.services.len()],
            outage: None,
        }
    }

    /// Notes that own clients hear an own event that others hear as well.
    ///
    /// It is in doubt if askers may have been given it since it happened, at `repeated` the last time: they heard it before
    /// our own clients, who wait for its echo, and those may have heard somebody else's meanwhile.
    pub(crate) fn heard_own(&mut self, now: Time, own: &Slot<impl Sized>, repeated: Option<Time>) {
        let Some(row) = own.service.and_then(|service| self.rows.get_mut(service)) else {
            return;
        };
        let other = row.heard_other(Source::Us);
        let other = other.filter(|(_, at)| repeated >= Some(own.since) && *at >= own.since);
        if let Some((source, _)) = other {
            row.doubt(now, source);
        }
        row.heard(now, Source::Us);
    }

    /// Notes that own clients hear an own event before anybody else.
    pub(crate) fn heard_early(&mut self, service: Option<usize>, seq: u64) {
        let Some(row) = service.and_then(|service| self.rows.get_mut(service)) else {
            return;
        };
        row.early = Some(seq);
        let open = self.outage.filter(|outage| outage.ended.is_none());
        self.outage = Some(Outage {
            from: open.map_or(seq, |outage| outage.from),
            to: seq,
            ended: None,
        });
    }

    /// Notes how far own events have come back: the outage is over when all that was heard early has.
    pub(crate) fn settled(&mut self, now: Time, unsettled: u64) {
        let open = self.outage.as_mut().filter(|outage| outage.ended.is_none());
        if let Some(outage) = open.filter(|outage| outage.to < unsettled) {
            outage.ended = Some(now);
        }
    }

    /// Forgets which own events were heard early, as their sequences are others now.
    pub(crate) fn restart(&mut self) {
        self.outage = None;
        self.rows.iter_mut().for_each(|row| row.early = None);
    }

    /// Compares an event of somebody else with what own clients have heard, and notes it as heard.
    ///
    /// In doubt are an early or late event, if clients heard somebody else's since it happened; and one that happened
    /// before all that own clients heard early was with the others. What happened before this node was built is heard by no
    /// client of it.
    pub(crate) fn hear(&mut self, now: Time, hearing: Hearing, config: &Config) {
        let outage = self.outage;
        let Some(row) = self.rows.get_mut(hearing.service) else {
            return;
        };
        let happened = now.back(hearing.age.unwrap_or_default());
        let is_before = outage.is_some_and(|outage| {
            row.early.is_some_and(|seq| seq >= outage.from)
                && outage.ended.is_none_or(|ended| happened < ended)
        });
        let is_behind = hearing
            .on_its_way(&config.timing)
            .zip(row.heard_other(hearing.source))
            .is_some_and(|(way, (_, at))| at >= happened.back(way));
        if happened >= self.built && (is_behind || is_before) {
            row.doubt(now, hearing.source);
        }
        row.heard(now, hearing.source);
    }

    /// The services whose order is in doubt and quiet again, with who was last part of it.
    pub(crate) fn due(&mut self, now: Time, config: &Config) -> Vec<(usize, Source)> {
        let (quiet, most) = (config.timing.echo_deadline, config.timing.hole_patience);
        let is_due =
            |doubt: &mut Doubt| now.since(doubt.last) >= quiet || now.since(doubt.first) >= most;
        let rows = self.rows.iter_mut().enumerate();
        rows.filter_map(|(service, row)| Some((service, row.doubt.take_if(is_due)?.source)))
            .collect()
    }
}

impl Hearing {
    /// How long it can have been on its way, beside its age, if others may have heard it in another place.
    fn on_its_way(&self, timing: &Timing) -> Option<Duration> {
        if self.early {
            Some(timing.link_deadline)
        } else {
            self.age.map(|_| timing.want_after)
        }
    }
}

impl Row {
    fn heard(&mut self, now: Time, source: Source) {
        if self.last.is_some_and(|(last, _)| last != source) {
            self.before = self.last;
        }
        self.last = Some((source, now));
    }

    /// Who other than `source` was last heard, and when.
    fn heard_other(&self, source: Source) -> Option<(Source, Time)> {
        let last = self.last.filter(|(last, _)| *last != source);
        last.or(self.before)
    }

    fn doubt(&mut self, now: Time, source: Source) {
        let first = self.doubt.as_ref().map_or(now, |doubt| doubt.first);
        self.doubt = Some(Doubt {
            source,
            first,
            last: now,
        });
    }
}
