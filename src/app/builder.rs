//! What an app is built from.

mod problems;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use wingbeat_adapter::SyncAdapter;

pub use problems::BuildError;

use super::clients::OnClient;
use super::{App, Config, Inner, registered_path, shutdown};
use crate::channels::{Audience, Channels, Dispatch, Publication, Publishers};
use crate::connections::{Connection, Connections};
use crate::event::Listeners;
use crate::hooks::{Chains, Hooks, RegisterHooks};
use crate::service::{Entry, Params, Registration, Routes, Service};
use crate::sync::{
    OpenPaths, Schemes, Services, SharedService, Sync, SyncMode, SyncOptions, SyncParts,
};
use crate::tasks::Tasks;
use crate::transport::{Counters, Entrance, Handshake, Tickets, engineio, observe};

/// Collects what an app consists of; [`build`](Self::build) checks all of it together.
///
/// ```
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .name("chat-1")
///     .service("messages", Memory::new())
///     .service("org/:orgId/items", Memory::new())
///     .on_connection(|connection, app| app.channel("everybody").join(connection))
///     .publish(|_event, channels| channels.channel("everybody"))
///     .sync_uri("memory://builder")
///     .build()?;
/// # app.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
#[derive(Default)]
pub struct AppBuilder {
    config: Config,
    services: Vec<(String, Registration)>,
    hooks: Hooks,
    publishers: Publishers,
    on_client: OnClient,
    entrance: Entrance,
    schemes: Schemes,
    sources: Vec<Source>,
    sync_options: SyncOptions,
    ticket_secret: Option<String>,
    open_paths: OpenPaths,
}

/// How the app reaches the other nodes.
enum Source {
    Uri(String),
    Adapter(Arc<dyn SyncAdapter>),
}

impl AppBuilder {
    /// Sets the label of the node.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Replaces all settings.
    ///
    /// ```
    /// use wingbeat::{App, Config};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = Config::default();
    /// config.max_body = 1 << 20;
    /// config.allowed_origins = vec!["https://app.example".to_owned()];
    /// let app = App::builder().config(config).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a service under a path, as `messages` or `org/:orgId/items`.
    pub fn service(mut self, path: &str, service: impl Into<Registration>) -> Self {
        self.services
            .push((registered_path(path).to_owned(), service.into()));
        self
    }

    /// Sets who hears the events of services that have no publisher of their own.
    ///
    /// Other events wait while a publisher runs, so it must not block. What it needs to know stands on the connection, in the
    /// event ([`sync_context`](Registration::sync_context)) or in memory.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .publish(|event, channels| {
    ///         // Whoever is in one of these hears it, once.
    ///         let room = event.data()["room"].as_str().map(|room| channels.channel(&format!("room/{room}")));
    ///         [Some(channels.channel("moderators")), room]
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish<A, F>(mut self, publisher: F) -> Self
    where
        A: Into<Audience>,
        F: Fn(&Publication<'_>, &Channels) -> A + Send + std::marker::Sync + 'static,
    {
        self.publishers.set(None, publisher);
        self
    }

    /// Sets who hears one of the four automatic events of services that have no publisher of their own for it.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .publish(|_, channels| channels.channel("everybody"))
    ///     .publish_event("removed", |_, channels| channels.channel("moderators"))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_event<A, F>(mut self, event: &str, publisher: F) -> Self
    where
        A: Into<Audience>,
        F: Fn(&Publication<'_>, &Channels) -> A + Send + std::marker::Sync + 'static,
    {
        self.publishers.set(Some(event.into()), publisher);
        self
    }

    /// Adds code that sees every new connection before its first call, to let it join channels.
    ///
    /// ```
    /// use serde_json::Value;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .on_connection(|connection, app| {
    ///         let room = connection.query().get("room").and_then(Value::as_str);
    ///         app.channel(&format!("room/{}", room.unwrap_or("hall"))).join(connection);
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_connection(
        mut self,
        on_connection: impl Fn(&Connection, &App) + Send + std::marker::Sync + 'static,
    ) -> Self {
        self.on_client.connection.push(Arc::new(on_connection));
        self
    }

    /// Adds code that sees every connection when it is gone; it has left its channels by then.
    pub fn on_disconnect(
        mut self,
        on_disconnect: impl Fn(&Connection, &App) + Send + std::marker::Sync + 'static,
    ) -> Self {
        self.on_client.disconnect.push(Arc::new(on_disconnect));
        self
    }

    /// Adds code that sees every connection that logs in, to let it change channels: see [`App::logged_in`].
    pub fn on_login(
        mut self,
        on_login: impl Fn(&Connection, &App) + Send + std::marker::Sync + 'static,
    ) -> Self {
        self.on_client.login.push(Arc::new(on_login));
        self
    }

    /// Adds code that sees every connection that logs out; it has left its channels by then: see [`App::logged_out`].
    pub fn on_logout(
        mut self,
        on_logout: impl Fn(&Connection, &App) + Send + std::marker::Sync + 'static,
    ) -> Self {
        self.on_client.logout.push(Arc::new(on_logout));
        self
    }

    /// Adds code that sees every REST request before its call, to put into its
    /// [`properties`](crate::Params::properties) and [`extensions`](crate::Params::extensions) who asks.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .on_request(|request, params| {
    ///         let token = request.headers.get("authorization").and_then(|token| token.to_str().ok());
    ///         params.properties.insert("token".to_owned(), token.into());
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_request(
        mut self,
        on_request: impl Fn(&http::request::Parts, &mut Params) + Send + std::marker::Sync + 'static,
    ) -> Self {
        self.entrance.on_request(on_request);
        self
    }

    /// Adds code that lets every client in, or refuses it, before there is a connection: one of Socket.IO, a plain websocket,
    /// or server-sent events. It says who comes in the connection's properties; see [`Handshake`].
    ///
    /// A client that is refused gets the error with its status, as from REST. Several are asked in the order in which they
    /// were added. When they take longer than [`Config::handshake_timeout`](crate::Config::handshake_timeout) together, what runs
    /// is dropped and the client is told 503.
    ///
    /// ```
    /// use serde_json::json;
    /// use wingbeat::App;
    /// use wingbeat::error::{Error, ErrorName};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), wingbeat::BuildError> {
    /// let app = App::builder()
    ///     .on_handshake(|handshake| {
    ///         Box::pin(async move {
    ///             let session = handshake.cookie("session").unwrap_or_default();
    ///             if session != "s3cret" {
    ///                 return Err(Error::new(ErrorName::NotAuthenticated, "who are you?"));
    ///             }
    ///             handshake.set_property("user", json!({ "name": "Ada" }));
    ///             Ok(())
    ///         })
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_handshake<F>(mut self, on_handshake: F) -> Self
    where
        F: Fn(&mut Handshake) -> BoxFuture<'_, crate::error::Result<()>>
            + Send
            + std::marker::Sync
            + 'static,
    {
        self.entrance.on_handshake(Arc::new(on_handshake));
        self
    }

    /// Sets the secret that all nodes share which are to take each other's [tickets](App::tickets). Without one a ticket is
    /// good at the node that issued it.
    pub fn ticket_secret(mut self, secret: impl Into<String>) -> Self {
        self.ticket_secret = Some(secret.into());
        self
    }

    /// Sets the routes of your own, as pages, that answer where no service does. The last ones set count.
    ///
    /// Services come first: a service at `/` takes every path of one segment for the id of a record.
    ///
    /// ```
    /// use axum::{Router, response::Html, routing::get};
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pages = Router::new().route("/", get(|| async { Html("<h1>Chat</h1>") }));
    /// let app = App::builder().service("messages", Memory::new()).fallback(pages).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fallback(mut self, router: axum::Router) -> Self {
        self.entrance.set_fallback(router);
        self
    }

    /// Takes events of paths without a service, from this node and from others; the app's publishers say who hears them, and
    /// they may have any name. [`EventLayer`](crate::EventLayer) does that by itself on the nodes that have one: this is for
    /// nodes without, that only have clients, and for [`emit`](crate::service::ServiceHandle::emit) by hand.
    ///
    /// ```
    /// use serde_json::json;
    /// use wingbeat::App;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .open_paths()
    ///     .publish(|_event, channels| channels.channel("everybody"))
    ///     .build()?;
    /// app.service_at("orders").emit("closed", json!({ "id": 7 }))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_paths(self) -> Self {
        self.open_paths.open();
        self
    }

    /// Joins the other nodes through an adapter.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    /// use wingbeat_adapter::MemoryBroker;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// let app = App::builder().service("messages", Memory::new()).sync(broker).build()?;
    /// app.sync().ready().await?;
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync(mut self, adapter: impl SyncAdapter) -> Self {
        self.sources.push(Source::Adapter(Arc::new(adapter)));
        self
    }

    /// Joins the other nodes through the broker at a URI: `memory://NAME`, `redis://…`, `rediss://…`; with
    /// their features `amqp://…`, `amqps://…`, `nats://…`, `tls://…`; or a scheme of [`register_scheme`](Self::register_scheme). The options `key`, `codec` and `delivery` may stand in its query.
    pub fn sync_uri(mut self, uri: impl Into<String>) -> Self {
        self.sources.push(Source::Uri(uri.into()));
        self
    }

    /// Sets how nodes are joined.
    ///
    /// ```
    /// use wingbeat::sync::SyncOptions;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut options = SyncOptions::default();
    /// options.key = "chat".to_owned();
    /// options.log_events = 50_000;
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .sync_options(options)
    ///     .sync_uri("memory://options")
    ///     .build()?;
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync_options(mut self, options: SyncOptions) -> Self {
        self.sync_options = options;
        self
    }

    /// Names the services that Node `feathers-sync` processes on the same broker have registered.
    ///
    /// Only the events of these travel where Node processes listen: an unknown path makes such a process deaf.
    pub fn node_peers<'a>(mut self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        self.sync_options.node_peers = paths.into_iter().map(str::to_owned).collect();
        self
    }

    /// Adds a URI scheme for an adapter of your own.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use wingbeat::{App, Memory};
    /// use wingbeat_adapter::MemoryBroker;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .register_scheme("bus", &[], |_uri| Ok(Arc::new(MemoryBroker::new())))
    ///     .sync_uri("bus://here?key=chat")
    ///     .build()?;
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn register_scheme<F>(
        mut self,
        scheme: &'static str,
        options: &'static [&'static str],
        adapter: F,
    ) -> Self
    where
        F: Fn(&str) -> Result<Arc<dyn SyncAdapter>, wingbeat_adapter::SyncError>
            + Send
            + std::marker::Sync
            + 'static,
    {
        self.schemes.register(scheme, options, adapter);
        self
    }

    /// Checks all parts together and starts the app: it takes calls, and dials the broker in the background.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let wrong = App::builder().service("messages", Memory::new()).node_peers(["mesages"]).build();
    /// let why = "node_peers names 'mesages', which is no service, did you mean 'messages'?";
    /// assert_eq!(wrong.unwrap_err().to_string(), why);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Names everything that is wrong: a path that stands twice, hooks and publishers for methods and events that no
    /// service has, more than one sync, a URI with an unknown scheme or option, an empty secret, no Tokio runtime to run in.
    pub fn build(mut self) -> Result<App, BuildError> {
        let mut problems = self.problems();
        let parts = self.sync_parts(&mut problems);
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        let app = self.assemble(parts);
        app.0.sync.start(app.tasks());
        app.start_hearing();
        for entry in app.0.routes.entries() {
            entry.service.setup(&app.downgrade(), &entry.path);
        }
        Ok(app)
    }

    fn assemble(self, parts: Option<SyncParts>) -> App {
        let dispatch = Dispatch::new();
        let mut routes = Routes::default();
        for (path, registration) in self.services {
            routes.insert(entry(&path, registration, &self.hooks));
        }
        let shared = routes.entries().map(|entry| SharedService {
            path: Arc::clone(&entry.path),
            mode: entry.sync_mode,
            dates: entry.dates.clone(),
        });
        let services = Services::new(shared).with_open_paths(self.open_paths.clone());
        let open = Entry {
            is_open: true,
            ..entry("*", Registration::new(NoMethods), &Hooks::default())
        };
        routes.set_open(open, self.open_paths);
        let secret = self.ticket_secret.as_deref();
        let tickets = Tickets::new(secret, self.config.ticket_lifetime);
        App::of(Arc::new(Inner {
            sync: Sync::new(parts, &self.config.name, services, dispatch.clone()),
            entrance: self.entrance.opened(self.config.max_connections),
            config: self.config,
            routes,
            publishers: self.publishers,
            listeners: Listeners::default(),
            channels: Channels::default(),
            connections: Connections::default(),
            on_client: self.on_client,
            dispatch,
            calls: Tasks::default(),
            tasks: Tasks::default(),
            shutdown: shutdown::Stage::new(),
            counters: Counters::default(),
            sessions: engineio::Sessions::default(),
            tickets,
            observed: observe::Counters::default(),
        }))
    }

    /// Finds the adapter; what keeps it from that joins the problems.
    fn sync_parts(&mut self, problems: &mut Vec<String>) -> Option<SyncParts> {
        if self.sources.len() > 1 {
            problems.push("sync is set more than once; an app has one".to_owned());
        }
        let parts = match self.sources.pop()? {
            Source::Adapter(adapter) => Ok(SyncParts::new(adapter, self.sync_options.clone())),
            Source::Uri(uri) => self.schemes.open(&uri, self.sync_options.clone()),
        };
        parts.map_err(|problem| problems.push(problem)).ok()
    }
}

impl RegisterHooks for AppBuilder {
    fn hooks_mut(&mut self) -> &mut Hooks {
        &mut self.hooks
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<&str> = self
            .services
            .iter()
            .map(|(path, _)| path.as_str())
            .collect();
        f.debug_struct("AppBuilder")
            .field("services", &paths)
            .finish_non_exhaustive()
    }
}

fn entry(path: &str, registration: Registration, app_hooks: &Hooks) -> Entry {
    Entry {
        place: 0,
        path: path.into(),
        chains: Chains::new(
            &registration.methods,
            app_hooks,
            &registration.hooks,
            &registration.service,
        ),
        published_events: registration.all_published_events(),
        service: registration.service,
        methods: registration.methods,
        custom_events: registration.custom_events,
        route_params: registration.route_params,
        publishers: registration.publishers,
        sync_context: registration.sync_context,
        sync_mode: if path == "authentication" {
            SyncMode::Off
        } else {
            registration.sync_mode
        },
        redacted: registration.redacted,
        dates: registration.dates,
        is_open: false,
    }
}

/// Answers no call: what stands for paths without a service.
struct NoMethods;

impl Service for NoMethods {
    const METHODS: &'static [&'static str] = &[];
}
