use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};

use super::broker::{Broker, Way};
use super::node::{Life, Node};
use super::plan::{Act, Plan, millis};
use super::{START, seed_identities};
use crate::Leftover;
use crate::sync::{NodeId, Status};

/// A cluster at work.
pub(super) struct World {
    pub(super) broker: Broker,
    pub(super) nodes: Vec<Node>,
    pub(super) start: Instant,
    seed: u64,
    pub(super) is_ordered: bool,
}

/// What was broken, if anything was.
pub(super) type Verdict = Result<(), String>;

impl World {
    /// Runs a plan in virtual time, lets the cluster come to rest, checks every promise, and shuts down what is left.
    pub(super) fn run(plan: &Plan) -> Verdict {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let broker = Broker::new(plan.seed);
            tokio::spawn(broker.clone().run());
            START.set(Some(Instant::now()));
            let mut world = Self {
                broker,
                nodes: Vec::new(),
                start: Instant::now(),
                seed: plan.seed,
                is_ordered: plan.is_ordered,
            };
            world.play(plan).await;
            let came_to_rest = world.rest().await;
            world.check(plan.has_faults())?;
            came_to_rest?;
            world.end(plan.has_faults()).await
        })
    }

    async fn play(&mut self, plan: &Plan) {
        let mut healed_at = self.start;
        for (at, act) in plan.timeline() {
            let at = self.start + millis(at);
            sleep_until(at).await;
            tracing::debug!(?act, "simulation");
            self.act(act).await;
            healed_at = at;
        }
        sleep_until(healed_at + FIRST_REST).await;
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Emit(place, what) => {
                if let Some(node) = self.at(place) {
                    node.emit(what).await;
                }
            }
            Act::Client(place) => self.at(place).map_or((), Node::connect_client),
            Act::Hurt(fault, _) => self.broker.hurt(fault),
            Act::Heal(fault) => self.broker.heal(fault),
            Act::Build(place) => self.build(place),
            Act::Kill(place) => self.at(place).map_or((), Node::kill),
            Act::Close(place) => self.at(place).map_or((), Node::close),
        }
    }

    /// The node that lives at a place.
    fn at(&mut self, place: usize) -> Option<&mut Node> {
        let lives_there = |node: &&mut Node| node.place == place && node.app().is_some();
        self.nodes.iter_mut().find(lives_there)
    }

    fn build(&mut self, place: usize) {
        if self.at(place).is_some() {
            return;
        }
        let index = self.nodes.len();
        let id = NodeId::from_bytes(seed_identities(self.seed << 8 | index as u64));
        let way = Way {
            broker: self.broker.clone(),
            place,
        };
        self.nodes
            .push(Node::build(index, id, way, self.is_ordered));
    }

    /// Waits until every node is ready and has nothing to send or to ask for, and then for the last hellos.
    async fn rest(&self) -> Verdict {
        let give_up_at = Instant::now() + LONGEST_REST;
        while !self.is_quiet() {
            if Instant::now() > give_up_at {
                return Err("the cluster does not come to rest".to_owned());
            }
            sleep(millis(500)).await;
        }
        sleep(LAST_REST).await;
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        let mut apps = self.nodes.iter().filter_map(Node::app);
        apps.all(|app| {
            let stats = app.sync().stats().delivery;
            let has_work = stats.unsettled > 0 || stats.holes > 0 || stats.waiting > 0;
            app.sync().status() == Status::Ready && !has_work
        })
    }

    /// Shuts every node down. Nothing is to be left: no event, no task, no client, no link.
    async fn end(&mut self, has_faults: bool) -> Verdict {
        let places: Vec<usize> = self.nodes.iter().map(|node| node.place).collect();
        for place in places {
            if let Some(node) = self.at(place) {
                node.close();
            }
        }
        let n_living = self.nodes.len();
        let closing = self.nodes.drain(..).map(|node| async move {
            match node.life {
                Life::Closing(at, closing) => Some((node.index, at, closing.await)),
                Life::Alive(_) | Life::Killed => None,
            }
        });
        for (index, at, leftover) in join_all(closing).await.into_iter().flatten() {
            let is_left = leftover.as_ref().ok() != Some(&Leftover::default());
            if is_left && (!has_faults || at > self.start + millis(15_000)) {
                return Err(format!(
                    "closing: node {index} of {n_living} left {leftover:?}"
                ));
            }
        }
        match self.broker.links() {
            0 => Ok(()),
            n => Err(format!("closing: {n} links are left")),
        }
    }
}

/// A deaf or mute link is found within two intervals of hellos and a second, and dialled again within five.
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(60);
const LAST_REST: Duration = Duration::from_secs(6);
