use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    BoxFuture, ErrorKind, InboxLimits, InboxSender, Lane, Link, LinkOptions, Order, Outbound,
    Report, SyncAdapter, SyncError, inbox,
};

/// Joins the nodes of one process: a complete broker in memory.
///
/// It is what `memory://NAME` opens, and what tests of everything above the contract run on. One lock per broker
/// gives one total order over all its topics. Each link waits in its own [`inbox`](crate::inbox()) of default limits,
/// so a link that nobody reads loses its own messages, tells so, and delays no one. Clones are the same broker.
///
/// [`cut`](Self::cut), [`heal`](Self::heal) and [`links`](Self::links) are fault controls for tests.
///
/// # Examples
///
/// ```
/// use wingbeat_adapter::{LinkOptions, MemoryBroker, SyncAdapter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), wingbeat_adapter::SyncError> {
/// let here = MemoryBroker::named("chat");
/// let there = MemoryBroker::named("chat");
/// let _link = here.connect(&LinkOptions::new("feathers-sync")).await?;
/// assert_eq!(there.links(), 1);
///
/// there.cut();
/// assert!(here.connect(&LinkOptions::new("feathers-sync")).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

impl MemoryBroker {
    /// Makes a broker that only its clones share.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared::default()),
        }
    }

    /// Returns the broker of this name, the same in the whole process for as long as any handle or link of it lives.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut named = NAMED.lock();
        if let Some(shared) = named.get(name).and_then(Weak::upgrade) {
            return Self { shared };
        }
        named.retain(|_, broker| broker.strong_count() > 0);
        let broker = Self::new();
        named.insert(name.to_owned(), Arc::downgrade(&broker.shared));
        broker
    }

    /// Kills the broker, for tests: every link ends with `Unavailable` after what it already received, and
    /// `connect` fails with the same until [`heal`](Self::heal).
    pub fn cut(&self) {
        let orphans = {
            let mut state = self.shared.state.lock();
            state.is_cut = true;
            std::mem::take(&mut state.links)
        };
        // Ending an inbox drops its registration, which takes the lock again.
        for subscriber in orphans.into_values() {
            subscriber.inbox.end(Some(down()));
        }
    }

    /// Lets `connect` work again after [`cut`](Self::cut). Links that were cut stay dead.
    pub fn heal(&self) {
        self.shared.state.lock().is_cut = false;
    }

    /// Returns how many links are open.
    #[must_use]
    pub fn links(&self) -> usize {
        self.shared.state.lock().links.len()
    }

    fn open(&self, options: &LinkOptions) -> Result<Link, SyncError> {
        options.check()?;
        let (sender, inbox) = inbox(InboxLimits::default());
        let id = self.shared.register(options, sender.clone())?;
        let shared = Arc::clone(&self.shared);
        sender.hold(Registration { shared, id });
        let outbound = MemoryOutbound {
            shared: Arc::clone(&self.shared),
            options: options.clone(),
            inbox: sender,
            is_closed: false,
        };
        let mut link = Link::new(Box::new(outbound), inbox.boxed());
        link.order = Order::Total;
        Ok(link)
    }
}

impl SyncAdapter for MemoryBroker {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(async move { self.open(options) })
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("MemoryBroker")
            .field("links", &state.links.len())
            .field("cut", &state.is_cut)
            .finish()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: BTreeMap<u64, Subscriber>,
    next_id: u64,
    is_cut: bool,
}

struct Subscriber {
    topic: String,
    control_topic: String,
    inbox: InboxSender,
}

/// Held by the reading half of a link: when that ends or is dropped, the broker forgets the link.
struct Registration {
    shared: Arc<Shared>,
    id: u64,
}

struct MemoryOutbound {
    shared: Arc<Shared>,
    options: LinkOptions,
    inbox: InboxSender,
    is_closed: bool,
}

impl Shared {
    fn register(&self, options: &LinkOptions, inbox: InboxSender) -> Result<u64, SyncError> {
        let mut state = self.state.lock();
        if state.is_cut {
            return Err(down());
        }
        let id = state.next_id;
        state.next_id += 1;
        let subscriber = Subscriber {
            topic: options.topic.clone(),
            control_topic: options.control_topic.clone(),
            inbox,
        };
        state.links.insert(id, subscriber);
        Ok(id)
    }
}

impl Subscriber {
    fn lane_of(&self, topic: &str) -> Option<Lane> {
        if self.topic == topic {
            Some(Lane::Events)
        } else if self.control_topic == topic {
            Some(Lane::Control)
        } else {
            None
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let left = self.shared.state.lock().links.remove(&self.id);
        // Its sender may be the last one, and dropping that may come back here.
        drop(left);
    }
}

impl MemoryOutbound {
    fn deliver(&self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        if self.is_closed {
            return Err(SyncError::new(ErrorKind::Closed, "the link is closed"));
        }
        // The lock is the broker's order: a batch is one step of it.
        let state = self.shared.state.lock();
        if self.inbox.is_ended() {
            return Err(SyncError::new(ErrorKind::Unavailable, "the link is over"));
        }
        let topic = self.options.topic_of(lane);
        let mut report = Report::default();
        for (index, payload) in batch.iter().enumerate() {
            match self.options.check_payload(payload) {
                Ok(()) => state.fan_out(topic, payload),
                Err(error) => report.failed.push((index, error)),
            }
        }
        Ok(report)
    }
}

impl State {
    fn fan_out(&self, topic: &str, payload: &Bytes) {
        for subscriber in self.links.values() {
            if let Some(lane) = subscriber.lane_of(topic) {
                subscriber.inbox.send(lane, payload.clone());
            }
        }
    }
}

impl Outbound for MemoryOutbound {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(async move { self.deliver(lane, batch) })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(async move {
            self.is_closed = true;
            self.inbox.end(None);
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryOutbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOutbound")
            .field("topic", &self.options.topic)
            .field("inbox", &self.inbox)
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}

/// Weak, so that a name is free again when its last broker handle and link are gone.
static NAMED: Mutex<BTreeMap<String, Weak<Shared>>> = Mutex::new(BTreeMap::new());

fn down() -> SyncError {
    SyncError::new(ErrorKind::Unavailable, "the memory broker is cut")
}

#[cfg(test)]
mod tests;
