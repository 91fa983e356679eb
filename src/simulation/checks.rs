use std::collections::BTreeMap;
use std::time::Duration;

use super::node::{Client, Life, Node, Tag};
use super::run::{Verdict, World};
use super::wire::Wire;
use crate::sync::{Gap, GapOrigin, GapReason};

/// The promises, end to end.
impl World {
    pub(super) fn check(&self, has_faults: bool) -> Verdict {
        for node in &self.nodes {
            self.check_node(node)?;
            for origin in self
                .nodes
                .iter()
                .filter(|origin| origin.index != node.index)
            {
                self.all_or_gap(node, origin, has_faults).map_err(|what| {
                    format!("all_or_gap: {} of {}: {what}", node.index, origin.index)
                })?;
            }
            for client in &node.clients {
                self.clients_hear_what_listeners_hear(node, client)
                    .map_err(|what| format!("clients: {}: {what}", node.index))?;
            }
        }
        if self.is_ordered {
            self.check_orders()?;
        }
        self.node_safe(has_faults)
    }

    fn check_node(&self, node: &Node) -> Verdict {
        if let Some(broken) = &node.broken {
            return Err(format!("node {}: {broken}", node.index));
        }
        if let Some(stranger) = node.heard.lock().strangers.first() {
            return Err(format!("node {} heard a stranger: {stranger}", node.index));
        }
        if let Some(app) = node.app() {
            let stats = app.stats();
            let panics = stats.task_panics + stats.listener_panics + stats.publisher_panics;
            if panics > 0 || stats.closed_slow > 0 {
                return Err(format!("node {}: {stats:?}", node.index));
            }
        }
        own_once_and_never_starved(node).map_err(|what| format!("node {}: {what}", node.index))
    }

    /// Released and given up are all that was sent, and disjoint; nothing is given up but what the broker refused and the
    /// end of a node that is gone.
    fn all_or_gap(&self, node: &Node, origin: &Node, has_faults: bool) -> Verdict {
        let mut ranges = self.released(node, origin)?;
        let is_gone = origin.app().is_none();
        for (_, gap) in &node.heard.lock().gaps {
            let Some(range) = range_of(gap, origin)? else {
                continue;
            };
            let is_end =
                is_gone && matches!(gap.reason, GapReason::Departed | GapReason::Unanswered);
            if !is_end && !self.is_refused(origin, range, gap.reason) {
                return Err(format!("gave up {range:?}: {:?}", gap.reason));
            }
            ranges.push(range);
        }
        ranges.sort_unstable();
        if let Some(pair) = ranges.windows(2).find(|pair| pair[0].1 >= pair[1].0) {
            return Err(format!("twice: {pair:?}"));
        }
        if node.app().is_some() {
            is_complete(node, origin, &ranges, has_faults)
        } else {
            Ok(())
        }
    }

    /// The sequences of an origin's events that this node's listeners heard, each as a range.
    fn released(&self, node: &Node, origin: &Node) -> Result<Vec<(u64, u64)>, String> {
        let heard = node.heard.lock();
        let of_origin = heard
            .events
            .iter()
            .filter(|(_, tag)| tag.from == origin.index);
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (_, tag) in of_origin {
            let Some(seq) = origin.seq(tag.n) else {
                return Err(format!("heard {tag:?}, which stays on its node"));
            };
            if ranges.last().is_some_and(|(last, _)| *last >= seq) {
                return Err(format!("heard {seq} after {:?}", ranges.last()));
            }
            ranges.push((seq, seq));
        }
        Ok(ranges)
    }

    fn is_refused(&self, origin: &Node, (from, to): (u64, u64), reason: GapReason) -> bool {
        let id = origin.id.to_string();
        let is_refused = |seq| {
            self.broker
                .wire(|wire| wire.refused.contains(&(id.clone(), seq)))
        };
        reason == GapReason::Refused && (from..=to).all(is_refused)
    }

    /// A client gets what listeners hear from when it connects, but for events that are late and older than the client.
    fn clients_hear_what_listeners_hear(&self, node: &Node, client: &Client) -> Verdict {
        let (heard, got) = (node.heard.lock(), client.got.lock());
        let mut got = got.iter().peekable();
        // The clients of a node that is gone left before it did.
        let may_miss_the_end = node.app().is_none();
        for (_, tag) in heard.events.iter().skip(client.skips) {
            let is_older = tag.from != node.index && self.emitted_at(*tag) < client.opened;
            if got.next_if_eq(&tag).is_none()
                && !is_older
                && !(may_miss_the_end && got.peek().is_none())
            {
                return Err(format!("got {:?} in place of {tag:?}", got.peek()));
            }
        }
        got.next().map_or(Ok(()), |tag| {
            Err(format!("got {tag:?}, which no listener heard then"))
        })
    }

    pub(super) fn emitted_at(&self, tag: Tag) -> tokio::time::Instant {
        self.nodes[tag.from].emitted[tag.n].at
    }

    /// What an observer of the topics saw is what the nodes meant to publish.
    fn node_safe(&self, has_faults: bool) -> Verdict {
        let by_id: BTreeMap<String, &Node> = self
            .nodes
            .iter()
            .map(|node| (node.id.to_string(), node))
            .collect();
        self.broker.wire(|wire| {
            if let Some(broken) = wire.broken.first() {
                return Err(broken.clone());
            }
            for ((id, seq), tag) in &wire.carried {
                let origin = by_id.get(id).filter(|node| node.index == tag.from);
                if origin.and_then(|node| node.seq(tag.n)) != Some(*seq) {
                    return Err(format!("node_safe: {tag:?} travelled as {seq} of {id}"));
                }
            }
            let mut living = self.nodes.iter().filter(|node| node.app().is_some());
            living.try_for_each(|node| all_shared_went_out(node, wire, has_faults))
        })
    }
}

/// Foreign peers heard every event that is for them, unless the broker refused it; without faults once.
fn all_shared_went_out(node: &Node, wire: &Wire, has_faults: bool) -> Verdict {
    for (n, emitted) in node.emitted.iter().enumerate() {
        let Some(seq) = emitted.seq else { continue };
        let sealed = (node.id.to_string(), seq);
        let times = wire.on_events.get(&sealed).copied().unwrap_or(0);
        let is_right = match (emitted.is_shared, has_faults) {
            (true, true) => times > 0 || wire.refused.contains(&sealed),
            (true, false) => times == 1,
            (false, _) => times == 0,
        };
        if !is_right {
            return Err(format!(
                "node_safe: event {n} of {} went {times} times",
                node.index
            ));
        }
    }
    Ok(())
}

/// Own listeners hear every own event once, in the order of the calls, within the echo deadline.
fn own_once_and_never_starved(node: &Node) -> Verdict {
    let heard = node.heard.lock();
    let own = heard
        .events
        .iter()
        .filter(|(_, tag)| tag.from == node.index);
    let mut n_own = 0;
    for (at, tag) in own {
        if tag.n != n_own {
            return Err(format!("own_once: heard {} in place of {n_own}", tag.n));
        }
        n_own += 1;
        let waited = *at - node.emitted[tag.n].at;
        if waited > LONGEST_WAIT {
            return Err(format!("never_starved: {} waited {waited:?}", tag.n));
        }
    }
    let is_killed = matches!(node.life, Life::Killed);
    if n_own < node.emitted.len() && !is_killed {
        return Err(format!("own_once: heard {n_own} of {}", node.emitted.len()));
    }
    Ok(())
}

/// From the first event that happened while the node lived, nothing is missing; what is older can be skipped.
fn is_complete(node: &Node, origin: &Node, ranges: &[(u64, u64)], has_faults: bool) -> Verdict {
    let is_older = |at| at < node.born;
    let synced = origin
        .emitted
        .iter()
        .filter(|emitted| emitted.seq.is_some());
    let mut next = synced.filter(|emitted| is_older(emitted.at)).count() as u64;
    for &(from, to) in ranges {
        if from > next {
            return Err(format!("expected {next}, found {from}..={to}"));
        }
        next = next.max(to + 1);
    }
    // Without faults a node that closes in order takes nothing along, unless the other one hardly knew it.
    let is_owed = match &origin.life {
        Life::Alive(_) => true,
        Life::Closing(at, _) => !has_faults && *at > node.born + Duration::from_secs(5),
        Life::Killed => false,
    };
    if is_owed && next < origin.n_synced() {
        return Err(format!("ends at {next} of {}", origin.n_synced()));
    }
    Ok(())
}

fn range_of(gap: &Gap, origin: &Node) -> Result<Option<(u64, u64)>, String> {
    match (&gap.origin, gap.range) {
        (GapOrigin::Node { node, .. }, Some(range)) if *node == origin.id => Ok(Some(range)),
        (GapOrigin::Node { .. }, Some(_)) | (GapOrigin::Foreign, None) => Ok(None),
        (GapOrigin::Node { .. }, None) if gap.reason == GapReason::Diverged => Ok(None),
        odd => Err(format!("odd gap: {odd:?}")),
    }
}

/// The echo deadline of a second, and what the clock is coarse.
const LONGEST_WAIT: Duration = Duration::from_millis(1_010);
