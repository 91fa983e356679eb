//! Sync-out: from an event to its envelope.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wingbeat_adapter::Lane;

use super::SyncOptions;
use super::context::shared_context;
use super::delivery::{Emit, Outgoing};
use super::envelope::Envelope;
use crate::app::registered_path;
use crate::event::Event;

/// An event on its way into sync.
#[derive(Debug)]
pub(crate) struct Emission {
    pub(crate) event: Event,
    /// Whether other nodes are to hear it.
    pub(crate) is_synced: bool,
}

/// Turns events into envelopes.
#[derive(Debug)]
pub(super) struct Outbound {
    node_peers: HashSet<Arc<str>>,
    max_payload: usize,
    is_sealed: bool,
    oversize: AtomicU64,
}

impl Outbound {
    pub(super) fn new(options: &SyncOptions) -> Self {
        Self {
            node_peers: options
                .node_peers
                .iter()
                .map(|path| registered_path(path).into())
                .collect(),
            max_payload: options.max_payload,
            is_sealed: options.sync_secret.is_some(),
            oversize: AtomicU64::new(0),
        }
    }

    /// Writes the envelope of an event. One that is too large stays here: it is checked before it takes a sequence.
    pub(super) fn emit(&self, emission: Emission) -> Emit<Event, Envelope> {
        let Emission { event, is_synced } = emission;
        let sync = is_synced
            .then(|| self.outgoing(&event))
            .filter(|outgoing| self.fits(&event, outgoing));
        Emit { event, sync }
    }

    pub(super) fn oversize(&self) -> u64 {
        self.oversize.load(Ordering::Relaxed)
    }

    fn outgoing(&self, event: &Event) -> Outgoing<Envelope> {
        let lane = if self.node_peers.contains(event.path()) {
            Lane::Events
        } else {
            Lane::Control
        };
        let body = Envelope {
            path: event.path().into(),
            event: event.name().into(),
            data: event.public_data().as_bytes().clone(),
            context: shared_context(event, lane == Lane::Events),
        };
        Outgoing {
            lane,
            size: body.size(self.is_sealed),
            body,
        }
    }

    fn fits(&self, event: &Event, outgoing: &Outgoing<Envelope>) -> bool {
        let (size, limit) = (outgoing.size, self.max_payload);
        if size > limit {
            self.oversize.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                path = event.path(),
                event = event.name(),
                size,
                limit,
                "an event is too large for other nodes"
            );
        }
        size <= limit
    }
}
