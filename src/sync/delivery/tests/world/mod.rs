//! A broker, a network that can hurt, and nodes that are real cores under a small shell, in virtual time.

mod broker;
mod checks;
mod node;
mod watch;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use wingbeat_adapter::Lane;

use super::super::io::BatchId;
use super::super::{
    Emit, Failure, Input, LinkId, Message, NodeId, Outgoing, Publish, Status, Time,
};
use super::lie::Lie;
use super::plan::{Fault, Kind, Plan};
use broker::Broker;
use node::{Build, Shell};
pub(super) use node::{Event, Node};

/// What a run shows: nothing, or the first broken promise.
pub(super) type Verdict = Result<(), String>;

pub(super) struct World {
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    broker: Broker,
    agenda: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    rng: SmallRng,
    plan: Plan,
    broken: Option<String>,
}

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Act {
    Emit {
        node: usize,
        kind: Kind,
    },
    Fault(Fault),
    Heal(Fault),
    Forge(Lie),
    Dial {
        node: usize,
    },
    Tick {
        node: usize,
    },
    Wake {
        node: usize,
    },
    Execute {
        conn: usize,
        batch: Publish<Event>,
    },
    Report {
        conn: usize,
        batch: BatchId,
        failed: Vec<(usize, Failure)>,
    },
    Arrive {
        conn: usize,
        message: Message<Event>,
    },
    Ends {
        conn: usize,
    },
}

struct Entry {
    at: Time,
    order: u64,
    /// Boxed, because a heap moves its entries and a message is large.
    act: Box<Act>,
}

impl World {
    /// Runs a plan to its end and through a quiet time, and checks every promise.
    pub(super) fn run(plan: &Plan) -> Verdict {
        Self::played(plan).check()
    }

    /// The same without the checks that come last.
    pub(super) fn played(plan: &Plan) -> Self {
        let mut world = Self::new(plan);
        world.until(plan.end());
        world.settle();
        world
    }

    /// Nodes to which the plan is going to happen.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut world = Self {
            now: Time::default(),
            nodes: Vec::new(),
            broker: Broker::default(),
            agenda: BinaryHeap::new(),
            entries: 0,
            rng: SmallRng::seed_from_u64(plan.seed),
            plan: plan.clone(),
            broken: None,
        };
        (0..plan.nodes).for_each(|place| world.build(place));
        for &(at, node, kind) in &plan.emits {
            world.plan(at, Act::Emit { node, kind });
        }
        for &(at, fault) in &plan.faults {
            world.plan(at, Act::Fault(fault));
            world.plan(at + fault.lasts(), Act::Heal(fault));
        }
        for (at, lie) in &plan.lies {
            world.plan(*at, Act::Forge(lie.clone()));
        }
        world
    }

    /// Builds a node at a place; one that was there before is killed.
    fn build(&mut self, place: usize) {
        let index = self.nodes.len();
        if let Some(old) = self.nodes.iter_mut().rfind(|node| node.place == place) {
            old.is_alive = false;
            let conn = old.conn;
            self.hang_up(conn);
        }
        let build = Build {
            id: self.id(index),
            index,
            place,
            ordered: self.plan.ordered,
            seed: self.rng.random(),
            limits: self.plan.limits,
            is_hostile: self.plan.is_hostile(),
        };
        self.nodes.push(Node::new(self.now, &build));
        self.plan(self.now, Act::Dial { node: index });
        self.plan(self.now, Act::Tick { node: index });
    }

    /// New with every build, unless somebody copied the memory of a process.
    fn id(&self, index: usize) -> NodeId {
        let original = if self.plan.is_cloned && index == 1 {
            0
        } else {
            index
        };
        NodeId::from_bytes([u8::try_from(original + 1).expect("few nodes"); 16])
    }

    pub(super) fn until(&mut self, end: Time) {
        while self.broken.is_none() {
            if self
                .agenda
                .peek()
                .is_none_or(|Reverse(entry)| entry.at > end)
            {
                break;
            }
            let Some(Reverse(entry)) = self.agenda.pop() else {
                break;
            };
            self.now = self.now.max(entry.at);
            self.act(*entry.act);
        }
        self.now = self.now.max(end);
    }

    /// Runs on until nothing is missing any more, and a little longer, to see what comes too late or twice.
    pub(super) fn settle(&mut self) {
        let end = self.now + Duration::from_secs(60);
        while self.now < end && !self.is_quiet() && self.broken.is_none() {
            self.until(self.now + Duration::from_millis(500));
        }
        self.until(self.now + Duration::from_secs(3));
    }

    fn is_quiet(&self) -> bool {
        let mut living = self.nodes.iter().filter(|node| node.is_alive);
        living.all(|node| self.is_at_rest(node))
    }

    /// Whether a node has nothing to send and nothing to wait for, as far as others can be believed.
    fn is_at_rest(&self, node: &Node) -> bool {
        let knows_all = self.nodes.iter().all(|peer| {
            let row = node.core.peers.iter().find(|(id, _)| **id == peer.id);
            match row {
                _ if peer.id == node.id || self.is_doubtful(node, peer) => true,
                Some((_, row)) if peer.is_alive => row.next() == peer.core.log.sent(),
                Some((_, row)) => !row.has_hole(),
                None => !peer.is_alive,
            }
        });
        let is_settled = node.core.log.unsettled() == node.core.log.end();
        node.core.status == Status::Ready && is_settled && knows_all
    }

    /// Whether what one node hears of the other need not be true.
    fn is_doubtful(&self, node: &Node, peer: &Node) -> bool {
        self.plan.is_doubtful(node.place) || self.plan.is_doubtful(peer.place)
    }

    pub(super) fn plan(&mut self, at: Time, act: Act) {
        self.entries += 1;
        self.agenda.push(Reverse(Entry {
            at: at.max(self.now),
            order: self.entries,
            act: Box::new(act),
        }));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Emit { node, kind } => self.emit(node, kind),
            Act::Fault(fault) => self.hurt(fault),
            Act::Heal(fault) => self.heal(fault),
            Act::Forge(lie) => self.forge(&lie),
            Act::Dial { node } => self.dial(node),
            Act::Tick { node } => self.tick(node),
            Act::Wake { node } => self.wake(node),
            Act::Execute { conn, batch } => self.execute(conn, batch),
            Act::Report {
                conn,
                batch,
                failed,
            } => self.report(conn, batch, failed),
            Act::Arrive { conn, message } => self.arrive(conn, message),
            Act::Ends { conn } => self.ends(conn),
        }
    }

    /// The living node at a place.
    fn at(&self, place: usize) -> usize {
        self.nodes
            .iter()
            .rposition(|node| node.place == place)
            .expect("every place has a node")
    }

    fn emit(&mut self, place: usize, kind: Kind) {
        let index = self.at(place);
        let event = self.nodes[index].note_emit(self.now, kind);
        let lane = if kind == Kind::Events {
            Lane::Events
        } else {
            Lane::Control
        };
        let sync = (kind != Kind::Local).then_some(Outgoing {
            lane,
            body: event,
            size: 100,
        });
        // Calls are served by other threads than the shell's, so a stalled shell does not stop them.
        self.handle(index, Input::Emit(Emit { event, sync }));
    }

    /// Hands an input to a node, or keeps it if the node's shell is stalled.
    fn tell(&mut self, node: usize, input: Input<Event, Event>) {
        if self.nodes[node].stalled_until > self.now {
            self.nodes[node].inbox.push(input);
        } else {
            self.handle(node, input);
        }
    }

    fn handle(&mut self, index: usize, input: Input<Event, Event>) {
        if !self.nodes[index].is_alive {
            return;
        }
        match self.nodes[index].handle(self.now, input) {
            Ok(orders) => orders.into_iter().for_each(|order| self.obey(index, order)),
            Err(broken) => {
                self.broken = self
                    .broken
                    .take()
                    .or(Some(format!("at {:?}: node {index}: {broken}", self.now)))
            }
        }
        let due = self.nodes[index].core.next_deadline();
        if let Some(due) = due.filter(|due| *due < self.nodes[index].tick_at) {
            self.nodes[index].tick_at = due;
            self.plan(due, Act::Tick { node: index });
        }
    }

    fn obey(&mut self, node: usize, order: Shell) {
        match order {
            Shell::Publish(batch) => self.send(node, batch),
            Shell::Dial(after) => self.plan(self.now + after, Act::Dial { node }),
            Shell::Drop(link) if self.nodes[node].link == Some(link) => {
                let conn = self.nodes[node].conn;
                self.hang_up(conn);
                self.nodes[node].link = None;
                self.nodes[node].conn = None;
            }
            Shell::Drop(_) => {}
        }
    }

    fn tick(&mut self, node: usize) {
        if self.nodes[node].tick_at > self.now || self.nodes[node].stalled_until > self.now {
            return;
        }
        self.nodes[node].tick_at = self.now + Duration::from_secs(3600);
        self.handle(node, Input::Tick);
    }

    /// A stalled shell goes on: what is readable first, then the time.
    fn wake(&mut self, node: usize) {
        if self.nodes[node].stalled_until <= self.now {
            for input in std::mem::take(&mut self.nodes[node].inbox) {
                self.handle(node, input);
            }
            self.nodes[node].tick_at = self.now;
            self.tick(node);
        }
    }

    fn dial(&mut self, node: usize) {
        if !self.nodes[node].is_alive {
            return;
        }
        match self.connect(node) {
            Some(conn) => {
                let link = LinkId(self.nodes[node].links);
                self.nodes[node].links += 1;
                self.nodes[node].link = Some(link);
                self.nodes[node].conn = Some(conn);
                self.tell(node, Input::LinkUp { link });
            }
            None => self.tell(node, Input::DialFailed),
        }
    }

    /// A time on the wire.
    fn latency(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(200..5_000))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
