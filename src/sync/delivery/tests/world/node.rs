use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wingbeat_adapter::Lane;

use super::super::super::io::DropReason;
use super::super::super::{
    Body, Config, Core, Delivery, GapReason, Input, Item, LinkId, Message, NodeId, Origin, Output,
    Publish, QuarantineReason, Status, Time,
};
use super::super::plan::Kind;
use super::watch::Watch;

/// An event, as own clients and as peers get it: who emitted it, and which one of its events it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Event {
    pub(in super::super) node: usize,
    pub(in super::super) index: usize,
}

impl Event {
    /// Of no node; its index is the sequence that the forger gave it.
    pub(in super::super) fn forged(seq: u64) -> Self {
        Self {
            node: usize::MAX,
            index: usize::try_from(seq).expect("64 bits"),
        }
    }

    pub(in super::super) const fn is_forged(self) -> bool {
        self.node == usize::MAX
    }
}

impl Body for Event {
    fn service(&self) -> Option<usize> {
        None
    }
}

/// What own clients got of a peer.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Heard {
    Event(Event),
    Gap(u64, u64, GapReason),
}

/// What a node is built from.
pub(super) struct Build {
    pub(super) id: NodeId,
    pub(super) index: usize,
    pub(super) place: usize,
    pub(super) ordered: bool,
    pub(super) seed: u64,
    pub(super) limits: fn(&mut Config),
    pub(super) is_hostile: bool,
}

/// What the shell has to carry out.
pub(super) enum Shell {
    Publish(Publish<Event>),
    Dial(Duration),
    Drop(LinkId),
}

/// One build of one app: a real core, and everything that its clients saw.
pub(in super::super) struct Node {
    pub(in super::super) id: NodeId,
    pub(in super::super) core: Core<Event, Event>,
    /// Which of the cluster's processes it is; a restart has the same place and another id.
    pub(in super::super) place: usize,
    pub(in super::super) is_alive: bool,
    pub(super) built: Time,
    pub(super) link: Option<LinkId>,
    pub(super) conn: Option<usize>,
    pub(super) links: u64,
    pub(super) tick_at: Time,
    pub(super) stalled_until: Time,
    pub(super) inbox: Vec<Input<Event, Event>>,
    pub(in super::super) emitted: Vec<Emitted>,
    pub(in super::super) delivered: Vec<usize>,
    /// What came of each peer, in order.
    pub(in super::super) heard: BTreeMap<NodeId, Vec<Heard>>,
    /// The links that the core gave up.
    pub(in super::super) dropped: Vec<(Time, DropReason)>,
    /// Why messages of others went into quarantine.
    pub(in super::super) quarantined: Vec<QuarantineReason>,
    /// How often the core asked for another id.
    pub(in super::super) renames_asked: u64,
    pub(super) watch: Watch,
    /// Sequences whose echo the core was given.
    echoed: BTreeSet<u64>,
    /// The link that each sequence was last sent on, unless the broker said no.
    sent_on: BTreeMap<u64, LinkId>,
    last_sent: Option<(u64, LinkId)>,
    refused_for_now: BTreeSet<u64>,
    flights: BTreeMap<u64, Vec<Option<u64>>>,
    pub(super) refused: BTreeSet<u64>,
    pub(in super::super) worst_wait: Duration,
    ordered: bool,
    pub(super) index: usize,
    /// Events that were emitted while the shell stood still; their wait is not the core's fault.
    stalls: Vec<(Time, Time)>,
}

#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Emitted {
    pub(in super::super) at: Time,
    pub(in super::super) kind: Kind,
    /// `None` for what stays on the node.
    pub(in super::super) seq: Option<u64>,
}

impl Node {
    pub(super) fn new(now: Time, build: &Build) -> Self {
        let &Build {
            id,
            index,
            place,
            ordered,
            ..
        } = build;
        // A restart has the label of the one before.
        let mut config = Config::new(id, format!("node-{place}"));
        config.seed = build.seed;
        config.delivery = if ordered {
            Delivery::Ordered
        } else {
            Delivery::LocalFirst
        };
        (build.limits)(&mut config);
        Self {
            id,
            core: Core::new(config, now),
            place,
            is_alive: true,
            built: now,
            link: None,
            conn: None,
            links: 0,
            tick_at: now,
            stalled_until: now,
            inbox: Vec::new(),
            emitted: Vec::new(),
            delivered: Vec::new(),
            heard: BTreeMap::new(),
            dropped: Vec::new(),
            quarantined: Vec::new(),
            renames_asked: 0,
            watch: Watch::new(build.is_hostile),
            echoed: BTreeSet::new(),
            sent_on: BTreeMap::new(),
            last_sent: None,
            refused_for_now: BTreeSet::new(),
            flights: BTreeMap::new(),
            refused: BTreeSet::new(),
            worst_wait: Duration::ZERO,
            ordered,
            index,
            stalls: Vec::new(),
        }
    }

    pub(super) fn note_emit(&mut self, now: Time, kind: Kind) -> Event {
        let seq = (kind != Kind::Local).then(|| self.synced() as u64);
        self.emitted.push(Emitted { at: now, kind, seq });
        Event {
            node: self.index,
            index: self.emitted.len() - 1,
        }
    }

    /// The sequence of an own event.
    pub(super) fn seq(&self, event: Event) -> Option<u64> {
        self.emitted.get(event.index)?.seq
    }

    pub(in super::super) fn synced(&self) -> usize {
        self.emitted
            .iter()
            .filter(|emitted| emitted.seq.is_some())
            .count()
    }

    /// How long the shell had a processor since then.
    pub(in super::super) fn awake(&self, since: Time, now: Time) -> Duration {
        let mut awake = now.since(since);
        let mut from = since;
        // They are in the order in which they began.
        for (start, end) in &self.stalls {
            let (start, end) = ((*start).max(from), (*end).min(now));
            awake -= end.since(start);
            from = from.max(end);
        }
        awake
    }

    pub(super) fn stall(&mut self, now: Time, until: Time) {
        self.stalls.push((now, until));
        self.stalled_until = self.stalled_until.max(until);
    }

    /// Hands the core an input, notes what clients see, and returns what is to do.
    pub(super) fn handle(
        &mut self,
        now: Time,
        input: Input<Event, Event>,
    ) -> Result<Vec<Shell>, String> {
        self.note_input(&input);
        self.note_proof(now, &input);
        let was_ready = self.core.status == Status::Ready;
        let outputs: Vec<_> = self.core.handle(now, input).collect();
        let stayed_ready = was_ready
            && !outputs
                .iter()
                .any(|output| matches!(output, Output::Status(_)));
        let mut orders = Vec::new();
        for output in outputs {
            match output {
                Output::Deliver(event) => self.deliver(now, event, stayed_ready)?,
                Output::Release(release) => {
                    let heard = self.heard.entry(release.from).or_default();
                    heard.push(Heard::Event(release.body));
                }
                Output::Gap(gap) => self.gap(gap.origin, gap.range, gap.reason)?,
                Output::Publish(batch) => {
                    self.note_batch(&batch)?;
                    self.note_answers(now, &batch)?;
                    orders.push(Shell::Publish(batch));
                }
                Output::Dial { after } => orders.push(Shell::Dial(after)),
                Output::DropLink { link, reason } => {
                    self.dropped.push((now, reason));
                    orders.push(Shell::Drop(link));
                }
                Output::Quarantine(quarantined)
                    if quarantined.reason == QuarantineReason::Refused =>
                {
                    self.refused.extend(quarantined.seq);
                }
                Output::Quarantine(other) if self.watch.is_hostile => {
                    self.quarantined.push(other.reason);
                }
                Output::Quarantine(other) => return Err(format!("quarantined: {other:?}")),
                Output::Foreign { body } => return Err(format!("foreign: {body:?}")),
                // The shell of the model has no other id to give: what is checked is how a node lives on beside its copy.
                Output::Cloned if self.watch.is_hostile => self.renames_asked += 1,
                Output::Cloned => return Err("somebody has our id".to_owned()),
                Output::Status(_) | Output::Closed => {}
            }
        }
        self.check_proof(now)?;
        self.check_bounds()?;
        Ok(orders)
    }

    fn note_input(&mut self, input: &Input<Event, Event>) {
        match input {
            Input::Received {
                message: Message::Event { wb: Some(wb), .. },
                link,
            } if wb.node == self.id
                && self.listens_to(*link)
                // A sequence that was never given out is somebody else's.
                && wb.seq < self.synced() as u64 =>
            {
                self.echoed.insert(wb.seq);
            }
            Input::Published { batch, failed, .. } => {
                let parts = self.flights.remove(&batch.0).unwrap_or_default();
                for (place, _) in failed {
                    if let Some(seq) = parts[*place] {
                        self.sent_on.remove(&seq);
                        self.refused_for_now.insert(seq);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn listens_to(&self, link: LinkId) -> bool {
        self.core
            .link
            .as_ref()
            .is_some_and(|current| current.id == link)
    }

    /// node_safe, and settle_by_echo: what came back is not sent again, and nothing goes twice on one link unless the
    /// broker said no.
    fn note_batch(&mut self, batch: &Publish<Event>) -> Result<(), String> {
        let mut parts = Vec::new();
        for item in &batch.items {
            self.check_lane(batch.lane, item)?;
            let seq = if let Item::Event { wb, .. } = item {
                Some(wb.seq)
            } else {
                None
            };
            parts.push(seq);
            let Some(seq) = seq else { continue };
            if self.echoed.contains(&seq) {
                return Err(format!("settle_by_echo: {seq} came back and is sent again"));
            }
            if self.sent_on.insert(seq, batch.link) == Some(batch.link) {
                return Err(format!(
                    "settle_by_echo: {seq} goes twice on {:?}",
                    batch.link
                ));
            }
            let is_behind = |(last, link)| last > seq && link == batch.link;
            if !self.refused_for_now.remove(&seq)
                && self
                    .last_sent
                    .replace((seq, batch.link))
                    .is_some_and(is_behind)
            {
                return Err(format!("node_safe: {seq} goes after a later one"));
            }
        }
        self.flights.insert(batch.batch.0, parts);
        Ok(())
    }

    /// The events lane carries nothing but events that foreign peers know; and nothing that came in goes out.
    fn check_lane(&self, lane: Lane, item: &Item<Event>) -> Result<(), String> {
        let (is_event, origin, body) = match item {
            Item::Event { wb, body } => (true, wb.node, Some(*body)),
            Item::Again { wb, body } => (false, wb.node, Some(*body)),
            Item::Control(_) => (false, self.id, None),
        };
        let is_for_all = body.is_some_and(|body| self.emitted[body.index].kind == Kind::Events);
        let is_right = if is_event {
            (lane == Lane::Events) == is_for_all
        } else {
            lane == Lane::Control
        };
        let is_own = origin == self.id && body.is_none_or(|body| body.node == self.index);
        if is_right && is_own {
            Ok(())
        } else {
            Err(format!("node_safe: {item:?} on {lane:?}"))
        }
    }

    /// own_once, never_starved, and `ordered` itself.
    fn deliver(&mut self, now: Time, event: Event, stayed_ready: bool) -> Result<(), String> {
        if event.index != self.delivered.len() {
            return Err(format!(
                "own_once: {} delivered in place of {}",
                event.index,
                self.delivered.len()
            ));
        }
        let is_overfull =
            self.emitted.len() - self.delivered.len() > self.core.config.limits.log_entries;
        self.delivered.push(event.index);
        let emitted = self.emitted[event.index];
        let is_free = emitted
            .seq
            .is_none_or(|seq| self.echoed.contains(&seq) || self.refused.contains(&seq));
        let is_evicted = emitted.seq.is_some_and(|seq| seq < self.core.log.low());
        if self.ordered && stayed_ready && !is_free && !is_evicted && !is_overfull {
            return Err(format!("ordered: {event:?} delivered before its echo"));
        }
        if !self
            .stalls
            .iter()
            .any(|(from, to)| *from <= now && emitted.at <= *to)
        {
            self.worst_wait = self.worst_wait.max(now.since(emitted.at));
        }
        Ok(())
    }

    fn gap(
        &mut self,
        origin: Origin,
        range: Option<(u64, u64)>,
        reason: GapReason,
    ) -> Result<(), String> {
        match (origin, range) {
            (Origin::Node { node, .. }, Some((from, to))) if from <= to => {
                let heard = self.heard.entry(node).or_default();
                heard.push(Heard::Gap(from, to, reason));
                Ok(())
            }
            (Origin::Foreign, None) => Ok(()),
            other => Err(format!("odd gap: {other:?}")),
        }
    }
}
