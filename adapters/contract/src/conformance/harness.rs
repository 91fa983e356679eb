use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{BoxFuture, InboxLimits, SyncAdapter, SyncError};

/// What the author of an adapter writes so that the suite can try it: a broker that is there for the test alone, and
/// adapters for it.
///
/// Every check makes a harness of its own and drops it at its end, so a harness owns its broker process and kills it in
/// its `Drop`. Its methods may block: nothing else runs meanwhile. They panic where the broker does not do as it is told,
/// because that is no fault of the adapter.
pub trait Harness: Send + Sync + 'static {
    /// Says what the adapter documents and what this harness can do.
    fn facts(&self) -> Facts;

    /// Makes an adapter as a user would, with its defaults, for the broker behind `access`.
    ///
    /// # Errors
    ///
    /// What the adapter's own constructor says.
    fn adapter(&self, access: &Access) -> Result<Arc<dyn SyncAdapter>, SyncError>;

    /// Counts what links hold on the broker: connections, subscriptions, queues. Asking must not add to it.
    fn holdings(&self) -> BoxFuture<'_, usize>;

    /// Does this to the broker. Only those that the [`Facts`] promise are asked for.
    fn inflict(&self, fault: Fault) -> BoxFuture<'_, ()>;
}

/// What an adapter documents about itself, and what a [`Harness`] can do to its broker.
///
/// Checks that need something which is missing here say so and pass. A broker with a [`port`](Self::port) and a
/// [`password`](Self::password), that [can be killed](Self::can_kill) and [frozen](Self::can_freeze), has all of them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The port of the broker on 127.0.0.1, which the suite also reaches through its [`Proxy`](super::Proxy). Default:
    /// none, for a broker in this process.
    pub port: Option<u16>,
    /// The password without which the broker lets nobody in. Default: none, for a broker that lets everybody in.
    pub password: Option<String>,
    /// The longest payload that the adapter documents, in bytes. Default: 1 MiB, which is what links are asked for.
    pub payload_limit: usize,
    /// How long the adapter documents that a broker may be silent before the link ends. Default: 5 s.
    pub heartbeat: Duration,
    /// How much may wait for a reader who has stopped. Default: what an [`inbox`](crate::inbox()) of default limits holds.
    pub waiting: InboxLimits,
    /// Whether the harness can do [`Fault::Kill`] and [`Fault::Start`]. Default: no.
    pub can_kill: bool,
    /// Whether the harness can do [`Fault::Freeze`] and [`Fault::Thaw`]. Default: no.
    pub can_freeze: bool,
    /// How long the suite waits for what is due at once. Default: 5 s, which is what the contract allows a loss to stay
    /// hidden; less is for tests of the suite itself.
    pub patience: Duration,
}

/// Says how an adapter gets at its broker.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// A port on 127.0.0.1: the broker's, a proxy's, or one where nobody is. 0 if the [`Facts`] name none.
    pub port: u16,
    /// The right password or a wrong one; empty if the [`Facts`] name none.
    pub password: String,
}

/// What a [`Harness`] can do to its broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Ends the broker at once, as SIGKILL does, and returns when it is gone.
    Kill,
    /// Starts it again, on the same port, and returns when it takes connections.
    Start,
    /// Stops it, as SIGSTOP does: its connections stay open and nothing answers.
    Freeze,
    /// Lets it go on.
    Thaw,
}

impl Facts {
    /// Fills in the defaults, which describe a broker in this process; assign the fields that differ.
    #[must_use]
    pub fn new() -> Self {
        Self {
            port: None,
            password: None,
            payload_limit: 1024 * 1024,
            heartbeat: Duration::from_secs(5),
            waiting: InboxLimits::default(),
            can_kill: false,
            can_freeze: false,
            patience: Duration::from_secs(5),
        }
    }
}

impl Default for Facts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("port", &self.port)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("payload_limit", &self.payload_limit)
            .field("heartbeat", &self.heartbeat)
            .field("waiting", &self.waiting)
            .field("can_kill", &self.can_kill)
            .field("can_freeze", &self.can_freeze)
            .field("patience", &self.patience)
            .finish()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("port", &self.port)
            .field("password", &"***")
            .finish()
    }
}
