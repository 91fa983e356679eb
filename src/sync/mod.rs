//! 5 · Between nodes: what happens here reaches the clients of every node.
//!
//! In comes an [`Event`](crate::Event) of this node, with whether others are to hear it; out go the events of all nodes, in the order in
//! which this node's own clients are to hear them, and envelopes for the broker.
//!
//! Invariant: nothing here looks inside an event's data, and nothing that came in goes out again.
//!
//! ```
//! use wingbeat::{App, Memory, sync::Status};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = App::builder().service("messages", Memory::new()).sync_uri("memory://example").build()?;
//! app.sync().ready().await?;
//! assert_eq!(app.sync().status(), Status::Ready);
//! # app.close().await;
//! # Ok(())
//! # }
//! ```

pub(crate) mod codec;
mod context;
mod delivery;
mod envelope;
#[cfg(feature = "__fuzz")]
pub(crate) mod fuzzing;
mod inbound;
mod open;
mod options;
mod outbound;
mod quarantine;
mod seal;
mod services;
mod shell;
mod supervisor;
mod taps;
mod uri;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, unfold};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;
pub use wingbeat_adapter::Order;
use wingbeat_adapter::{ErrorKind, LinkOptions, SyncAdapter, SyncError};

pub use codec::{BoxError, Codec, Serializer};
pub use delivery::{
    Gap, GapReason, NodeId, Origin as GapOrigin, PeerStats, Stats as DeliveryStats, Status,
};
pub(crate) use open::OpenPaths;
pub use options::{Delivery, SyncMode, SyncOptions};
pub(crate) use outbound::Emission;
pub use quarantine::{Quarantined, Reason};
pub(crate) use taps::Taps;
pub(crate) use uri::Schemes;

use crate::channels::Dispatch;
use crate::tasks::Tasks;
use delivery::Input;
pub(crate) use services::{Services, SharedService};
use shell::Shell;
use supervisor::Supervisor;

/// The link to the other nodes; clones are the same link.
///
/// An app without sync has one too: its status is [`Status::Off`] and it is always ready.
///
/// ```
/// use wingbeat::sync::Status;
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let alone = App::builder().service("messages", Memory::new()).build()?;
/// assert_eq!(alone.sync().status(), Status::Off);
/// alone.sync().ready().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sync {
    dispatch: Dispatch,
    taps: Arc<Taps>,
    linked: Option<Linked>,
}

#[derive(Clone)]
struct Linked {
    shell: Arc<Shell>,
    parts: Arc<SyncParts>,
    name: Arc<str>,
    last_error: Arc<Mutex<Option<String>>>,
    order: Arc<Mutex<Option<Order>>>,
    /// Turns true when the supervisor has ended.
    ended: watch::Sender<bool>,
}

/// An adapter and how it is used.
pub(crate) struct SyncParts {
    adapter: Arc<dyn SyncAdapter>,
    options: SyncOptions,
}

/// What a node has counted since it was built.
///
/// ```
/// use serde_json::json;
/// use wingbeat::{App, Memory, sync::SyncOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut options = SyncOptions::default();
/// options.max_payload = 1024;
/// let builder = App::builder().service("messages", Memory::new()).sync_options(options);
/// let app = builder.sync_uri("memory://counted").build()?;
/// app.service_at("messages").create(json!({ "text": "hi ".repeat(1000) })).await?;
/// // One object, for a page of an operator.
/// let stats = serde_json::to_value(app.sync().stats())?;
/// assert_eq!((&stats["oversize"], &stats["emitted"]), (&json!(1), &json!(1)));
/// # app.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SyncStats {
    /// Own events that were too large for other nodes.
    pub oversize: u64,
    /// Own events that the codec could not write for other nodes.
    pub unwritable: u64,
    /// Messages that could not be used, by reason.
    pub quarantine: BTreeMap<Reason, u64>,
    /// Events of other nodes for services that receive none.
    pub unheard: u64,
    /// Gaps that came faster than the app's own code could be told of them.
    pub gaps_untold: u64,
    /// The most events that ever waited for this node's own clients.
    pub dispatch_peak: u64,
    /// What the delivery between nodes counted.
    #[serde(flatten)]
    pub delivery: DeliveryStats,
}

/// What there is to know of the link can be written as JSON, for a page of an operator.
///
/// ```
/// use serde_json::json;
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://page").build()?;
/// let sync = app.sync();
/// sync.ready().await?;
/// let page = json!({ "status": sync.status(), "peers": sync.peers(), "last_error": sync.last_error() });
/// assert_eq!(page, json!({ "status": "ready", "peers": [], "last_error": null }));
/// # app.close().await;
/// # Ok(())
/// # }
/// ```
impl Sync {
    pub(crate) fn new(
        parts: Option<SyncParts>,
        name: &str,
        services: Services,
        dispatch: Dispatch,
    ) -> Self {
        let linked = parts.map(|parts| Linked {
            shell: Arc::new(Shell::new(name, &parts.options, services, dispatch.clone())),
            parts: Arc::new(parts),
            name: name.into(),
            last_error: Arc::default(),
            order: Arc::default(),
            ended: watch::Sender::new(false),
        });
        Self {
            dispatch,
            taps: Arc::default(),
            linked,
        }
    }

    /// Waits until the node is linked for the first time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokio::time::timeout;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://joined").build()?;
    /// // It waits for as long as the broker is away.
    /// timeout(Duration::from_secs(5), app.sync().ready()).await??;
    /// assert!(app.sync().was_ready());
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Closed`, with why the link never came, when sync is closed before.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn ready(&self) -> Result<(), SyncError> {
        let Some(linked) = &self.linked else {
            return Ok(());
        };
        let decided = |status: &Status| linked.shell.was_ready() || *status == Status::Closed;
        let _ = linked.shell.status().wait_for(decided).await;
        if linked.shell.was_ready() {
            Ok(())
        } else {
            Err(linked.never_ready())
        }
    }

    /// Returns how the node stands with the broker.
    ///
    /// ```
    /// use wingbeat::{App, Memory, sync::Status};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://status").build()?;
    /// assert_eq!(app.sync().status(), Status::Connecting);
    /// app.sync().ready().await?;
    /// assert_eq!(app.sync().status(), Status::Ready);
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        self.linked
            .as_ref()
            .map_or(Status::Off, |linked| *linked.shell.status().borrow())
    }

    /// Follows the status: the present one first, then every change that the reader keeps up with.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use wingbeat::sync::Status;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://watch").build()?;
    /// let mut statuses = app.sync().watch();
    /// while let Some(status) = statuses.next().await {
    ///     println!("{status}");
    ///     if status == Status::Ready {
    ///         break;
    ///     }
    /// }
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watch(&self) -> BoxStream<'static, Status> {
        let Some(linked) = &self.linked else {
            return futures_util::stream::iter([Status::Off]).boxed();
        };
        let mut receiver = linked.shell.status();
        receiver.mark_changed();
        unfold(receiver, |mut receiver| async move {
            receiver.changed().await.ok()?;
            let status = *receiver.borrow_and_update();
            Some((status, receiver))
        })
        .boxed()
    }

    /// Returns the counters.
    ///
    /// ```
    /// use serde_json::json;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://stats").build()?;
    /// app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// let stats = app.sync().stats();
    /// // One event, on its way to the other nodes.
    /// assert_eq!((stats.delivery.emitted, stats.delivery.synced), (1, 1));
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> SyncStats {
        let Some(Linked { shell, .. }) = &self.linked else {
            return SyncStats::default();
        };
        SyncStats {
            oversize: shell.outbound.oversize(),
            unwritable: shell.outbound.unwritable(),
            quarantine: shell.inbound.quarantine.counts(),
            unheard: shell.inbound.unheard(),
            gaps_untold: shell.gaps_dropped(),
            dispatch_peak: self.dispatch.peak(),
            delivery: shell.stats(),
        }
    }

    /// Returns one row per other node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokio::time::sleep;
    /// use wingbeat::App;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = |name: &str| App::builder().name(name).sync_uri("memory://peers").build();
    /// let (ada, bob) = (node("ada")?, node("bob")?);
    /// while ada.sync().peers().is_empty() {
    ///     sleep(Duration::from_millis(5)).await;
    /// }
    /// assert_eq!(&*ada.sync().peers()[0].name, bob.name());
    /// # ada.close().await;
    /// # bob.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStats> {
        self.linked
            .as_ref()
            .map(|linked| linked.shell.peers())
            .unwrap_or_default()
    }

    /// Returns the last messages that could not be used, the oldest first; at most 64, with secrets masked.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use wingbeat::{App, sync::Reason};
    /// use wingbeat_adapter::{Lane, LinkOptions, MemoryBroker, SyncAdapter};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// let app = App::builder().sync(broker.clone()).build()?;
    /// app.sync().ready().await?;
    /// let mut stranger = broker.connect(&LinkOptions::new("feathers-sync")).await?;
    /// stranger.outbound.publish(Lane::Events, &[Bytes::from("hello?")]).await?;
    /// while app.sync().quarantine().is_empty() {
    ///     tokio::task::yield_now().await;
    /// }
    /// assert_eq!(app.sync().quarantine()[0].reason, Reason::Malformed);
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn quarantine(&self) -> Vec<Quarantined> {
        self.linked
            .as_ref()
            .map(|linked| linked.shell.inbound.quarantine.last())
            .unwrap_or_default()
    }

    /// Returns why the last link ended or did not come to be.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use wingbeat::{App, sync::Status};
    /// use wingbeat_adapter::MemoryBroker;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// let app = App::builder().sync(broker.clone()).build()?;
    /// app.sync().ready().await?;
    /// assert_eq!(app.sync().last_error(), None);
    /// broker.cut();
    /// let mut statuses = app.sync().watch();
    /// while statuses.next().await != Some(Status::Reconnecting) {}
    /// assert!(app.sync().last_error().is_some_and(|why| why.contains("the memory broker is cut")));
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.linked.as_ref()?.last_error.lock().clone()
    }

    /// Returns what order events of different origins have on the other nodes while all are `Ready`, as the broker gives it;
    /// `None` while there was no link.
    ///
    /// ```
    /// use wingbeat::{App, Memory, sync::Order};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://order").build()?;
    /// assert_eq!(app.sync().order(), None);
    /// app.sync().ready().await?;
    /// assert_eq!(app.sync().order(), Some(Order::Total));
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn order(&self) -> Option<Order> {
        *self.linked.as_ref()?.order.lock()
    }

    /// Leaves the other nodes: waits until they have what was emitted, at most ten seconds, and closes the link. Events
    /// that come later reach this node's own clients only.
    ///
    /// ```
    /// use serde_json::json;
    /// use wingbeat::{App, Memory, sync::Status};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://left").build()?;
    /// app.sync().ready().await?;
    /// app.sync().close().await;
    /// assert_eq!(app.sync().status(), Status::Closed);
    ///
    /// app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// let stats = app.sync().stats();
    /// assert_eq!((stats.delivery.delivered, stats.delivery.synced), (1, 0));
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future leaves the link closing; calling again goes on.
    pub async fn close(&self) {
        self.close_within(CLOSE_DEADLINE).await;
    }

    /// Leaves the other nodes; returns how many events have no echo by then.
    pub(crate) async fn close_within(&self, deadline: Duration) -> usize {
        let Some(linked) = &self.linked else { return 0 };
        linked.shell.handle(Input::Close);
        if timeout(deadline, linked.wait_end()).await.is_err() {
            linked.shell.handle(Input::CloseNow);
            let _ = timeout(CLOSE_GRACE, linked.wait_end()).await;
        }
        usize::try_from(linked.shell.stats().unsettled).unwrap_or(usize::MAX)
    }

    /// Tells whether the node was ever linked; true without sync.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://ever").build()?;
    /// assert!(!app.sync().was_ready());
    /// app.sync().ready().await?;
    /// app.sync().close().await;
    /// assert!(app.sync().was_ready());
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn was_ready(&self) -> bool {
        self.linked
            .as_ref()
            .is_none_or(|linked| linked.shell.was_ready())
    }

    pub(crate) fn taps(&self) -> &Arc<Taps> {
        &self.taps
    }

    /// Starts the supervisor; it ends when sync is closed.
    pub(crate) fn start(&self, tasks: &Tasks) {
        let Some(linked) = self.linked.clone() else {
            return;
        };
        let supervisor = linked.supervisor(&self.taps);
        let cancelled = tasks.clone();
        tasks.spawn("sync", async move {
            // Also when the supervisor panics or the app is dropped, nobody is to wait for it.
            let _ended = Ended(linked.ended.clone());
            tokio::select! {
                () = supervisor.run() => {}
                () = cancelled.cancelled() => {}
            }
        });
    }

    /// Sends the events of a call and waits for what has to be waited for: without sync until own clients have them, with
    /// sync only while the queue to own clients is full.
    pub(crate) async fn emit(&self, emissions: impl Iterator<Item = Emission>) {
        match self.emit_now(emissions) {
            Some(position) => self.dispatch.heard(position).await,
            None => self.dispatch.room().await,
        }
    }

    /// Tells whether the app has sync, whatever its status.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked.is_some()
    }

    /// Sends events without waiting; without sync it returns the position of the last one in the queue to own clients.
    pub(crate) fn emit_now(&self, emissions: impl IntoIterator<Item = Emission>) -> Option<u64> {
        let emissions = emissions.into_iter();
        let Some(linked) = &self.linked else {
            let position = |emission: Emission| self.dispatch.push(emission.event);
            return emissions.map(position).last();
        };
        let tapped = emissions.inspect(|emission| {
            if emission.is_synced {
                self.taps.out(&emission.event);
            }
        });
        linked.shell.emit(tapped);
        None
    }
}

impl Linked {
    fn supervisor(&self, taps: &Arc<Taps>) -> Supervisor {
        let SyncParts { adapter, options } = &*self.parts;
        let mut link_options = LinkOptions::new(options.key.as_str());
        link_options.max_payload = options.max_payload;
        link_options.name = format!("wingbeat:{}", self.name);
        let taps = Arc::clone(taps);
        Supervisor {
            shell: Arc::clone(&self.shell),
            adapter: Arc::clone(adapter),
            options: link_options,
            fail_fast: options.fail_fast,
            on_gap: Box::new(move |gap| taps.gap(gap)),
            last_error: Arc::clone(&self.last_error),
            order: Arc::clone(&self.order),
        }
    }

    async fn wait_end(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    fn never_ready(&self) -> SyncError {
        let why = self
            .last_error
            .lock()
            .clone()
            .unwrap_or_else(|| "it was closed first".to_owned());
        SyncError::new(ErrorKind::Closed, format!("sync was never ready: {why}"))
    }
}

impl SyncParts {
    pub(crate) fn new(adapter: Arc<dyn SyncAdapter>, options: SyncOptions) -> Self {
        Self { adapter, options }
    }
}

/// Says that the supervisor ended, however it did.
struct Ended(watch::Sender<bool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl fmt::Debug for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sync")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

const CLOSE_DEADLINE: Duration = Duration::from_secs(10);
/// What the farewell may take once the deadline has passed.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
