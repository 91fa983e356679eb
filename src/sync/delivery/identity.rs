use std::collections::VecDeque;

use super::Core;
use super::io::{Body, DropReason, Output, QuarantineReason, Quarantined};
use super::node::NodeId;
use super::time::Time;

/// The nonces of our last links: a hello with our id and none of these is somebody else's.
///
/// Bounded: a frozen broker that carries out a hello of more than [`LINKS`] links ago costs one more identity.
#[derive(Debug, Default)]
pub(crate) struct Nonces(VecDeque<u64>);

impl Nonces {
    pub(crate) fn add(&mut self, nonce: u64) {
        if self.0.len() == LINKS {
            self.0.pop_front();
        }
        self.0.push_back(nonce);
    }

    pub(crate) fn contains(&self, nonce: u64) -> bool {
        self.0.contains(&nonce)
    }
}

/// Who we are, while nobody else is the same.
impl<E, B: Body> Core<E, B> {
    /// Says that another node uses our id, and asks the shell for a new one: a copy of this process has the same dice.
    ///
    /// Not too often: whoever can write to the topic can forge our id, and every new one costs a link.
    pub(super) fn cloned_identity(&mut self, now: Time, seq: Option<u64>) {
        self.quarantine(Quarantined {
            reason: QuarantineReason::ClonedIdentity,
            node: self.config.node,
            seq,
            body: None,
        });
        let every = self.config.timing.rename_every;
        if self.cloned.is_none_or(|at| now.since(at) >= every) {
            self.cloned = Some(now);
            self.output(Output::Cloned);
        }
    }

    /// Goes on as another node: what has no echo is sent again under the new id, on a new link. The old id is a peer from
    /// here on, heard from where we stood.
    ///
    /// What both sent under one id before they met is beyond help: peers took one of the two for a copy of the other.
    pub(super) fn rename(&mut self, now: Time, node: NodeId) {
        let old = std::mem::replace(&mut self.config.node, node);
        self.stats.renamed += 1;
        self.stats.departed_dropped +=
            u64::from(self.peers.remember(old, self.log.end(), &self.config));
        let first_open = self.log.unsettled();
        let places = self.log.renumber();
        self.slots.renumber(|seq| {
            let place = usize::try_from(seq.checked_sub(first_open)?).ok()?;
            places.get(place).copied().flatten()
        });
        self.mark = self.log.end();
        self.voids.clear();
        self.sent_marks.clear();
        self.divergence.restart();
        self.drop_link(now, DropReason::Renamed);
    }
}

const LINKS: usize = 64;
