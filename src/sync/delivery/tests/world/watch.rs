use std::collections::BTreeMap;

use super::super::super::hold::MAX_SKIPS;
use super::super::super::{Control, Input, Item, LinkId, Message, Publish, Status, Time};
use super::{Event, Node, Verdict};

/// What is needed to judge a node at every step, by what went in and came out and not by what its core thinks.
pub(super) struct Watch {
    /// Whether somebody forges messages.
    pub(super) is_hostile: bool,
    /// The link that each own hello was published on.
    nonces: BTreeMap<u64, LinkId>,
    /// When the present link came up.
    up: Time,
    /// When an own hello last came back on the link that it was published on.
    proof: Option<(LinkId, Time)>,
    /// Bytes of answers that went out and that the rate has not made up for since, and when that was.
    debt: (f64, Time),
    /// When each sequence was last repeated to askers.
    repeated: BTreeMap<u64, Time>,
}

impl Watch {
    pub(super) fn new(is_hostile: bool) -> Self {
        Self {
            is_hostile,
            nonces: BTreeMap::new(),
            up: Time::default(),
            proof: None,
            debt: (0.0, Time::default()),
            repeated: BTreeMap::new(),
        }
    }
}

impl Node {
    pub(super) fn note_proof(&mut self, now: Time, input: &Input<Event, Event>) {
        match input {
            Input::LinkUp { .. } => self.watch.up = now,
            Input::Received {
                link,
                message: Message::Control(Control::Hello(hello)),
            } if hello.node == self.id
                && self.listens_to(*link)
                && self.watch.nonces.get(&hello.nonce) == Some(link) =>
            {
                self.watch.proof = Some((*link, now));
            }
            _ => {}
        }
    }

    /// proof_both_ways: `Ready` only if an own hello came back on this link within two intervals and a second; and a link
    /// that is deaf or mute is given up in that time, whether there is traffic or not.
    pub(super) fn check_proof(&self, now: Time) -> Verdict {
        let Some(link) = &self.core.link else {
            return Ok(());
        };
        let (timing, limits) = (&self.core.config.timing, &self.core.config.limits);
        let span = timing.interval(limits, self.core.peers.len()) * 2 + timing.hello_slack;
        let proof = self.watch.proof.filter(|(on, _)| *on == link.id);
        let since = proof.map_or(self.watch.up, |(_, at)| at);
        if now.since(since) > span && self.awake(since, now) > span {
            return Err(format!(
                "proof_both_ways: a link without an own hello since {since:?}"
            ));
        }
        if self.core.status == Status::Ready && proof.is_none() {
            return Err("proof_both_ways: Ready before an own hello came back".to_owned());
        }
        Ok(())
    }

    /// bounded: answers to askers, in every window of time and for every sequence.
    pub(super) fn note_answers(&mut self, now: Time, batch: &Publish<Event>) -> Verdict {
        let (timing, limits) = (&self.core.config.timing, &self.core.config.limits);
        let mut bytes = 0.0;
        for item in &batch.items {
            match item {
                Item::Again { wb, .. } => {
                    bytes += ANSWER;
                    let before = self.watch.repeated.insert(wb.seq, now);
                    if before.is_some_and(|at| now.since(at) < timing.want_every) {
                        return Err(format!("bounded: {} is repeated too soon", wb.seq));
                    }
                }
                Item::Control(Control::Void(void)) if void.to.is_some() => bytes += OVERHEAD,
                Item::Control(Control::Hello(hello)) => {
                    self.watch.nonces.insert(hello.nonce, batch.link);
                }
                Item::Control(_) | Item::Event { .. } => {}
            }
        }
        let (debt, at) = self.watch.debt;
        let paid = limits.repair_rate as f64 * now.since(at).as_secs_f64();
        let debt = (debt - paid).max(0.0) + bytes;
        self.watch.debt = (debt, now);
        // The last element may go beyond, and each asker is told what is too old for it.
        let most = limits.repair_burst as f64 + ANSWER + OVERHEAD * limits.peers as f64;
        if debt > most {
            return Err(format!("bounded: answers of {debt} bytes, {most} at most"));
        }
        Ok(())
    }

    /// bounded: everything that others can fill.
    pub(super) fn check_bounds(&self) -> Verdict {
        if !self.watch.is_hostile {
            return Ok(());
        }
        let (core, limits) = (&self.core, &self.core.config.limits);
        let levels = [
            ("peers", core.peers.len(), limits.peers),
            ("departed", core.peers.departed(), limits.departed),
            ("askers", core.repair.askers(), limits.peers),
            ("log", core.log.len(), limits.log_entries),
            ("log bytes", core.log.bytes(), limits.log_bytes),
            ("slots", core.slots.len(), limits.log_entries),
            ("voids", core.voids.len(), limits.log_entries),
            ("marks", core.sent_marks.len(), 8),
        ];
        let holds = core.peers.iter().map(|(_, peer)| peer.hold());
        let holds = holds.flat_map(|hold| {
            // Alone, even a huge envelope can be held.
            let bytes = if hold.len() > 1 { hold.bytes() } else { 0 };
            [
                ("hold", hold.len(), limits.hold_entries),
                ("hold bytes", bytes, limits.hold_bytes),
                ("skips", hold.n_skips(), MAX_SKIPS),
            ]
        });
        match levels
            .into_iter()
            .chain(holds)
            .find(|(_, n, most)| n > most)
        {
            Some((what, n, most)) => Err(format!("bounded: {what} {n}, {most} at most")),
            None => Ok(()),
        }
    }
}

/// What a message without a body counts for, and what a repeated event does.
const OVERHEAD: f64 = 128.0;
const ANSWER: f64 = OVERHEAD + 100.0;
