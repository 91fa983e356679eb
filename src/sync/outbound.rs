//! Sync-out: from an event to its envelope.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use wingbeat_adapter::Lane;

use super::SyncOptions;
use super::codec::{BoxError, Codec};
use super::context::shared_context;
use super::delivery::{Emit, Outgoing};
use super::envelope::Envelope;
use super::services::Services;
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
    services: Arc<Services>,
    node_peers: HashSet<Arc<str>>,
    /// The lower one of the option's and the broker's limit.
    max_payload: AtomicUsize,
    is_sealed: bool,
    codec: Codec,
    /// Where the text of envelopes lies, one behind the other. They are kept for minutes; among what lives for a moment
    /// they would leave memory full of holes.
    block: Mutex<BytesMut>,
    oversize: AtomicU64,
    unwritable: AtomicU64,
}

impl Outbound {
    pub(super) fn new(options: &SyncOptions, services: Arc<Services>) -> Self {
        Self {
            services,
            node_peers: options
                .node_peers
                .iter()
                .map(|path| registered_path(path).into())
                .collect(),
            max_payload: AtomicUsize::new(options.max_payload),
            is_sealed: options.sync_secret.is_some(),
            codec: options.codec.clone(),
            block: Mutex::new(BytesMut::with_capacity(BLOCK)),
            oversize: AtomicU64::new(0),
            unwritable: AtomicU64::new(0),
        }
    }

    /// Writes the envelope of an event. One that is too large stays here: it is checked before it takes a sequence.
    pub(super) fn emit(&self, emission: Emission) -> Emit<Event, Envelope> {
        let Emission { event, is_synced } = emission;
        let sync = is_synced
            .then(|| self.outgoing(&event))
            .flatten()
            .filter(|outgoing| self.fits(&event, outgoing));
        Emit { event, sync }
    }

    /// Notes the longest payload that the present broker takes.
    pub(super) fn limit(&self, max_payload: usize) {
        self.max_payload.store(max_payload, Ordering::Relaxed);
    }

    pub(super) fn oversize(&self) -> u64 {
        self.oversize.load(Ordering::Relaxed)
    }

    pub(super) fn unwritable(&self) -> u64 {
        self.unwritable.load(Ordering::Relaxed)
    }

    fn outgoing(&self, event: &Event) -> Option<Outgoing<Envelope>> {
        let lane = if self.node_peers.contains(event.path()) {
            Lane::Events
        } else {
            Lane::Control
        };
        let (path, name) = event.names();
        let mut block = self.block.lock();
        let body = Envelope {
            path: Arc::clone(path),
            service: self.services.at(event.place()),
            event: Arc::clone(name),
            data: kept(&mut block, event),
            context: shared_context(&mut block, event, lane == Lane::Events),
            trace: event.trace(),
            typed: None,
        };
        drop(block);
        let size = self.size(&body)?;
        Some(Outgoing { lane, body, size })
    }

    /// Returns an upper bound of what the envelope takes; `None` if the codec can not write it.
    fn size(&self, body: &Envelope) -> Option<usize> {
        if self.codec.is_json() {
            return Some(body.size(self.is_sealed));
        }
        let dates = self.services.dates(body.service);
        let written = self.codec.write(&body.widest(), dates);
        let size = written.map(|written| written.len());
        size.map_err(|error| self.note_unwritable(body, &error))
            .ok()
    }

    fn note_unwritable(&self, body: &Envelope, error: &BoxError) {
        self.unwritable.fetch_add(1, Ordering::Relaxed);
        let (path, event, codec) = (&*body.path, &*body.event, &self.codec);
        tracing::warn!(path, event, %codec, %error, "an event can not be written for other nodes");
    }

    fn fits(&self, event: &Event, outgoing: &Outgoing<Envelope>) -> bool {
        let (size, limit) = (outgoing.size, self.max_payload.load(Ordering::Relaxed));
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

fn kept(block: &mut BytesMut, event: &Event) -> Bytes {
    block.extend_from_slice(event.public_data().as_bytes());
    block.split().freeze()
}

/// A block that is full is freed when the last of its envelopes has left the log.
const BLOCK: usize = 64 * 1024;
