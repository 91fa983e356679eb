use std::collections::BTreeMap;

use tokio::time::Instant;

use super::node::{Node, Tag};
use super::run::{Verdict, World};
use crate::sync::{Gap, GapReason};

/// An event that the listeners of two nodes heard, and when each did.
struct Both {
    tag: Tag,
    here: Instant,
    there: Instant,
}

impl World {
    /// Where listeners of two nodes heard two events of one service in different orders, one of the nodes is told so
    /// afterwards: from then on its app knows that it may hold another last state.
    pub(super) fn check_orders(&self) -> Verdict {
        for here in &self.nodes {
            let later = self.nodes.iter().skip(here.index + 1);
            for there in later.filter(|there| there.app().is_some() && here.app().is_some()) {
                self.same_order_or_told(here, there)?;
            }
        }
        Ok(())
    }

    fn same_order_or_told(&self, here: &Node, there: &Node) -> Verdict {
        let both = self.heard_by_both(here, there);
        for (at, second) in both.iter().enumerate() {
            let is_swapped = |first: &&Both| {
                first.tag.from != second.tag.from
                    && first.there > second.there
                    && self.path(first.tag) == self.path(second.tag)
            };
            let swapped = both
                .iter()
                .take(at)
                .filter(|first| first.here < second.here);
            for first in swapped.filter(is_swapped) {
                let path = self.path(first.tag);
                if !is_told(here, path, second.here) && !is_told(there, path, first.there) {
                    let (one, other) = (here.index, there.index);
                    return Err(format!(
                        "diverged: {one} heard {:?} before {:?}, {other} did not, and nobody is told",
                        first.tag, second.tag
                    ));
                }
            }
        }
        Ok(())
    }

    /// What happened while both lived, in the order of the first.
    fn heard_by_both(&self, here: &Node, there: &Node) -> Vec<Both> {
        let born = here.born.max(there.born);
        let heard_there: BTreeMap<Tag, Instant> = there
            .heard
            .lock()
            .events
            .iter()
            .map(|(at, tag)| (*tag, *at))
            .collect();
        let both = |(here, tag): &(Instant, Tag)| {
            let there = *heard_there.get(tag)?;
            (self.emitted_at(*tag) > born).then_some(Both {
                tag: *tag,
                here: *here,
                there,
            })
        };
        here.heard.lock().events.iter().filter_map(both).collect()
    }

    fn path(&self, tag: Tag) -> &'static str {
        self.nodes[tag.from].emitted[tag.n].path()
    }
}

fn is_told(node: &Node, path: &str, since: Instant) -> bool {
    let is_it = |gap: &Gap| gap.reason == GapReason::Diverged && gap.path.as_deref() == Some(path);
    let heard = node.heard.lock();
    heard
        .gaps
        .iter()
        .any(|(at, gap)| *at >= since && is_it(gap))
}
