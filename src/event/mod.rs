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
///
/// ```
/// use wingbeat::event::Origin;
///
/// fn place(origin: &Origin) -> &str {
///     match origin {
///         Origin::Local => "here",
///         Origin::Node { name, .. } => name,
///         _ => "a Node process",
///     }
/// }
/// assert_eq!(place(&Origin::Local), "here");
/// ```
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

/// What listeners and publishers read.
///
/// ```
/// # use serde_json::json;
/// # use wingbeat::{App, Memory};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let app = App::builder().service("messages", Memory::new()).build()?;
/// # let (heard, mut events) = tokio::sync::mpsc::channel(1);
/// # app.service_at("messages").on_local("created", move |event| drop(heard.try_send(event.clone())));
/// app.service_at("messages").create(json!({ "text": "hi" })).await?;
/// # let event = events.recv().await.ok_or("no event")?;
/// let line = format!("{} {}: {:?}", event.path(), event.name(), event.data());
/// assert_eq!(line, r#"messages created: {"text":"hi","id":0}"#);
/// # Ok(())
/// # }
/// ```
impl Event {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns the path of the service, as it was registered.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::{App, Memory};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let app = App::builder().service("messages", Memory::new()).build()?;
    /// # let (heard, mut events) = tokio::sync::mpsc::channel(1);
    /// # app.service_at("messages").on_local("created", move |event| drop(heard.try_send(event.clone())));
    /// app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// # let event = events.recv().await.ok_or("no event")?;
    /// assert_eq!(event.path(), "messages");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Returns the name: `created`, `updated`, `patched`, `removed` or a custom one.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::{App, Memory};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let messages = wingbeat::service::Registration::new(Memory::new()).events(["typing"]);
    /// # let app = App::builder().service("messages", messages).build()?;
    /// # let (heard, mut events) = tokio::sync::mpsc::channel(1);
    /// # app.service_at("messages").on_local("typing", move |event| drop(heard.try_send(event.clone())));
    /// app.service_at("messages").emit("typing", json!({ "who": "Ada" }))?;
    /// # let event = events.recv().await.ok_or("no event")?;
    /// assert_eq!(event.name(), "typing");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the data: at its origin the element of the call's result, on a peer what its origin let out.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::{App, Memory};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let app = App::builder().service("messages", Memory::new()).build()?;
    /// # let (heard, mut events) = tokio::sync::mpsc::channel(1);
    /// # app.service_at("messages").on_local("created", move |event| drop(heard.try_send(event.clone())));
    /// app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// # let event = events.recv().await.ok_or("no event")?;
    /// assert_eq!(event.data().value(), &json!({ "text": "hi", "id": 0 }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn data(&self) -> &Json {
        &self.0.data
    }

    /// Returns what clients get: the element of the call's `dispatch`, or the data if there is none.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::{App, Memory, Method, hooks::RegisterHooks};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .after(Method::Create, |context| {
    ///         Box::pin(async move {
    ///             context.dispatch = context.result.as_ref().map(|message| json!({ "id": message["id"] }));
    ///             Ok(())
    ///         })
    ///     })
    ///     .build()?;
    /// # let (heard, mut events) = tokio::sync::mpsc::channel(1);
    /// # app.service_at("messages").on_local("created", move |event| drop(heard.try_send(event.clone())));
    /// app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// # let event = events.recv().await.ok_or("no event")?;
    /// assert_eq!(event.public_data().value(), &json!({ "id": 0 }));
    /// assert_eq!(event.data().value()["text"], "hi");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn public_data(&self) -> &Json {
        &self.0.public
    }

    /// Returns the part of the call that every node sees; custom events have none.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::{App, Memory};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let app = App::builder().service("messages", Memory::new()).build()?;
    /// # let (heard, mut events) = tokio::sync::mpsc::channel(1);
    /// # app.service_at("messages").on_local("patched", move |event| drop(heard.try_send(event.clone())));
    /// # app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// app.service_at("messages").patch(0, json!({ "text": "hello" })).await?;
    /// # let event = events.recv().await.ok_or("no event")?;
    /// let context = event.context().ok_or("emitted by hand")?;
    /// assert_eq!((context.method(), context.id()), (Some("patch"), Some(&json!(0))));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn context(&self) -> Option<&EventContext> {
        self.0.context.as_ref()
    }

    /// Tells where the event was emitted.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::event::Origin;
    /// # use wingbeat::{App, Memory};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let app = App::builder().service("messages", Memory::new()).build()?;
    /// # let (heard, mut events) = tokio::sync::mpsc::channel(1);
    /// # app.service_at("messages").on_local("created", move |event| drop(heard.try_send(event.clone())));
    /// app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// # let event = events.recv().await.ok_or("no event")?;
    /// assert_eq!(event.origin(), &Origin::Local);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Returns the span of the call behind the event, on whichever node it ran; see [`Params::trace`](crate::Params::trace).
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::{App, Memory, Params};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let app = App::builder().service("messages", Memory::new()).build()?;
    /// # let (heard, mut events) = tokio::sync::mpsc::channel(1);
    /// # app.service_at("messages").on_local("created", move |event| drop(heard.try_send(event.clone())));
    /// let mut params = Params::default();
    /// params.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?);
    /// app.service_at("messages").create(json!({ "text": "hi" })).params(params).await?;
    /// # let event = events.recv().await.ok_or("no event")?;
    /// assert_eq!(event.trace().map(|trace| trace.trace_id()), Some(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736));
    /// # Ok(())
    /// # }
    /// ```
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
