//! 4 · What happened: one event of one service, and who listens to it in this process.
//!
//! In comes what a call left in its [`HookContext`](crate::hooks::HookContext), or an envelope of a peer; out goes an
//! [`Event`] that listeners read and that `channels` publishes.
//!
//! Invariant: an event never changes once it is made, and its data is parsed at most once, when somebody looks.

mod context;
mod json;
mod listeners;

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

pub use context::EventContext;
pub use json::Json;
pub use listeners::Scope;
pub(crate) use listeners::{Listener, Listeners};

use crate::sync::NodeId;
use crate::trace::TraceContext;

/// Something that happened to one record of a service, here or on a peer.
///
/// Clones share their content.
///
/// ```
/// use wingbeat::event::Origin;
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service("messages", Memory::new()).build()?;
/// app.service_at("messages").on_any("created", |event| {
///     let text = &event.data().value()["text"];
///     match event.origin() {
///         Origin::Local => println!("{text}"),
///         other => println!("{text}, from {other:?}"),
///     }
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Event(Arc<Inner>);

/// What an event consists of before it is shared.
#[derive(Debug)]
pub(crate) struct Inner {
    /// The place of the service among those of the app.
    pub(crate) place: usize,
    pub(crate) path: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) data: Json,
    pub(crate) public: Json,
    pub(crate) context: Option<EventContext>,
    pub(crate) origin: Origin,
    pub(crate) happened: Option<Instant>,
    pub(crate) trace: Option<TraceContext>,
}

/// Where an event was emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// In this process.
    Local,
    /// On another wingbeat node, with its id and its label.
    Node {
        /// The id that the node drew when it was built.
        id: NodeId,
        /// The label that the node was configured with; empty while it is not known.
        name: Arc<str>,
    },
    /// On a Node `feathers-sync` process, which has no id.
    Foreign,
}

impl Event {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns the path of the service, as it was registered.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Returns the name: `created`, `updated`, `patched`, `removed` or a custom one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the data: at its origin the element of the call's result, on a peer what its origin let out.
    #[must_use]
    pub fn data(&self) -> &Json {
        &self.0.data
    }

    /// Returns what clients get: the element of the call's `dispatch`, or the data if there is none.
    #[must_use]
    pub fn public_data(&self) -> &Json {
        &self.0.public
    }

    /// Returns the part of the call that every node sees; custom events have none.
    #[must_use]
    pub fn context(&self) -> Option<&EventContext> {
        self.0.context.as_ref()
    }

    /// Tells where the event was emitted.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Returns the span of the call behind the event, on whichever node it ran; see [`Params::trace`](crate::Params::trace).
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.0.trace
    }

    /// Returns the place of the service among those of the app.
    pub(crate) fn place(&self) -> usize {
        self.0.place
    }

    /// Returns path and name, to share them.
    pub(crate) fn names(&self) -> (&Arc<str>, &Arc<str>) {
        (&self.0.path, &self.0.name)
    }

    /// Returns the instant of the event if it came late; a connection younger than that does not get it.
    pub(crate) fn happened(&self) -> Option<Instant> {
        self.0.happened
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
