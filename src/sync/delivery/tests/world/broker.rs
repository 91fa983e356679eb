use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use wingbeat_adapter::Lane;

use super::super::super::io::BatchId;
use super::super::super::{Failure, Input, Item, Message, Publish, Time};
use super::super::lie::Lie;
use super::super::plan::Fault;
use super::{Act, Event, World};

/// A pub/sub broker that keeps nothing: who is subscribed hears, once, in order per lane.
#[derive(Default)]
pub(super) struct Broker {
    is_down: bool,
    is_frozen: bool,
    /// What a frozen broker does when it thaws, also for connections that are closed by then.
    backlog: Vec<Act>,
    conns: Vec<Conn>,
    refuses: bool,
    lag: Option<(Lane, Duration)>,
    /// Places that cannot connect.
    pub(super) cut: BTreeSet<usize>,
    deaf: BTreeSet<usize>,
    mute: BTreeSet<usize>,
    alone: BTreeSet<usize>,
    demoted: BTreeSet<usize>,
    /// What was published on the events lane: origin and index, as a peer without sequences hears it.
    pub(super) heard_on_events: Vec<Event>,
}

struct Conn {
    node: usize,
    /// The broker still sends to it.
    is_subscribed: bool,
    /// The node still reads from it.
    is_open: bool,
    is_deaf: bool,
    mute: Option<Mute>,
    /// Messages that the connection will lose.
    loses: u64,
    /// When the last message of each lane arrives, which keeps a lane in order.
    last: [Time; 2],
}

/// How a connection can fail to publish.
#[derive(Clone, Copy)]
enum Mute {
    /// Every publish is fine and comes nowhere.
    Swallows,
    /// No publish ever returns.
    Hangs,
}

impl Broker {
    fn reaches(&self, origin: Option<usize>, place: usize) -> bool {
        let is_apart = |place: usize| self.alone.contains(&place);
        match origin {
            Some(origin) if origin == place => true,
            Some(origin) => {
                !is_apart(origin) && !is_apart(place) && !self.demoted.contains(&origin)
            }
            None => !is_apart(place),
        }
    }
}

impl World {
    pub(super) fn connect(&mut self, node: usize) -> Option<usize> {
        let place = self.nodes[node].place;
        let broker = &self.broker;
        if broker.is_down || broker.is_frozen || broker.cut.contains(&place) {
            return None;
        }
        let mute = broker
            .mute
            .contains(&place)
            .then(|| [Mute::Swallows, Mute::Hangs][self.rng.random_range(0..2)]);
        let is_deaf = broker.deaf.contains(&place);
        let conn = Conn {
            node,
            is_subscribed: true,
            is_open: true,
            is_deaf,
            mute,
            loses: 0,
            last: [self.now; 2],
        };
        self.broker.conns.push(conn);
        Some(self.broker.conns.len() - 1)
    }

    pub(super) fn hang_up(&mut self, conn: Option<usize>) {
        let Some(conn) = conn else { return };
        self.broker.conns[conn].is_open = false;
        self.broker.conns[conn].is_subscribed &= self.broker.is_frozen;
    }

    pub(super) fn send(&mut self, node: usize, batch: Publish<Event>) {
        let Some(conn) = self.nodes[node]
            .conn
            .filter(|_| self.nodes[node].link == Some(batch.link))
        else {
            return;
        };
        match self.broker.conns[conn].mute {
            Some(Mute::Hangs) => {}
            Some(Mute::Swallows) => {
                let at = self.now + self.latency();
                self.plan(
                    at,
                    Act::Report {
                        conn,
                        batch: batch.batch,
                        failed: Vec::new(),
                    },
                );
            }
            None => {
                let at = self.now + self.latency();
                self.plan(at, Act::Execute { conn, batch });
            }
        }
    }

    pub(super) fn execute(&mut self, conn: usize, batch: Publish<Event>) {
        if self.broker.is_frozen {
            return self.broker.backlog.push(Act::Execute { conn, batch });
        }
        let is_lost = self.broker.is_down
            || self
                .broker
                .cut
                .contains(&self.nodes[self.broker.conns[conn].node].place);
        if is_lost {
            return;
        }
        let mut failed = Vec::new();
        for (place, item) in batch.items.into_iter().enumerate() {
            let failure = self.refusal(&item);
            // An element that failed for the moment may have been executed all the same.
            let is_executed = failure.is_none()
                || (failure == Some(Failure::Transient) && self.rng.random_bool(0.3));
            failed.extend(failure.map(|failure| (place, failure)));
            if is_executed {
                self.fan_out(conn, batch.lane, item);
            }
        }
        let at = self.now + self.latency();
        self.plan(
            at,
            Act::Report {
                conn,
                batch: batch.batch,
                failed,
            },
        );
    }

    fn refusal(&mut self, item: &Item<Event>) -> Option<Failure> {
        if !self.broker.refuses {
            return None;
        }
        let dice = self.rng.random_range(0..100);
        match item {
            Item::Event { .. } if dice < 5 => Some(Failure::Permanent),
            _ if dice < 25 => Some(Failure::Transient),
            _ => None,
        }
    }

    fn fan_out(&mut self, from: usize, lane: Lane, item: Item<Event>) {
        if let (Lane::Events, Item::Event { body, .. }) = (lane, &item) {
            self.broker.heard_on_events.push(*body);
        }
        let origin = self.nodes[self.broker.conns[from].node].place;
        let message = match item {
            Item::Event { wb, body } => Message::Event {
                wb: Some(wb),
                body,
                size: 100,
            },
            Item::Again { wb, body } => Message::Again {
                wb,
                body,
                size: 100,
            },
            Item::Control(control) => Message::Control(control),
        };
        self.reach(Some(origin), lane, &message);
    }

    /// Somebody publishes who is none of the nodes.
    pub(super) fn forge(&mut self, lie: &Lie) {
        let ids: Vec<_> = (0..self.plan.nodes)
            .map(|place| self.nodes[self.at(place)].id)
            .collect();
        let message = lie.message(&ids, self.plan.victim);
        let lane = if matches!(message, Message::Event { .. }) {
            Lane::Events
        } else {
            Lane::Control
        };
        if !self.broker.is_down && !self.broker.is_frozen {
            self.reach(None, lane, &message);
        }
    }

    /// Sends a message of a place to all that it reaches.
    fn reach(&mut self, origin: Option<usize>, lane: Lane, message: &Message<Event>) {
        for conn in 0..self.broker.conns.len() {
            let target = &self.broker.conns[conn];
            let place = self.nodes[target.node].place;
            if target.is_subscribed && !target.is_deaf && self.broker.reaches(origin, place) {
                self.forward(conn, lane, message.clone());
            }
        }
    }

    fn forward(&mut self, conn: usize, lane: Lane, message: Message<Event>) {
        let lag = self
            .broker
            .lag
            .filter(|(slow, _)| *slow == lane)
            .map_or(Duration::ZERO, |(_, lag)| lag);
        let arrives = self.now + self.latency() + lag;
        let last = &mut self.broker.conns[conn].last[usize::from(lane == Lane::Control)];
        *last = arrives.max(*last);
        let at = *last;
        self.plan(at, Act::Arrive { conn, message });
    }

    pub(super) fn report(&mut self, conn: usize, batch: BatchId, failed: Vec<(usize, Failure)>) {
        let node = self.broker.conns[conn].node;
        if let Some(link) = self.nodes[node]
            .link
            .filter(|_| self.broker.conns[conn].is_open)
        {
            self.tell(
                node,
                Input::Published {
                    link,
                    batch,
                    failed,
                },
            );
        }
    }

    pub(super) fn arrive(&mut self, conn: usize, message: Message<Event>) {
        let target = &mut self.broker.conns[conn];
        let node = target.node;
        let Some(link) = self.nodes[node]
            .link
            .filter(|_| target.is_open && !target.is_deaf)
        else {
            return;
        };
        if target.loses > 0 {
            target.loses -= 1;
            return self.tell(node, Input::Lost { link, n: 1 });
        }
        self.tell(node, Input::Received { link, message });
    }

    /// The node sees that its connection is over.
    pub(super) fn ends(&mut self, conn: usize) {
        let node = self.broker.conns[conn].node;
        if !std::mem::replace(&mut self.broker.conns[conn].is_open, false) {
            return;
        }
        if let Some(link) = self.nodes[node].link.take() {
            self.nodes[node].conn = None;
            self.tell(node, Input::LinkDown { link });
        }
    }

    pub(super) fn hurt(&mut self, fault: Fault) {
        let place = fault.place();
        match fault {
            Fault::Cut { .. } => _ = (self.broker.cut.insert(place), self.end_all(Some(place))),
            Fault::Deaf { .. } => {
                _ = (
                    self.broker.deaf.insert(place),
                    self.each_conn(place, |conn| conn.is_deaf = true),
                )
            }
            Fault::Mute { hangs, .. } => {
                let mute = if hangs { Mute::Hangs } else { Mute::Swallows };
                self.broker.mute.insert(place);
                self.each_conn(place, |conn| conn.mute = Some(mute));
            }
            Fault::Alone { .. } => _ = self.broker.alone.insert(place),
            Fault::Demoted { .. } => _ = self.broker.demoted.insert(place),
            Fault::Kill { .. } => _ = (self.broker.is_down = true, self.end_all(None)),
            Fault::Freeze { .. } => self.broker.is_frozen = true,
            Fault::Stall { span, .. } => {
                let node = self.at(place);
                self.nodes[node].stall(self.now, self.now + span);
                self.plan(self.now + span, Act::Wake { node });
            }
            Fault::Lag { control, by, .. } => {
                self.broker.lag = Some((if control { Lane::Control } else { Lane::Events }, by));
            }
            Fault::Lose { n, .. } => self.each_conn(place, |conn| conn.loses += n),
            Fault::Refuse { .. } => self.broker.refuses = true,
            Fault::Restart { .. } => self.build(place),
        }
    }

    pub(super) fn heal(&mut self, fault: Fault) {
        let place = fault.place();
        match fault {
            Fault::Cut { .. } => _ = self.broker.cut.remove(&place),
            Fault::Deaf { .. } => _ = self.broker.deaf.remove(&place),
            Fault::Mute { .. } => _ = self.broker.mute.remove(&place),
            Fault::Alone { .. } => _ = self.broker.alone.remove(&place),
            Fault::Demoted { .. } => _ = self.broker.demoted.remove(&place),
            Fault::Kill { .. } => self.broker.is_down = false,
            Fault::Freeze { .. } => self.thaw(),
            Fault::Lag { .. } => self.broker.lag = None,
            Fault::Refuse { .. } => self.broker.refuses = false,
            Fault::Stall { .. } | Fault::Lose { .. } | Fault::Restart { .. } => {}
        }
    }

    fn thaw(&mut self) {
        self.broker.is_frozen = false;
        for act in std::mem::take(&mut self.broker.backlog) {
            self.act(act);
        }
        for conn in self.broker.conns.iter_mut().filter(|conn| !conn.is_open) {
            conn.is_subscribed = false;
        }
    }

    fn end_all(&mut self, place: Option<usize>) {
        for conn in 0..self.broker.conns.len() {
            let node = self.broker.conns[conn].node;
            let is_meant = place.is_none_or(|place| self.nodes[node].place == place);
            if is_meant && self.broker.conns[conn].is_open {
                self.broker.conns[conn].is_subscribed = false;
                let at = self.now + self.latency() * 8;
                self.plan(at, Act::Ends { conn });
            }
        }
    }

    fn each_conn(&mut self, place: usize, mut change: impl FnMut(&mut Conn)) {
        let nodes = &self.nodes;
        self.broker
            .conns
            .iter_mut()
            .filter(|conn| nodes[conn.node].place == place)
            .for_each(&mut change);
    }
}
