//! The delivery core behind its lock, and what its outputs lead to.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
#[cfg(not(test))]
use rand::random;
use smallvec::SmallVec;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::delivery::{
    self, Config, Core, Emit, Gap, Input, LinkId, NodeId, Output, PeerStats, Publish,
    QuarantineReason, Quarantined, Status, Time,
};
use super::envelope::Envelope;
use super::inbound::Inbound;
use super::outbound::{Emission, Outbound};
use super::quarantine::Reason;
use super::seal::Gate;
use super::services::Services;
use super::{Delivery, SyncOptions};
use crate::channels::Dispatch;
use crate::event::Event;
#[cfg(test)]
use crate::simulation::random;

/// The core with everything that its outputs reach; calls and the supervisor share it.
///
/// Outputs are applied under the lock that guards the core, so that own clients and the broker see one order.
pub(super) struct Shell {
    core: Mutex<Core<Event, Envelope>>,
    built: Instant,
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    pub(super) gate: Gate,
    pub(super) dispatch: Dispatch,
    status: watch::Sender<Status>,
    was_ready: AtomicBool,
    orders: Mutex<Orders>,
    /// Wakes the supervisor when there are new orders.
    pub(super) ordered: Notify,
    /// Wakes its publishing half when there is a batch.
    pub(super) batch_ordered: Notify,
    gaps_dropped: AtomicU64,
}

/// What the supervisor has to do next.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) publish: Option<Publish<Envelope>>,
    pub(super) dial_at: Option<Instant>,
    pub(super) drop: Option<LinkId>,
    pub(super) is_closed: bool,
    /// Gaps on their way to the app's own code, which must not run under the lock. At most [`MAX_GAPS`]; further ones are
    /// only counted.
    pub(super) gaps: VecDeque<Gap>,
}

impl Shell {
    pub(super) fn new(
        name: &str,
        options: &SyncOptions,
        services: Services,
        dispatch: Dispatch,
    ) -> Self {
        let services = Arc::new(services);
        let orders = Orders {
            dial_at: Some(Instant::now()),
            ..Orders::default()
        };
        let config = config(name, options, &services);
        let gate = Gate::new(options, Arc::clone(&services), config.node);
        Self {
            core: Mutex::new(Core::new(config, Time::default())),
            built: Instant::now(),
            outbound: Outbound::new(options, services),
            inbound: Inbound::default(),
            gate,
            dispatch,
            status: watch::Sender::new(Status::Connecting),
            was_ready: AtomicBool::new(false),
            orders: Mutex::new(orders),
            ordered: Notify::new(),
            batch_ordered: Notify::new(),
            gaps_dropped: AtomicU64::new(0),
        }
    }

    /// Tells the core what happened and carries out what follows.
    pub(super) fn handle(&self, input: Input<Event, Envelope>) {
        let mut core = self.core.lock();
        self.step(&mut core, input);
    }

    /// Takes events into the sequence, all of them side by side.
    pub(super) fn emit(&self, emissions: impl Iterator<Item = Emission>) {
        // Most calls have one event.
        let emits: SmallVec<[Emit<Event, Envelope>; 1]> = emissions
            .map(|emission| self.outbound.emit(emission))
            .collect();
        let mut core = self.core.lock();
        for emit in emits {
            self.step(&mut core, Input::Emit(emit));
        }
    }

    /// Takes the next order that `pick` finds.
    pub(super) fn order<T>(&self, pick: impl FnOnce(&mut Orders) -> Option<T>) -> Option<T> {
        pick(&mut self.orders.lock())
    }

    /// Returns when the core wants to be ticked.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.core
            .lock()
            .next_deadline()
            .map(|time| self.built + time.since(Time::default()))
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(super) fn was_ready(&self) -> bool {
        self.was_ready.load(Ordering::Relaxed)
    }

    pub(super) fn stats(&self) -> delivery::Stats {
        self.core.lock().stats()
    }

    pub(super) fn peers(&self) -> Vec<PeerStats> {
        self.core.lock().peers()
    }

    pub(super) fn gaps_dropped(&self) -> u64 {
        self.gaps_dropped.load(Ordering::Relaxed)
    }

    fn step(&self, core: &mut Core<Event, Envelope>, input: Input<Event, Envelope>) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            for output in core.handle(Time::at(self.built.elapsed()), input) {
                if matches!(output, Output::Cloned) {
                    let node = new_identity();
                    self.gate.know(node);
                    next = Some(Input::Rename(node));
                }
                self.apply(output);
            }
        }
    }

    fn apply(&self, output: Output<Event, Envelope>) {
        match output {
            Output::Deliver(event) => self.hear(Some(event)),
            Output::Release(release) => self.hear(self.inbound.released(release)),
            Output::Foreign { body } => self.hear(self.inbound.foreign(body)),
            Output::Status(status) => self.set_status(status),
            Output::Quarantine(quarantined) => self.quarantine(&quarantined),
            Output::Publish(publish) => {
                self.orders.lock().publish = Some(publish);
                self.batch_ordered.notify_one();
            }
            Output::Dial { after } => {
                self.direct(|orders| orders.dial_at = Some(Instant::now() + after))
            }
            Output::DropLink { link, reason } => {
                tracing::warn!(?reason, "the link to the broker is dropped");
                self.direct(|orders| orders.drop = Some(link));
            }
            Output::Gap(gap) => self.note_gap(gap),
            // The core has its answer by then.
            Output::Cloned => {}
            Output::Closed => self.direct(|orders| orders.is_closed = true),
        }
    }

    fn hear(&self, event: Option<Event>) {
        if let Some(event) = event {
            self.dispatch.push(event);
        }
    }

    fn direct(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders.lock());
        self.ordered.notify_one();
    }

    fn set_status(&self, status: Status) {
        tracing::info!(%status, "sync");
        self.was_ready
            .fetch_or(status == Status::Ready, Ordering::Relaxed);
        self.status.send_replace(status);
    }

    fn note_gap(&self, gap: Gap) {
        tracing::warn!(origin = ?gap.origin, range = ?gap.range, reason = ?gap.reason, "events are missing");
        self.direct(|orders| {
            if orders.gaps.len() < MAX_GAPS {
                orders.gaps.push_back(gap);
            } else {
                self.gaps_dropped.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    fn quarantine(&self, quarantined: &Quarantined<Envelope>) {
        let Quarantined {
            reason,
            node,
            seq,
            body,
        } = quarantined;
        let path = body.as_ref().map_or("", |body| &*body.path);
        let data = body.as_ref().map_or(&[][..], |body| &body.data);
        self.inbound.quarantine.put(
            reason_of(*reason),
            format_args!("node {node}, seq {seq:?}, service '{path}'"),
            data,
        );
    }
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell")
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}

fn new_identity() -> NodeId {
    let node = NodeId::from_bytes(random());
    tracing::error!(%node, "another node has the id of this one, which goes on under a new one: was a running process copied?");
    node
}

fn config(name: &str, options: &SyncOptions, services: &Services) -> Config {
    let mut config = Config::new(NodeId::from_bytes(random()), name);
    config.seed = random();
    config.services = services.paths();
    config.codec = options.codec.to_string();
    config.delivery = match options.delivery {
        Delivery::Ordered => delivery::Delivery::Ordered,
        Delivery::LocalFirst => delivery::Delivery::LocalFirst,
    };
    config.limits.log_entries = options.log_events;
    config.limits.log_bytes = options.log_bytes;
    config.limits.log_age = options.log_age;
    config
}

fn reason_of(reason: QuarantineReason) -> Reason {
    match reason {
        QuarantineReason::ImplausibleSeq => Reason::ImplausibleSeq,
        QuarantineReason::ClonedIdentity => Reason::ClonedIdentity,
        QuarantineReason::Version => Reason::Version,
        QuarantineReason::Codec => Reason::Codec,
        QuarantineReason::TooManyPeers => Reason::TooManyPeers,
        QuarantineReason::Refused => Reason::Refused,
    }
}

const MAX_GAPS: usize = 1_024;
