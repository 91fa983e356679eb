//! All connections of a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indexmap::IndexMap;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{CloseReason, Connection, ConnectionInfo};

/// The connections of a node by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    next_id: AtomicU64,
    open: RwLock<IndexMap<u64, Connection>>,
    n_open: watch::Sender<usize>,
    slow: AtomicU64,
    dropped: AtomicU64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            next_id: AtomicU64::new(1),
            open: RwLock::default(),
            n_open: watch::Sender::new(0),
            slow: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }
}

impl Connections {
    /// Makes a connection that is part of this node until [`Connections::remove`].
    pub(crate) fn add(&self, info: ConnectionInfo) -> Connection {
        let connection = Connection::new(self.0.next_id.fetch_add(1, Ordering::Relaxed), info);
        let mut open = self.0.open.write();
        open.insert(connection.id(), connection.clone());
        self.0.n_open.send_replace(open.len());
        connection
    }

    pub(crate) fn remove(&self, connection: &Connection) {
        let mut open = self.0.open.write();
        if open.swap_remove(&connection.id()).is_some() {
            self.count(connection);
            self.0.n_open.send_replace(open.len());
        }
    }

    pub(crate) fn len(&self) -> usize {
        *self.0.n_open.borrow()
    }

    /// Follows the number of connections.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.0.n_open.subscribe()
    }

    /// Returns how many connections were closed as slow.
    pub(crate) fn slow(&self) -> u64 {
        self.0.slow.load(Ordering::Relaxed)
    }

    /// Returns how many frames were dropped, because their connection was slow.
    pub(crate) fn dropped_frames(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Closes all connections in batches, so that their reconnects are spread, and waits until they are gone or
    /// `deadline` has passed; returns how many are left.
    pub(crate) async fn drain(&self, deadline: Duration) -> usize {
        let closing = async {
            while self.close_batch() {
                let _ = tokio::time::timeout(BATCH_PAUSE, self.emptied()).await;
            }
            self.emptied().await;
        };
        let _ = tokio::time::timeout(deadline, closing).await;
        self.len()
    }

    async fn emptied(&self) {
        let _ = self.watch().wait_for(|open| *open == 0).await;
    }

    /// Closes all connections at once.
    #[cfg(feature = "testing")]
    pub(crate) fn close_all(&self) {
        while self.close_batch() {}
    }

    /// Closes the next batch; false when none is open any more.
    fn close_batch(&self) -> bool {
        let open = self.0.open.read();
        let mut closing = open
            .values()
            .filter(|connection| connection.outbox().closed().is_none())
            .peekable();
        let is_some = closing.peek().is_some();
        closing
            .take(BATCH)
            .for_each(|connection| connection.close(CloseReason::Restart));
        is_some
    }

    fn count(&self, connection: &Connection) {
        let outbox = connection.outbox();
        self.0
            .dropped
            .fetch_add(outbox.dropped(), Ordering::Relaxed);
        if outbox.closed() == Some(CloseReason::Slow) {
            self.0.slow.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                connection = connection.id(),
                dropped = outbox.dropped(),
                "a slow client was closed"
            );
        }
    }
}

/// The numbers of Phoenix's drainer.
const BATCH: usize = 10_000;
const BATCH_PAUSE: Duration = Duration::from_secs(2);
