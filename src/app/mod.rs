//! The app: collects services, hooks, publishers and the adapter, runs calls, and shuts down in order.

mod builder;
mod clients;
mod config;
mod emission;
mod hearing;
mod shutdown;
mod stats;

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use tracing::Instrument;

pub use builder::{AppBuilder, BuildError};
pub use config::Config;
pub(crate) use emission::ByHand;
pub use shutdown::Leftover;
pub use stats::AppStats;

use self::clients::OnClient;
use crate::channels::{Channel, Channels, Dispatch, Publishers};
use crate::connections::Connections;
use crate::error::{Error, ErrorName, Result};
use crate::event::{Listener, Listeners, Scope};
use crate::hooks::HookContext;
use crate::service::typed::{ServiceType, TypedHandle};
use crate::service::{
    Answer, Asker, Call, Entry, Method, Params, Reply, Route, Routes, ServiceHandle, stripped,
};
use crate::sync::Sync;
use crate::tasks::{Run, Tasks};
use crate::trace;
use crate::transport::{Counters, Entrance, Tickets, engineio, observe};

/// A node: its services, its clients, and its link to the other nodes. Clones are the same node.
///
/// ```
/// use serde_json::json;
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service("messages", Memory::new()).build()?;
/// app.service_at("messages").on_local("created", |event| println!("{:?}", event.data()));
/// app.service_at("messages").create(json!({ "text": "hi" })).await?;
/// app.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct App(Arc<Share>);

/// What clones of an app count. Those for one client have a count of their own: one that all threads write is slow to reach.
struct Share(Arc<Inner>);

/// A way to an app that does not keep it alive, for services that the app owns.
#[derive(Clone, Debug)]
pub struct AppHandle(Weak<Inner>);

pub(crate) struct Inner {
    config: Config,
    routes: Routes,
    publishers: Publishers,
    listeners: Listeners,
    channels: Channels,
    connections: Connections,
    on_client: OnClient,
    entrance: Entrance,
    dispatch: Dispatch,
    sync: Sync,
    /// Calls that run; they end by themselves.
    calls: Tasks,
    /// Everything else: transports, the dispatcher, the sync supervisor.
    tasks: Tasks,
    shutdown: shutdown::Stage,
    /// What went wrong with clients.
    counters: Counters,
    /// The clients that poll.
    sessions: engineio::Sessions,
    tickets: Tickets,
    /// What became of responses of the host's own routes.
    observed: observe::Counters,
}

impl App {
    /// Starts to build an app.
    pub fn builder() -> AppBuilder {
        AppBuilder::default()
    }

    /// Returns a service as seen from inside the process, with its types.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use wingbeat::{App, Memory, ServiceType};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Message {
    ///     text: String,
    /// }
    ///
    /// struct Messages;
    ///
    /// impl ServiceType for Messages {
    ///     const PATH: &'static str = "messages";
    ///     type Record = Message;
    ///     type Data = Message;
    ///     type Patch = Message;
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service(Messages::PATH, Memory::<Message>::typed()).build()?;
    /// let messages = app.service::<Messages>();
    /// let message = messages.create(&Message { text: "hi".to_owned() }).await?;
    /// assert_eq!(message.text, "hi");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn service<S: ServiceType>(&self) -> TypedHandle<S> {
        self.service_at(S::PATH).typed()
    }

    /// Returns the service at a path as seen from inside the process, with JSON in place of types. A path without service
    /// answers `NotFound` to every call.
    ///
    /// ```
    /// use serde_json::json;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// let message = app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// assert_eq!(message, json!({ "text": "hi", "id": 0 }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn service_at(&self, path: &str) -> ServiceHandle {
        ServiceHandle::new(self.clone(), path)
    }

    /// Returns the channel of a name.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// assert_eq!(app.channel("everybody").len(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn channel(&self, name: &str) -> Channel {
        self.0.channels.channel(name)
    }

    /// Returns all channels.
    #[must_use]
    pub fn channels(&self) -> &Channels {
        &self.0.channels
    }

    /// Returns the link to the other nodes.
    #[must_use]
    pub fn sync(&self) -> &Sync {
        &self.0.sync
    }

    /// Returns what issues tickets to clients that can send no header with their handshake.
    #[must_use]
    pub fn tickets(&self) -> &Tickets {
        &self.0.tickets
    }

    /// Returns the label of this node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.config.name
    }

    /// Returns how many clients are connected to this node.
    #[must_use]
    pub fn n_connections(&self) -> usize {
        self.0.connections.len()
    }

    /// Runs a call with its hooks and sends its events.
    ///
    /// ```
    /// use serde_json::json;
    /// use wingbeat::{App, Call, Memory, Method};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// let mut call = Call::new("messages", Method::Create);
    /// call.data = json!({ "text": "hi" });
    /// let reply = app.call(call).await?;
    /// assert_eq!(reply.result, json!({ "text": "hi", "id": 0 }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for a path without service, `MethodNotAllowed` for a method that it does not offer, and whatever hooks and
    /// the service fail with.
    ///
    /// # Cancel safety
    /// The call runs to its end in a task of its own, also when the future is dropped.
    pub async fn call(&self, call: Call) -> Result<Reply> {
        let path = stripped(&call.path);
        let route = self.0.routes.lookup(path).ok_or_else(|| not_found(path))?;
        // Always a task: calls out of calls, however deep, take no stack.
        let run = self.0.calls.spawn("call", run(self.context(route, call)));
        answer(run.await.ok().flatten()).map(Reply::from)
    }

    /// Adds a listener for the events of a service: `Scope::Local` hears this node's only.
    pub(crate) fn listen(&self, path: &str, event: &str, scope: Scope, listener: Listener) {
        let (routes, path) = (&self.0.routes, registered_path(path));
        if let Some(entry) = routes.registered(path) {
            return self.0.listeners.add(entry.place, event, scope, listener);
        }
        if !routes.open_paths().take(path) {
            tracing::warn!(
                path,
                event,
                "there is no such service: a listener hears nothing"
            );
        }
        if let Some(open) = routes.open_entry() {
            let listener = only_of(path.into(), listener);
            self.0.listeners.add(open.place, event, scope, listener);
        }
    }

    /// Begins a client's call, whose service is found. The context is boxed, for futures that hold it are moved more than once.
    pub(crate) fn asked(&self, entry: &Entry, method: Method, params: Params) -> Box<HookContext> {
        let context = HookContext::new(self.clone(), entry, method, params, Asker::Client);
        Box::new(context)
    }

    /// Runs a client's call, to its end whoever waits for that; [`answer`] tells what came of it.
    pub(crate) fn run(&self, context: Box<HookContext>) -> Run<Result<Box<HookContext>>> {
        self.0.calls.run("call", run(context))
    }

    /// Makes what goes through the hooks of a call inside the process.
    fn context(&self, route: Route<'_>, call: Call) -> Box<HookContext> {
        let has_data = !matches!(call.method, Method::Find | Method::Get | Method::Remove);
        let params = Params {
            route: route.params,
            ..call.params
        };
        let app = self.clone();
        let context = HookContext::new(app, route.entry, call.method, params, Asker::Process);
        let mut context = Box::new(context);
        context.id = call.id;
        context.data = has_data.then_some(call.data);
        context.sync(call.sync);
        context
    }

    /// Returns a way to this app that does not keep it alive, for code that the app itself owns, as what
    /// [`on_gap`](Self::on_gap) adds.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), wingbeat::BuildError> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// let handle = app.downgrade();
    /// assert!(handle.upgrade().is_some());
    /// drop(app);
    /// assert!(handle.upgrade().is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> AppHandle {
        AppHandle(Arc::downgrade(&self.0.0))
    }

    /// Returns this app for one more client, whose calls clone it.
    pub(crate) fn apart(&self) -> Self {
        Self::of(Arc::clone(&self.0.0))
    }

    fn of(inner: Arc<Inner>) -> Self {
        Self(Arc::new(Share(inner)))
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.0.routes
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn entrance(&self) -> &Entrance {
        &self.0.entrance
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn observed(&self) -> &observe::Counters {
        &self.0.observed
    }

    pub(crate) fn sessions(&self) -> &engineio::Sessions {
        &self.0.sessions
    }
}

impl AppHandle {
    /// Returns the app, unless it is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<App> {
        self.0.upgrade().map(App::of)
    }
}

impl Deref for Share {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// An app that is dropped without [`App::close`] takes its tasks along; what is not settled then is lost to the others.
impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.0.config.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

/// Runs a call with its hooks and sends its events. The context comes back as it is: to move its parts through each of the
/// futures costs more than most hooks.
async fn run(mut context: Box<HookContext>) -> Result<Box<HookContext>> {
    let span = trace::call(&mut context);
    run_hooks(context).instrument(span).await
}

async fn run_hooks(mut context: Box<HookContext>) -> Result<Box<HookContext>> {
    let app = context.app().clone();
    let entry = app.routes().entry(context.place());
    entry.chains.run(&mut context).await?;
    app.emit_events(entry, &context).await;
    Ok(context)
}

/// Makes the answer of a call that has run; `None` for one that panicked.
pub(crate) fn answer(ran: Option<Result<Box<HookContext>>>) -> Result<Answer> {
    let panicked = || {
        Error::new(
            ErrorName::GeneralError,
            "the call failed unexpectedly; the log says more",
        )
    };
    let ran = ran.unwrap_or_else(|| Err(panicked()));
    ran.map(Answer::from)
}

/// All paths without a service have one place among the listeners.
fn only_of(path: Arc<str>, listener: Listener) -> Listener {
    Arc::new(move |event| match event.path() == &*path {
        true => listener(event),
        false => Ok(()),
    })
}

fn not_found(path: &str) -> Error {
    Error::not_found(format!("Service '{path}' not found"))
}

/// Turns a path as a user writes it into the one under which a service is registered; the root service is `/`.
pub(crate) fn registered_path(path: &str) -> &str {
    match stripped(path) {
        "" => "/",
        stripped => stripped,
    }
}
