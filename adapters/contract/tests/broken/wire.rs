//! A small broker behind TCP and an adapter for it, sound or broken in one way, so that faults of the line can be tried.

mod broker;
mod frame;
mod link;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broker::Server;
use parking_lot::Mutex;
use tokio::time::timeout;
use wingbeat_adapter::conformance::{Access, Facts, Fault, Harness};
use wingbeat_adapter::{BoxFuture, ErrorKind, Link, LinkOptions, SyncAdapter, SyncError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireFlaw {
    None,
    /// Waits for the broker to speak, for ever.
    NoHeartbeat,
    /// Takes a lost connection for a pause.
    NeverEnds,
    /// Publishes over a connection of its own, and does not look whether that one is still there.
    IgnoresHalf,
    /// Does not wait for the broker's word that the topics are subscribed.
    ResolvesEarly,
    /// Writes from the future of `publish`, so that dropping it leaves half a frame on the line.
    TearsFrames,
    /// Takes any pause for the end.
    Impatient,
    /// Keeps what has to be written on a stack.
    NewestFirst,
    /// Is of no use after its first loss.
    GivesUp,
    /// Dials again by itself when a link is lost, for nobody.
    RedialsForNobody,
    /// Does not take back what it began for a `connect` that was dropped.
    LeaksDials,
    /// Waits for the broker's welcome without a limit.
    IgnoresTimeout,
}

/// A server of the test's own, and the flaw of the adapters for it.
pub(crate) struct Wire {
    server: Mutex<Server>,
    flaw: WireFlaw,
}

#[derive(Clone)]
struct WireAdapter {
    port: u16,
    password: String,
    flaw: WireFlaw,
    has_lost: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) fn new(flaw: WireFlaw) -> Self {
        let server = Mutex::new(Server::start(PASSWORD));
        Self { server, flaw }
    }
}

impl Harness for Wire {
    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        facts.port = Some(self.server.lock().port());
        facts.password = Some(PASSWORD.to_owned());
        facts.heartbeat = Duration::from_secs(2);
        facts.can_kill = true;
        facts.can_freeze = true;
        facts.patience = Duration::from_secs(2);
        facts
    }

    fn adapter(&self, access: &Access) -> Result<Arc<dyn SyncAdapter>, SyncError> {
        Ok(Arc::new(WireAdapter {
            port: access.port,
            password: access.password.clone(),
            flaw: self.flaw,
            has_lost: Arc::default(),
        }))
    }

    fn holdings(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.server.lock().links() })
    }

    fn inflict(&self, fault: Fault) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut server = self.server.lock();
            match fault {
                Fault::Kill => server.kill(),
                Fault::Start => server.restart(),
                Fault::Freeze => server.freeze(),
                Fault::Thaw => server.thaw(),
                other => unreachable!("{other:?} is not promised"),
            }
        })
    }
}

impl WireAdapter {
    async fn open(&self, options: &LinkOptions) -> Result<Link, SyncError> {
        options.check()?;
        if self.flaw == WireFlaw::GivesUp && self.has_lost.load(Ordering::SeqCst) {
            return Err(SyncError::new(ErrorKind::Unavailable, "not again"));
        }
        let opening = link::open(self, options);
        if self.flaw == WireFlaw::IgnoresTimeout {
            return opening.await;
        }
        timeout(options.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(SyncError::new(ErrorKind::Unavailable, "no answer in time")))
    }
}

impl SyncAdapter for WireAdapter {
    fn name(&self) -> &'static str {
        "wire"
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(self.open(options))
    }
}

impl fmt::Debug for WireAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireAdapter")
            .field("port", &self.port)
            .field("flaw", &self.flaw)
            .finish_non_exhaustive()
    }
}

const PASSWORD: &str = "open-sesame";
