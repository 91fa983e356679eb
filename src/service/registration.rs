//! A service with what is set for it: methods, events, hooks, publishers, what leaves the process.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{AnyService, Method, Service};
use crate::channels::{Audience, Channels, Publication, Publishers};
use crate::error::Result;
use crate::hooks::{HookContext, Hooks, Next, RegisterHooks, Select};
use crate::sync::SyncMode;

/// Names the fields of a call that leave the process with its events, besides the standard ones.
pub(crate) type SyncContext = Arc<dyn Fn(&HookContext) -> Map<String, Value> + Send + Sync>;

/// A service on its way into an app, with its own hooks, events and publishers.
///
/// A bare [`Service`] turns into one with the defaults.
///
/// ```
/// use wingbeat::{App, Memory, service::Registration};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), wingbeat::BuildError> {
/// let messages = Registration::new(Memory::new()).events(["typing"]).publish(|_event, channels| channels.channel("chat"));
/// let app = App::builder().service("messages", messages).build()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a registration does nothing until an app is built with it"]
pub struct Registration {
    pub(crate) service: Arc<dyn AnyService>,
    pub(crate) methods: Vec<Arc<str>>,
    pub(crate) custom_events: Vec<Arc<str>>,
    pub(crate) published_events: Option<Vec<Arc<str>>>,
    pub(crate) route_params: Map<String, Value>,
    pub(crate) hooks: Hooks,
    pub(crate) publishers: Publishers,
    pub(crate) sync_context: Option<SyncContext>,
    pub(crate) sync_mode: SyncMode,
    pub(crate) redacted: Vec<Arc<str>>,
    pub(crate) dates: Vec<Arc<str>>,
}

impl Registration {
    /// Wraps a service with the defaults.
    pub fn new<S: Service>(service: S) -> Self {
        Self {
            service: Arc::new(service),
            methods: shared(S::METHODS.iter().copied()),
            custom_events: shared(S::EVENTS.iter().copied()),
            published_events: None,
            route_params: Map::new(),
            hooks: Hooks::default(),
            publishers: Publishers::default(),
            sync_context: None,
            sync_mode: SyncMode::default(),
            redacted: Vec::new(),
            dates: Vec::new(),
        }
    }

    /// Replaces the list of methods that clients may call.
    ///
    /// ```
    /// use wingbeat::service::Registration;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Nobody can change or remove one from outside.
    /// let messages = Registration::new(Memory::new()).methods(["find", "get", "create"]);
    /// let app = App::builder().service("messages", messages).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn methods<'a>(mut self, methods: impl IntoIterator<Item = &'a str>) -> Self {
        self.methods = shared(methods);
        self
    }

    /// Replaces the names of the service's custom events. An event named here is never sent automatically.
    ///
    /// ```
    /// use wingbeat::service::Registration;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let messages = Registration::new(Memory::new()).events(["typing"]);
    /// let app = App::builder().service("messages", messages).build()?;
    /// app.service_at("messages").emit("typing", serde_json::json!({ "who": "Ada" }))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn events<'a>(mut self, events: impl IntoIterator<Item = &'a str>) -> Self {
        self.custom_events = shared(events);
        self
    }

    /// Replaces the complete list of events that clients get; the default is the automatic four and the custom ones.
    pub fn published_events<'a>(mut self, events: impl IntoIterator<Item = &'a str>) -> Self {
        self.published_events = Some(shared(events));
        self
    }

    /// Sets route params that every call has, under those of its path.
    pub fn route_params(mut self, params: Map<String, Value>) -> Self {
        self.route_params = params;
        self
    }

    /// Sets who hears the service's events.
    pub fn publish<A, F>(mut self, publisher: F) -> Self
    where
        A: Into<Audience>,
        F: Fn(&Publication<'_>, &Channels) -> A + Send + Sync + 'static,
    {
        self.publishers.set(None, publisher);
        self
    }

    /// Sets who hears one event of the service; it goes before [`publish`](Self::publish).
    pub fn publish_event<A, F>(mut self, event: &str, publisher: F) -> Self
    where
        A: Into<Audience>,
        F: Fn(&Publication<'_>, &Channels) -> A + Send + Sync + 'static,
    {
        self.publishers.set(Some(event.into()), publisher);
        self
    }

    /// Adds a hook that runs around all other hooks of the service, in Feathers' terms with `service.hooks([…])`: inside of the
    /// app's, outside of those that [`around`](RegisterHooks::around) adds.
    pub fn wrap<F>(mut self, select: impl Into<Select>, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut HookContext, Next<'a>) -> BoxFuture<'a, Result<()>>
            + Send
            + Sync
            + 'static,
    {
        self.hooks.wrap(select.into(), hook);
        self
    }

    /// Names fields of a call that leave the process with its events, so that publishers everywhere can read them.
    ///
    /// Only what is named here and the standard fields (`path`, `method`, `event`, `id`) leave; never put a secret in.
    ///
    /// ```
    /// use serde_json::{Map, Value};
    /// use wingbeat::service::Registration;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let messages = Registration::new(Memory::new())
    ///     .sync_context(|context| {
    ///         let team = context.params.properties.get("team").cloned();
    ///         Map::from_iter(team.map(|team| ("team".to_owned(), team)))
    ///     })
    ///     .publish(|event, channels| {
    ///         let team = event.field("team").ok().and_then(Value::as_str);
    ///         team.map(|team| channels.channel(&format!("team/{team}")))
    ///     });
    /// let app = App::builder().service("messages", messages).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync_context<F>(mut self, fields: F) -> Self
    where
        F: Fn(&HookContext) -> Map<String, Value> + Send + Sync + 'static,
    {
        self.sync_context = Some(Arc::new(fields));
        self
    }

    /// Sets whether the service's events leave this node and whether those of other nodes come in; both, by default. The
    /// service at `authentication` is always [`SyncMode::Off`].
    ///
    /// ```
    /// use wingbeat::service::Registration;
    /// use wingbeat::sync::SyncMode;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Each node counts for itself.
    /// let messages = Registration::new(Memory::new()).sync(SyncMode::Off);
    /// let app = App::builder().service("messages", messages).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync(mut self, mode: SyncMode) -> Self {
        self.sync_mode = mode;
        self
    }

    /// Names properties that no client is to see: they are taken out of the data of events, at every depth, before it goes to
    /// clients and to other nodes. Answers to calls and listeners of this node still have them; a `dispatch` serves there.
    ///
    /// ```
    /// use wingbeat::service::Registration;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let messages = Registration::new(Memory::new()).redact(["email", "ip"]);
    /// let app = App::builder().service("messages", messages).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn redact<'a>(mut self, properties: impl IntoIterator<Item = &'a str>) -> Self {
        self.redacted = shared(properties);
        self
    }

    /// Names properties whose strings are dates, at every depth, as `createdAt`.
    ///
    /// A [codec](crate::sync::Codec) that has dates writes them as such, so that Node processes get a `Date`; here and at
    /// clients they stay what they are. A string that is no date in the form of RFC 3339 stays a string.
    ///
    /// ```
    /// use wingbeat::service::Registration;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let messages = Registration::new(Memory::new()).dates(["createdAt", "updatedAt"]);
    /// let app = App::builder().service("messages", messages).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn dates<'a>(mut self, properties: impl IntoIterator<Item = &'a str>) -> Self {
        self.dates = shared(properties);
        self
    }

    /// Returns the events that clients get.
    pub(crate) fn all_published_events(&self) -> Vec<Arc<str>> {
        let default = || {
            shared(Method::EVENTS)
                .into_iter()
                .chain(self.custom_events.iter().cloned())
                .collect()
        };
        self.published_events.clone().unwrap_or_else(default)
    }
}

impl RegisterHooks for Registration {
    fn hooks_mut(&mut self) -> &mut Hooks {
        &mut self.hooks
    }
}

impl<S: Service> From<S> for Registration {
    fn from(service: S) -> Self {
        Self::new(service)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

/// Tells whether a name may stand for an event: Node peers die of `error` without listener (feathers.md §9.6).
pub(crate) fn valid_event_name(name: &str) -> bool {
    !name.is_empty() && name != "error"
}

fn shared<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Arc<str>> {
    names.into_iter().map(Arc::from).collect()
}
