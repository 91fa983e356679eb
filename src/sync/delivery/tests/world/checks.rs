use std::collections::BTreeSet;

use super::super::super::{GapReason, NodeId};
use super::super::plan::Kind;
use super::node::Heard;
use super::{Node, Verdict, World};

/// The promises, after the quiet time.
impl World {
    pub(in super::super) fn check(&self) -> Verdict {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        for node in &self.nodes {
            for (id, heard) in &node.heard {
                self.once_in(node, *id, heard)?;
            }
            let trusted = |origin: &&Node| !self.is_doubtful(node, origin);
            for origin in self.nodes.iter().filter(trusted) {
                if node.is_alive && origin.id != node.id {
                    self.all_or_gap(node, origin)?;
                }
            }
        }
        self.nodes
            .iter()
            .filter(|node| node.is_alive)
            .try_for_each(|node| self.check_own(node))
    }

    fn check_own(&self, node: &Node) -> Verdict {
        let (delivered, emitted) = (node.delivered.len(), node.emitted.len());
        if delivered != emitted {
            return Err(format!(
                "own_once: {:?} heard {delivered} of {emitted}",
                node.id
            ));
        }
        if node.worst_wait > node.core.config.timing.echo_deadline {
            return Err(format!(
                "never_starved: {:?} waited {:?}",
                node.id, node.worst_wait
            ));
        }
        if self.plan.bounds_are_hit || self.plan.is_doubtful(node.place) {
            Ok(())
        } else {
            self.node_safe(node)
        }
    }

    /// node_safe: peers without sequences hear everything on the events lane, and nothing else; without faults once.
    fn node_safe(&self, node: &Node) -> Verdict {
        let heard = self
            .broker
            .heard_on_events
            .iter()
            .filter(|event| self.nodes[event.node].id == node.id);
        let heard: Vec<usize> = heard.map(|event| event.index).collect();
        let once: BTreeSet<usize> = heard.iter().copied().collect();
        let events = node
            .emitted
            .iter()
            .enumerate()
            .filter(|(_, emitted)| emitted.kind == Kind::Events);
        let missing: Vec<usize> = events
            .filter(|(index, emitted)| {
                !once.contains(index) && !emitted.seq.is_some_and(|seq| node.refused.contains(&seq))
            })
            .map(|(index, _)| index)
            .collect();
        if !missing.is_empty() {
            return Err(format!(
                "settle_by_echo: {:?} never published {missing:?}",
                node.id
            ));
        }
        if once
            .iter()
            .any(|index| node.emitted[*index].kind != Kind::Events)
        {
            return Err(format!(
                "node_safe: {:?} put others on the events lane",
                node.id
            ));
        }
        if self.plan.faults.is_empty() && heard.len() != once.len() {
            return Err(format!(
                "node_safe: {:?} published twice without a fault",
                node.id
            ));
        }
        Ok(())
    }
}

/// once_in: what comes of an origin, as an event or as a gap, rises, so nothing comes twice; and it is of that origin, unless
/// somebody speaks in its name.
impl World {
    fn once_in(&self, node: &Node, id: NodeId, heard: &[Heard]) -> Verdict {
        let fail = |what: String| Err(format!("once_in: {:?} of {id:?}: {what}", node.id));
        let is_real = |origin: &Node| origin.id == id && origin.id != node.id;
        let is_forgeable = |origin: &Node| self.plan.victim == Some(origin.place);
        let origins: Vec<&Node> = self.nodes.iter().filter(|node| is_real(node)).collect();
        let may_be_forged = if origins.is_empty() {
            self.plan.is_hostile()
        } else {
            origins.iter().any(|origin| is_forgeable(origin))
        };
        // A peer whose place was forgotten begins anew. Only forged goodbyes bring that about here.
        let is_forgetful = node.core.stats().departed_dropped > 0 && may_be_forged;
        let mut next = 0;
        for heard in heard {
            let Some((from, to)) = self.span(*heard) else {
                return fail(format!("{heard:?} was never synced"));
            };
            let is_right = match heard {
                Heard::Event(event) if event.is_forged() => may_be_forged,
                Heard::Event(event) => origins.iter().any(|origin| origin.index == event.node),
                Heard::Gap(..) => may_be_forged || !origins.is_empty(),
            };
            if !is_right {
                return fail(format!("{heard:?} is not of that origin"));
            }
            if from < next && !is_forgetful {
                return fail(format!("{from}..={to} after {}", next - 1));
            }
            next = to + 1;
        }
        Ok(())
    }

    /// The sequences of something that was heard.
    fn span(&self, heard: Heard) -> Option<(u64, u64)> {
        match heard {
            Heard::Gap(from, to, _) => Some((from, to)),
            Heard::Event(event) if event.is_forged() => {
                Some((event.index as u64, event.index as u64))
            }
            Heard::Event(event) => {
                let seq = self.nodes.get(event.node)?.seq(event)?;
                Some((seq, seq))
            }
        }
    }

    /// all_or_gap: released and given up are all that was sent; nothing is given up if no bound was hit.
    fn all_or_gap(&self, node: &Node, origin: &Node) -> Verdict {
        let fail = |what: String| {
            Err(format!(
                "all_or_gap: {:?} of {:?}: {what}",
                node.id, origin.id
            ))
        };
        let heard = node.heard.get(&origin.id).map_or(&[][..], Vec::as_slice);
        let any_may_go = self.plan.bounds_are_hit || self.plan.is_long_unheard(node.place);
        let may_go = |heard: &&Heard| any_may_go || may_be_missing(origin, **heard);
        if let Some(gap) = heard.iter().find(|heard| !may_go(heard)) {
            return fail(format!("{gap:?}"));
        }
        // What is older than the node can be skipped; a late first contact begins where the log does.
        let synced = origin.emitted.iter();
        let synced = synced.filter(|emitted| emitted.seq.is_some());
        let older = synced.filter(|emitted| emitted.at < node.built).count() as u64;
        let mut spans = heard
            .iter()
            .filter_map(|heard| self.span(*heard))
            .peekable();
        let mut next = match spans.peek() {
            Some((start, _)) if self.plan.bounds_are_hit => older.max(*start),
            _ => older,
        };
        for (from, to) in spans {
            if from > next {
                return fail(format!("expected {next}, found {from}..={to}"));
            }
            next = next.max(to + 1);
        }
        let end = origin.core.log.sent();
        if origin.is_alive && next < end {
            fail(format!("ends at {next} of {end}"))
        } else {
            Ok(())
        }
    }
}

/// The only gaps without a full log or hold: what the broker refused, and the end of an origin that is gone.
fn may_be_missing(origin: &Node, heard: Heard) -> bool {
    match heard {
        Heard::Event(_) => true,
        Heard::Gap(from, to, GapReason::Refused) => {
            (from..=to).all(|seq| origin.refused.contains(&seq))
        }
        Heard::Gap(_, _, GapReason::Departed | GapReason::Unanswered) => !origin.is_alive,
        Heard::Gap(..) => false,
    }
}
