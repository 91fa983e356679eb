use super::io::{Body, Emit, Outgoing, Output, QuarantineReason, Quarantined};
use super::slots::Slot;
use super::stats::Status;
use super::time::Time;
use super::{Core, Delivery};

/// Own events: slot, sequence, log; and when own clients hear them.
impl<E, B: Body> Core<E, B> {
    /// Takes slot, sequence and log entry in one step. It never waits, and the broker cannot make it fail.
    pub(super) fn emit(&mut self, now: Time, emit: Emit<E, B>) {
        self.stats.emitted += 1;
        let outgoing = emit.sync.filter(|outgoing| self.admits(outgoing));
        let seq = outgoing.as_ref().map(|_| self.log.end());
        self.slots.push(Slot {
            event: emit.event,
            seq,
            since: now,
            service: outgoing
                .as_ref()
                .and_then(|outgoing| outgoing.body.service()),
        });
        if let Some(outgoing) = outgoing {
            self.stats.synced += 1;
            self.log.append(outgoing, now);
            self.trim_log(now);
        }
        self.deliver();
    }

    /// Settles an own envelope that came back.
    pub(super) fn own_echo(&mut self, now: Time, seq: u64) {
        if seq >= self.log.end() {
            self.cloned_identity(now, Some(seq));
        } else if self.log.settle(seq) {
            self.stats.settled += 1;
            self.deliver();
        } else {
            self.stats.duplicate_echoes += 1;
        }
    }

    /// Gives an entry up that the broker refuses for good; the rest goes on.
    pub(super) fn refused_for_good(&mut self, seq: u64) {
        let Some(body) = self.log.void(seq) else {
            return;
        };
        self.stats.voided += 1;
        self.voids.insert(seq);
        let reason = QuarantineReason::Refused;
        self.quarantine(Quarantined {
            reason,
            node: self.config.node,
            seq: Some(seq),
            body: Some(body),
        });
        self.deliver();
    }

    /// Lets the lowest entries leave a log that is full or old, and says what own clients or peers lose by it.
    pub(super) fn trim_log(&mut self, now: Time) {
        while let Some(entry) = self.log.evict(&self.config.limits, now) {
            self.voids.remove(&(self.log.low() - 1));
            if !entry.settled && entry.sent.is_none() {
                self.stats.dropped_out += 1;
            } else if !entry.settled {
                self.stats.dropped_unsettled += 1;
            }
        }
        self.deliver();
    }

    pub(super) fn set_status(&mut self, status: Status) {
        if self.status != status {
            self.status = status;
            self.deliver();
            self.output(Output::Status(status));
        }
    }

    /// Goes to `Ready` when everything from before the trouble has come back and echoes are in time again.
    ///
    /// Under load there is never a moment without any unsettled entry, so later ones are not waited for; they must only be
    /// younger than the deadline.
    pub(super) fn promote(&mut self, now: Time) {
        let is_candidate = matches!(self.status, Status::Replaying | Status::Degraded);
        if is_candidate && self.log.unsettled() >= self.mark && !self.is_late(now) {
            self.set_status(Status::Ready);
        }
    }

    /// Whether own clients would have to wait too long for what is out on this link.
    pub(super) fn is_late(&self, now: Time) -> bool {
        let deadline = self.config.timing.echo_deadline;
        let Some(link) = &self.link else { return true };
        let owed = self.log.owed_since(link.id);
        owed.is_some_and(|since| now.since(since) >= deadline)
            || self
                .slots
                .head()
                .is_some_and(|slot| now.since(slot.since) >= deadline)
            || link.is_hello_late(now, &self.config.timing)
    }

    /// Gives own clients what they may hear now, in slot order. This is the only place where they are given own events.
    pub(super) fn deliver(&mut self) {
        self.divergence.settled(self.now, self.log.unsettled());
        while self.slots.head().is_some_and(|slot| self.may_go(slot)) {
            let Some(slot) = self.slots.pop() else { return };
            self.divergence.heard_own(self.now, &slot, self.repeated_at);
            self.note_early(&slot);
            self.stats.delivered += 1;
            self.output(Output::Deliver(slot.event));
        }
    }

    fn may_go(&self, slot: &Slot<E>) -> bool {
        let waits = self.status == Status::Ready && self.config.delivery == Delivery::Ordered;
        let is_overfull = self.slots.len() > self.config.limits.log_entries;
        !waits || is_overfull || slot.seq.is_none_or(|seq| self.log.is_settled(seq))
    }

    /// Marks an event that own clients hear before its echo, unless they are always to hear it at once.
    fn note_early(&mut self, slot: &Slot<E>) {
        let is_usual = self.status == Status::Ready && self.config.delivery == Delivery::LocalFirst;
        let entry = slot.seq.and_then(|seq| Some((seq, self.log.get_mut(seq)?)));
        if let Some((seq, entry)) = entry.filter(|(_, entry)| !entry.settled && !is_usual) {
            entry.early = true;
            self.stats.delivered_early += 1;
            self.divergence.heard_early(slot.service, seq);
        }
    }

    fn admits(&mut self, outgoing: &Outgoing<B>) -> bool {
        let admits = self.phase.is_open() && outgoing.size <= self.config.limits.log_bytes;
        self.stats.refused += u64::from(!admits);
        admits
    }
}
