use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use redis::{PushInfo, PushKind, Value};
use wingbeat_adapter::{ErrorKind, InboxSender, Lane, SyncError};

use crate::topics::Topics;

/// The end of a connection that its task owns: it feeds the inbox, and going away it says that the connection is gone.
///
/// The publisher has one as well, so that an idle node notices when only that connection dies.
pub(crate) struct Tap {
    pub(crate) connection: &'static str,
    pub(crate) topics: Arc<Topics>,
    pub(crate) inbox: InboxSender,
    pub(crate) pulse: Pulse,
}

/// Counts what came in on a connection: proof of life while an answer waits behind a backlog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<AtomicU64>);

impl Tap {
    pub(crate) fn take(&self, push: PushInfo) {
        self.pulse.beat();
        match push.kind {
            PushKind::Message | PushKind::SMessage => match self.message(push.data) {
                Some((lane, payload)) => self.inbox.send(lane, payload),
                // Nothing else was subscribed; whatever it is, it was not delivered, and that is said.
                None => self.inbox.lost(1),
            },
            // A cluster that moves the slot elsewhere unsubscribes on its own.
            PushKind::Disconnection | PushKind::Unsubscribe | PushKind::SUnsubscribe => self.gone(),
            // Confirmations come back as replies too, and the rest belongs to features that are not used.
            _ => {}
        }
    }

    fn message(&self, data: Vec<Value>) -> Option<(Lane, Bytes)> {
        let [Value::BulkString(channel), Value::BulkString(payload)] =
            <[Value; 2]>::try_from(data).ok()?
        else {
            return None;
        };
        Some((self.topics.lane_of(&channel)?, Bytes::from(payload)))
    }

    fn gone(&self) {
        let context = format!("the {} connection to Redis is gone", self.connection);
        self.inbox
            .end(Some(SyncError::new(ErrorKind::Unavailable, context)));
    }
}

/// Some failures end the connection's task without a word; its drop is the one sign that always comes.
impl Drop for Tap {
    fn drop(&mut self) {
        self.gone();
    }
}

impl Pulse {
    pub(crate) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
