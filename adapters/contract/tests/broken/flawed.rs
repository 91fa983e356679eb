//! The memory broker behind an adapter that breaks the contract in one way.

mod link;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use wingbeat_adapter::conformance::{Access, Facts, Fault, Harness};
use wingbeat_adapter::{
    BoxFuture, ErrorKind, Link, LinkOptions, MemoryBroker, SyncAdapter, SyncError,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    DeafToSelf,
    HearsItsOwnAdapterOnly,
    Doubles,
    DropsEquals,
    Reorders,
    Mangles,
    SwallowsEmpty,
    RefusesTheBatch,
    KnowsNoLimit,
    LeaksTopics,
    TakesPatterns,
    SwapsLanes,
    SubscribesLate,
    Immortal,
    ConnectsOnce,
    ClosesAllLinks,
    OpenAfterClose,
    FailsSecondClose,
    LeaksOnDrop,
    LeaksOnClose,
    SendsCancelledLater,
    LeaksCancelledConnect,
    ForgetsCancelledClose,
    DropsInSilence,
    CallsUnreachableRefused,
    CallsRefusedUnavailable,
    CallsNonsenseUnavailable,
    CallsLostClosed,
    DebugShowsPassword,
    ErrorShowsPassword,
    LogShowsPassword,
}

/// A broker of the test's own, and the flaw of the adapters for it.
pub(crate) struct Flawed {
    broker: MemoryBroker,
    flaw: Flaw,
}

struct FlawedAdapter {
    broker: MemoryBroker,
    flaw: Flaw,
    password: String,
    has_failed: AtomicBool,
    number: u64,
    all_closed: watch::Sender<bool>,
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw) -> Self {
        let broker = MemoryBroker::new();
        Self { broker, flaw }
    }
}

impl Harness for Flawed {
    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        facts.password = Some(PASSWORD.to_owned());
        facts.can_kill = true;
        facts.patience = Duration::from_secs(1);
        facts
    }

    fn adapter(&self, access: &Access) -> Result<Arc<dyn SyncAdapter>, SyncError> {
        Ok(Arc::new(FlawedAdapter {
            broker: self.broker.clone(),
            flaw: self.flaw,
            password: access.password.clone(),
            has_failed: AtomicBool::new(false),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            all_closed: watch::Sender::new(false),
        }))
    }

    fn holdings(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.broker.links() })
    }

    fn inflict(&self, fault: Fault) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match fault {
                Fault::Kill => self.broker.cut(),
                Fault::Start => self.broker.heal(),
                other => unreachable!("{other:?} is not promised"),
            }
        })
    }
}

impl FlawedAdapter {
    async fn open(&self, options: &LinkOptions) -> Result<Link, SyncError> {
        options.check().map_err(|error| match self.flaw {
            Flaw::CallsNonsenseUnavailable => SyncError::new(ErrorKind::Unavailable, "what?"),
            _ => error,
        })?;
        self.knock()?;
        let inner = self.open_inner().await?;
        if self.flaw == Flaw::LeaksCancelledConnect {
            self.leak_if_cancelled().await?;
        }
        let ghost = match self.flaw {
            Flaw::LeaksOnDrop | Flaw::LeaksOnClose => Some(self.open_inner().await?),
            _ => None,
        };
        let terms = link::Terms {
            flaw: self.flaw,
            adapter: self.number,
            options: options.clone(),
            all_closed: self.all_closed.clone(),
        };
        Ok(terms.wrap(inner, ghost))
    }

    /// Plays the broker's part.
    fn knock(&self) -> Result<(), SyncError> {
        if self.flaw == Flaw::LogShowsPassword {
            tracing::debug!(password = self.password, "knocking");
        }
        if self.password == PASSWORD {
            return Ok(());
        }
        let context = match self.flaw {
            Flaw::ErrorShowsPassword => format!("not let in with {}", self.password),
            _ => "not let in".to_owned(),
        };
        let kind = match self.flaw {
            Flaw::CallsRefusedUnavailable => ErrorKind::Unavailable,
            _ => ErrorKind::Refused,
        };
        Err(SyncError::new(kind, context))
    }

    /// All links share one topic of the broker; which they are meant for stands in each message.
    async fn open_inner(&self) -> Result<Link, SyncError> {
        let mut options = LinkOptions::new("all");
        options.max_payload = usize::MAX;
        let is_used_up = self.has_failed.load(Ordering::SeqCst);
        if self.flaw == Flaw::ConnectsOnce && is_used_up {
            return Err(SyncError::new(ErrorKind::Unavailable, "used up"));
        }
        self.broker.connect(&options).await.map_err(|error| {
            self.has_failed.store(true, Ordering::SeqCst);
            match self.flaw {
                Flaw::CallsUnreachableRefused => SyncError::new(ErrorKind::Refused, "go away"),
                _ => error,
            }
        })
    }

    async fn leak_if_cancelled(&self) -> Result<(), SyncError> {
        let forgotten = Forgotten(Some(self.open_inner().await?));
        tokio::time::sleep(Duration::from_millis(1)).await;
        forgotten.find();
        Ok(())
    }
}

/// A link that is never dropped unless somebody comes back for it.
struct Forgotten(Option<Link>);

impl Forgotten {
    fn find(mut self) {
        self.0 = None;
    }
}

impl Drop for Forgotten {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

impl SyncAdapter for FlawedAdapter {
    fn name(&self) -> &'static str {
        "flawed"
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(self.open(options))
    }
}

impl fmt::Debug for FlawedAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FlawedAdapter");
        debug.field("flaw", &self.flaw);
        if self.flaw == Flaw::DebugShowsPassword {
            debug.field("password", &self.password);
        }
        debug.finish_non_exhaustive()
    }
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);
const PASSWORD: &str = "open-sesame";
