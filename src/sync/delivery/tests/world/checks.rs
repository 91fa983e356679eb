use std::collections::BTreeSet;
use std::time::Duration;

use super::super::super::{GapReason, NodeId};
use super::super::plan::{Kind, Plan};
use super::{Event, Node, Verdict, World};

/// The promises, after the quiet time.
impl World {
    pub(in super::super) fn check(&mut self, plan: &Plan) -> Verdict {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        for node in &self.nodes {
            for origin in self.nodes.iter().filter(|origin| origin.id != node.id) {
                once_in(node, origin)?;
                if node.is_alive {
                    all_or_gap(node, origin, plan.bounds_are_hit)?;
                }
            }
            no_strangers(node, &self.nodes)?;
        }
        self.nodes
            .iter()
            .filter(|node| node.is_alive)
            .try_for_each(|node| self.check_own(node, plan))
    }

    fn check_own(&self, node: &Node, plan: &Plan) -> Verdict {
        if node.delivered.len() != node.emitted.len() {
            return Err(format!(
                "own_once: {:?} heard {} of {}",
                node.id,
                node.delivered.len(),
                node.emitted.len()
            ));
        }
        if node.worst_wait > Duration::from_secs(1) {
            return Err(format!(
                "never_starved: {:?} waited {:?}",
                node.id, node.worst_wait
            ));
        }
        if plan.bounds_are_hit {
            Ok(())
        } else {
            self.node_safe(node, plan)
        }
    }

    /// node_safe: peers without sequences hear everything on the events lane, and nothing else; without faults once.
    fn node_safe(&self, node: &Node, plan: &Plan) -> Verdict {
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
        if plan.faults.is_empty() && heard.len() != once.len() {
            return Err(format!(
                "node_safe: {:?} published twice without a fault",
                node.id
            ));
        }
        Ok(())
    }
}

/// once_in: every event of the origin at most once, rising.
fn once_in(node: &Node, origin: &Node) -> Verdict {
    let fail = |what: String| Err(format!("once_in: {:?} of {:?}: {what}", node.id, origin.id));
    let Some(released) = node.released.get(&origin.id) else {
        return Ok(());
    };
    let is_synced = |event: &Event| event.node == origin.index && origin.seq(*event).is_some();
    if let Some(wrong) = released.iter().find(|event| !is_synced(event)) {
        return fail(format!("{wrong:?} is not of that origin"));
    }
    match released
        .windows(2)
        .find(|pair| pair[0].index >= pair[1].index)
    {
        Some(pair) => fail(format!("heard {pair:?}")),
        None => Ok(()),
    }
}

/// all_or_gap: released and given up are all that was sent, and disjoint; nothing is given up if no bound was hit.
fn all_or_gap(node: &Node, origin: &Node, bounds_are_hit: bool) -> Verdict {
    let fail = |what: String| {
        Err(format!(
            "all_or_gap: {:?} of {:?}: {what}",
            node.id, origin.id
        ))
    };
    let gaps = node.gaps.get(&origin.id).into_iter().flatten();
    let released = node.released.get(&origin.id).into_iter().flatten();
    let seqs = released.filter_map(|event| origin.seq(*event));
    let mut ranges: Vec<(u64, u64)> = seqs.map(|seq| (seq, seq)).collect();
    for &(from, to, reason) in gaps {
        let is_refused =
            reason == GapReason::Refused && (from..=to).all(|seq| origin.refused.contains(&seq));
        let is_end =
            !origin.is_alive && matches!(reason, GapReason::Departed | GapReason::Unanswered);
        if !bounds_are_hit && !is_refused && !is_end {
            return fail(format!("gave up {from}..={to}: {reason:?}"));
        }
        ranges.push((from, to));
    }
    ranges.sort_unstable();
    if let Some(pair) = ranges.windows(2).find(|pair| pair[0].1 >= pair[1].0) {
        return fail(format!("twice: {pair:?}"));
    }
    // What is older than the node can be skipped; a late first contact begins where the log does.
    let older = origin
        .emitted
        .iter()
        .filter(|emitted| emitted.seq.is_some() && emitted.at < node.built)
        .count() as u64;
    let start = ranges.first().map_or(0, |(from, _)| *from);
    let mut next = if bounds_are_hit {
        older.max(start)
    } else {
        older
    };
    for (from, to) in ranges {
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

fn no_strangers(node: &Node, nodes: &[Node]) -> Verdict {
    let is_known = |id: &NodeId| {
        nodes
            .iter()
            .any(|other| other.id == *id && other.id != node.id)
    };
    if node.released.keys().chain(node.gaps.keys()).all(is_known) {
        Ok(())
    } else {
        Err("heard a stranger".to_owned())
    }
}
