use super::Core;
use super::io::{Body, DropReason, Output};
use super::link::Part;
use super::stats::Status;
use super::time::Time;

/// How far the way out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// New events stay here; what is unsettled still goes out, and peers are heard.
    Closing,
    /// Only the `Bye` is left to send, since then.
    Leaving(Time),
    Closed,
}

impl Phase {
    pub(crate) fn is_open(self) -> bool {
        self == Self::Open
    }

    pub(crate) const fn is_leaving(self) -> bool {
        matches!(self, Self::Leaving(_))
    }
}

/// The end: settle, say goodbye, close.
impl<E, B: Body> Core<E, B> {
    pub(super) fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
    }

    /// Does not wait for echoes any more, and for the `Bye` only if it can go at once.
    pub(super) fn close_now(&mut self, now: Time) {
        let is_free =
            self.is_proven() && self.link.as_ref().is_some_and(|link| link.flight.is_none());
        match self.phase {
            Phase::Open | Phase::Closing if is_free => self.phase = Phase::Leaving(now),
            Phase::Open | Phase::Closing | Phase::Leaving(_) => self.finish(now),
            Phase::Closed => {}
        }
    }

    /// Goes on to the `Bye`, or to the end if there is no link to say it on.
    pub(super) fn close_if_done(&mut self, now: Time) {
        let is_settled = self.log.unsettled() == self.log.end();
        let is_free = self.link.as_ref().is_none_or(|link| link.flight.is_none());
        match self.phase {
            Phase::Closing if is_settled && !self.is_proven() => self.finish(now),
            Phase::Closing if is_settled && is_free => self.phase = Phase::Leaving(now),
            Phase::Leaving(_) if !self.is_proven() => self.finish(now),
            Phase::Open | Phase::Closing | Phase::Leaving(_) | Phase::Closed => {}
        }
    }

    pub(super) fn said_bye(&mut self, now: Time, parts: &[Part]) {
        if parts.contains(&Part::Bye) {
            self.finish(now);
        }
    }

    pub(super) fn bye_deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Leaving(since) => Some(since + self.config.timing.echo_deadline),
            Phase::Open | Phase::Closing | Phase::Closed => None,
        }
    }

    pub(super) fn judge_bye(&mut self, now: Time) {
        if self.bye_deadline().is_some_and(|at| at <= now) {
            self.finish(now);
        }
    }

    fn finish(&mut self, now: Time) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.drop_link(now, DropReason::Closed);
            self.set_status(Status::Closed);
            self.output(Output::Closed);
        }
    }
}
