use std::collections::BTreeMap;

use super::Core;
use super::io::{Body, QuarantineReason};
use super::node::NodeId;
use super::stats::Status;
use super::time::Time;

/// Nodes that do not read what we write, by when they were last heard: another version, another codec.
///
/// Bounded by `Limits::peers`; one more is only counted.
#[derive(Debug, Default)]
pub(crate) struct Strangers(BTreeMap<NodeId, Time>);

/// What a node among strangers does.
impl<E, B: Body> Core<E, B> {
    /// Notes a node whose hello names another version or codec.
    pub(super) fn stranger(&mut self, now: Time, node: NodeId, reason: QuarantineReason) {
        self.refuse(reason, node, None, None);
        let Strangers(heard) = &mut self.strangers;
        if heard.len() < self.config.limits.peers || heard.contains_key(&node) {
            heard.insert(node, now);
        }
        self.judge_strangers(now);
    }

    /// A node that hears strangers and nobody who reads it would only put on the bus what no one can use: it publishes
    /// nothing until one of both changes. Where others read it, the strangers are the odd ones.
    pub(super) fn judge_strangers(&mut self, now: Time) {
        let patience = self.peers.patience(&self.config).mul_f64(1.5);
        let is_here = |at: Time| now.since(at) < patience;
        self.strangers.0.retain(|_, at| is_here(*at));
        let is_read = self
            .peers
            .iter()
            .any(|(_, peer)| peer.said_hello() && is_here(peer.last_heard()));
        match (self.status, is_read || self.strangers.0.is_empty()) {
            (Status::Replaying | Status::Ready | Status::Degraded, false) => {
                self.set_status(Status::Incompatible);
            }
            (Status::Incompatible, true) => {
                self.mark = self.log.end();
                self.set_status(Status::Replaying);
            }
            _ => {}
        }
    }
}
