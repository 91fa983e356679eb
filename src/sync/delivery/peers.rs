use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::message::{Span, last_of};
use super::node::NodeId;
use super::peer::{Freed, Peer};
use super::stats::PeerStats;
use super::time::Time;

/// The origins that we hear, and where those were that departed.
///
/// Bounded by `Limits::peers` (a newcomer above it is quarantined) and `Limits::departed` (the oldest is forgotten).
#[derive(Debug)]
pub(crate) struct Peers<B> {
    table: BTreeMap<NodeId, Peer<B>>,
    /// Where each departed peer was. Without it, a peer that was silent for a minute and kept its log would be heard twice.
    departed: VecDeque<(NodeId, u64)>,
}

/// Whether a message's origin has a place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Known,
    /// It departed and this sequence was dealt with before.
    Past,
    Full,
}

/// What one peer set free.
pub(crate) type FreedOf<B> = (NodeId, Arc<str>, Vec<Freed<B>>);

impl<B> Peers<B> {
    pub(crate) const fn new() -> Self {
        Self {
            table: BTreeMap::new(),
            departed: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// What all peers' envelopes that wait for a lower sequence take.
    pub(crate) fn held_bytes(&self) -> usize {
        self.table.values().map(|peer| peer.hold().bytes()).sum()
    }

    #[cfg(test)]
    pub(crate) fn departed(&self) -> usize {
        self.departed.len()
    }

    pub(crate) fn get(&self, node: NodeId) -> Option<&Peer<B>> {
        self.table.get(&node)
    }

    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Peer<B>> {
        self.table.get_mut(&node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Peer<B>)> {
        self.table.iter()
    }

    /// Gives the origin of a message a row; `seq` is that of an envelope.
    pub(crate) fn admit(
        &mut self,
        now: Time,
        node: NodeId,
        seq: Option<u64>,
        config: &Config,
    ) -> Admission {
        if self.table.contains_key(&node) {
            return Admission::Known;
        }
        let place = self.departed.iter().position(|&(gone, _)| gone == node);
        let next = place
            .and_then(|place| self.departed.get(place))
            .map(|&(_, next)| next);
        if next.zip(seq).is_some_and(|(next, seq)| seq < next) {
            return Admission::Past;
        }
        if self.table.len() >= config.limits.peers {
            return Admission::Full;
        }
        place.map(|place| self.departed.remove(place));
        self.table.insert(
            node,
            next.map_or_else(|| Peer::new(now), |next| Peer::returned(now, next)),
        );
        Admission::Known
    }

    /// Forgets a peer with a final gap for what it had announced; true if the place of another one had to go for it.
    pub(crate) fn depart(&mut self, node: NodeId, config: &Config) -> Option<(FreedOf<B>, bool)> {
        let mut peer = self.table.remove(&node)?;
        let next = peer.depart();
        let is_over = self.remember(node, next, config);
        Some(((node, Arc::clone(&peer.name), peer.freed()), is_over))
    }

    /// Notes where a node was that is not in the table; true if the place of another one had to go for it.
    pub(crate) fn remember(&mut self, node: NodeId, next: u64, config: &Config) -> bool {
        self.departed.push_back((node, next));
        let is_over = self.departed.len() > config.limits.departed;
        if is_over {
            self.departed.pop_front();
        }
        is_over
    }

    /// Those whose `Bye` has had its time, and those that were silent too long since `since`.
    pub(crate) fn leavers(&self, now: Time, since: Option<Time>, config: &Config) -> Vec<NodeId> {
        let leaves = |peer: &Peer<B>| peer.leaves().is_some_and(|at| at <= now);
        let is_silent = |peer: &Peer<B>| {
            since.is_some_and(|since| {
                now.since(since.max(peer.last_heard())) >= config.timing.silence
            })
        };
        self.table
            .iter()
            .filter(|(_, peer)| leaves(peer) || is_silent(peer))
            .map(|(&node, _)| node)
            .collect()
    }

    /// Gives holes up that stood too long.
    pub(crate) fn judge_holes(&mut self, now: Time, config: &Config) -> Vec<FreedOf<B>> {
        let mut all = Vec::new();
        for (&node, peer) in self.table.iter_mut().filter(|(_, peer)| peer.has_hole()) {
            peer.judge_hole(now, config);
            let freed = peer.freed();
            if !freed.is_empty() {
                all.push((node, Arc::clone(&peer.name), freed));
            }
        }
        all
    }

    /// The ranges to ask for now; `again` draws the time of the next question. Who is silent could not answer.
    pub(crate) fn wants(
        &mut self,
        now: Time,
        config: &Config,
        mut again: impl FnMut() -> Time,
    ) -> Vec<(NodeId, Span)> {
        let patience = self.patience(config).mul_f64(1.5);
        let is_due = |peer: &Peer<B>| {
            peer.leaves().is_none()
                && now.since(peer.last_heard()) < patience
                && peer.want_at().is_some_and(|at| at <= now)
        };
        let asking = self.table.iter_mut().filter(|(_, peer)| is_due(peer));
        asking
            .filter_map(|(&node, peer)| peer.want(again()).map(|span| (node, span)))
            .collect()
    }

    /// How far we heard each peer; `None` above the limit.
    pub(crate) fn heard(&self, config: &Config) -> Option<BTreeMap<NodeId, Option<u64>>> {
        let far = |peer: &Peer<B>| {
            if peer.is_contacted() {
                last_of(peer.next())
            } else {
                None
            }
        };
        (self.len() <= config.limits.heard_peers).then(|| {
            self.table
                .iter()
                .map(|(&node, peer)| (node, far(peer)))
                .collect()
        })
    }

    /// Begins anew with a new link: old holes get their full time, and nobody has heard it yet.
    pub(crate) fn link_proven(&mut self, now: Time, config: &Config) {
        for peer in self.table.values_mut() {
            peer.restart_hole(now, &config.timing);
            peer.reset_ear();
        }
    }

    /// Moves the clocks of holes over a time in which this process slept.
    pub(crate) fn forgive(&mut self, slept: Duration) {
        self.table.values_mut().for_each(|peer| peer.forgive(slept));
    }

    /// Whether each peer that says what it heard has said for `span` that it does not hear us.
    pub(crate) fn are_deaf(&self, now: Time, span: Duration) -> bool {
        let mut says = self
            .table
            .values()
            .filter_map(|peer| peer.is_deaf(now, span))
            .peekable();
        says.peek().is_some() && says.all(|is_deaf| is_deaf)
    }

    /// How old the last sign of life may be for a peer to count as there.
    pub(crate) fn patience(&self, config: &Config) -> Duration {
        config.timing.interval(&config.limits, self.len()) * 2
    }

    pub(crate) fn rows(&self, now: Time) -> Vec<PeerStats> {
        self.table
            .iter()
            .map(|(&node, peer)| peer.row(node, now))
            .collect()
    }
}
