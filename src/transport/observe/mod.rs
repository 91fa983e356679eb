//! Events of routes that the host wrote itself: what they answer becomes events, without a service behind it.
//!
//! In comes a response of the host's own router; it goes on as it streams, and its bytes are kept beside it. When the body has
//! ended, they become an event, as one emitted by hand.
//!
//! | response | event |
//! |---|---|
//! | 2xx with a body of JSON | `created`, `updated`, `patched` or `removed`, by the verb; each element of an array has its own, as with services |
//! | 2xx of `DELETE` without a body | `removed` with `{ "id": … }` from the path |
//! | an error, a redirect, a 304, a `GET` or `HEAD` | none |
//! | one with [`SkipEvent`] | none |
//! | larger than [`EventLayer::max_body`] | none, counted in `observed_too_large` |
//! | no JSON, or compressed | none, counted in `observed_unreadable` |
//! | a body that breaks, or still waits for something when its client goes | none, counted in `observed_cut_off` |
//!
//! A client that goes before it has read an answer undoes nothing of what was done for it: what the handler has ready is read
//! to its end, and the event happens. Only a body that still waits for something, as a stream, is cut off.
//!
//! Invariant: an answer waits for nothing but a full queue of events, as a call does; and no more of its body is kept than the
//! limit allows.

mod body;
mod counters;
mod events;
mod exchange;
mod route;
mod service;
mod watch;

use std::sync::Arc;

use http::{Method, Request};
use tower::Layer;

pub(crate) use counters::Counters;
pub use events::{Events, SkipEvent, SkipSync};
pub use exchange::Exchange;
pub use route::ObservedRoute;
pub use service::Observed;

use self::watch::{InProgress, Watch};
use crate::app::App;

/// Makes events of what the routes of a host answer: a 2xx to `POST`, `PUT`, `PATCH` or `DELETE` of a described route becomes
/// `created`, `updated`, `patched` or `removed`, with the body of the response as its data.
///
/// Events go the way of those that are emitted by hand: through the app's publishers and channels to the clients of every
/// node. The path under which they happen need not be a service; from [`new`](Self::new) on the app takes events of such
/// paths, as with [`AppBuilder::open_paths`](crate::AppBuilder::open_paths).
///
/// The layer stands inside of layers that compress, and inside of [`App::layer`], whose services have events already. Its
/// routes are those of the router around which it stands: below a `nest`, without the prefix.
///
/// ```
/// use axum::{Router, routing::post};
/// use wingbeat::{App, EventLayer};
///
/// # async fn create() -> &'static str { "" }
/// # async fn remove() -> &'static str { "" }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .on_connection(|connection, app| app.channel("everybody").join(connection))
///     .publish(|_event, channels| channels.channel("everybody"))
///     .build()?;
/// let router: Router = Router::new()
///     .route("/todos", post(create))
///     .route("/todos/{id}", axum::routing::delete(remove))
///     .layer(EventLayer::new(&app).resource("/todos", "todos"))
///     .layer(app.layer());
/// # Ok(())
/// # }
/// ```
///
/// What becomes of which response is in the table of [the module](self).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until a router has it"]
pub struct EventLayer {
    app: App,
    routes: Arc<matchit::Router<Arc<ObservedRoute>>>,
    max_body: usize,
}

/// It begins without routes, and each call describes more of them.
///
/// ```
/// use axum::{Json, Router, body::Body, http::Request, routing::post};
/// use serde_json::json;
/// use tower::Service;
/// use wingbeat::{App, EventLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().build()?;
/// let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
/// let layer = EventLayer::new(&app).resource("/todos", "todos").max_body(64 << 10);
/// app.service_at("todos").on_local("created", move |event| drop(tell.send(event.data().value().clone())));
///
/// let create = || async { Json(json!({ "id": 7 })) };
/// let mut router: Router = Router::new().route("/todos", post(create)).layer(layer);
/// router.call(Request::post("/todos").body(Body::empty())?).await?;
/// assert_eq!(told.recv().await.ok_or("no event")?["id"], 7);
/// # Ok(())
/// # }
/// ```
impl EventLayer {
    /// Makes a layer for an app, without routes.
    ///
    /// ```
    /// use axum::{Router, body::Body, http::Request, routing::post};
    /// use serde_json::json;
    /// use tower::Service;
    /// use wingbeat::{App, EventLayer, Events};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Also without routes: handlers inside of it can emit by hand.
    /// async fn close(events: Events) -> wingbeat::error::Result<()> {
    ///     events.emit("orders", "closed", &json!({ "id": 7 })).await
    /// }
    ///
    /// let app = App::builder().build()?;
    /// let mut router: Router = Router::new().route("/close", post(close)).layer(EventLayer::new(&app));
    /// let response = router.call(Request::post("/close").body(Body::empty())?).await?;
    /// assert!(response.status().is_success());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(app: &App) -> Self {
        app.routes().open_paths().open();
        Self {
            app: app.clone(),
            routes: Arc::default(),
            max_body: MAX_BODY,
        }
    }

    /// Describes a route, in the syntax of axum 0.8: `/todos/{id}`, `/files/{*path}`. Its events happen under the path of
    /// `route`, mostly just that path, as `"todos"`.
    ///
    /// ```
    /// use axum::{Json, Router, body::Body, http::Request, routing::put};
    /// use serde_json::json;
    /// use tower::Service;
    /// use wingbeat::{App, EventLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().build()?;
    /// let update = || async { Json(json!({ "name": "ada", "room": "kitchen" })) };
    /// let mut router: Router = Router::new()
    ///     .route("/members/{name}", put(update))
    ///     .layer(EventLayer::new(&app).route("/members/{name}", "users"));
    /// router.call(Request::put("/members/ada").body(Body::empty())?).await?;
    /// // The answer became `users updated`.
    /// assert_eq!(app.stats().observed, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// For a path that axum's `Router::route` would not take either, and for one that stands twice.
    pub fn route(mut self, path: &str, route: impl Into<ObservedRoute>) -> Self {
        let routes = Arc::make_mut(&mut self.routes);
        if let Err(error) = routes.insert(path, Arc::new(route.into())) {
            panic!("the route '{path}' can not be described: {error}");
        }
        self
    }

    /// Describes the two routes of a collection: `path` itself, and `path` with the id of a record behind it, as `/todos` and
    /// `/todos/{id}`.
    ///
    /// ```
    /// use axum::{Json, Router, body::Body, http::Request, routing::{delete, post}};
    /// use serde_json::json;
    /// use tower::Service;
    /// use wingbeat::{App, EventLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().build()?;
    /// let mut router: Router = Router::new()
    ///     .route("/todos", post(|| async { Json(json!({ "id": 7 })) }))
    ///     .route("/todos/{id}", delete(|| async {}))
    ///     .layer(EventLayer::new(&app).resource("/todos", "todos"));
    /// router.call(Request::post("/todos").body(Body::empty())?).await?;
    /// router.call(Request::delete("/todos/7").body(Body::empty())?).await?;
    /// // `todos created`, and `todos removed` with the id from the path.
    /// assert_eq!(app.stats().observed, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`route`](Self::route).
    pub fn resource(self, path: &str, route: impl Into<ObservedRoute>) -> Self {
        let route = route.into();
        let of_one = format!("{path}/{{id}}");
        self.route(path, route.clone()).route(&of_one, route)
    }

    /// Describes a route whose events a closure makes, from a successful exchange whose body fits the limit: the name and data
    /// of the event, or `None` for none. It sees every verb but the safe ones, as `GET`.
    ///
    /// ```
    /// use serde_json::json;
    /// use wingbeat::{App, EventLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let app = App::builder().build()?;
    /// let layer = EventLayer::new(&app).route_with("/orders/{id}/close", "orders", |exchange| {
    ///     Some(("closed", json!({ "id": exchange.id()?, "by": exchange.json()?["user"] })))
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`route`](Self::route).
    pub fn route_with<N, F>(self, path: &str, events_of: &str, event: F) -> Self
    where
        N: Into<String>,
        F: Fn(&Exchange) -> Option<(N, serde_json::Value)> + Send + Sync + 'static,
    {
        self.route(path, ObservedRoute::new(events_of).with(event))
    }

    /// Sets how many bytes of a body may become an event; 1 MiB by default. A larger one goes on without.
    ///
    /// ```
    /// use axum::{Json, Router, body::Body, http::Request, routing::post};
    /// use serde_json::json;
    /// use tower::Service;
    /// use wingbeat::{App, EventLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().build()?;
    /// let layer = EventLayer::new(&app).resource("/todos", "todos").max_body(16);
    /// let create = || async { Json(json!({ "id": 7, "text": "water the plants" })) };
    /// let mut router: Router = Router::new().route("/todos", post(create)).layer(layer);
    /// let response = router.call(Request::post("/todos").body(Body::empty())?).await?;
    /// assert!(response.status().is_success());
    /// assert_eq!(app.stats().observed_too_large, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_body(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    /// Lets a shutdown wait for a request that may have events, also by hand.
    fn begin(&self, method: &Method) -> InProgress {
        let entrance = self.app.entrance();
        entrance.begin().filter(|_| !method.is_safe())
    }

    /// Begins to watch a request if its route is described.
    fn watch<B>(&self, request: &Request<B>) -> Option<Watch> {
        let method = request.method();
        let matched = self.routes.at(request.uri().path()).ok()?;
        if !matched.value.listens_to(method) {
            return None;
        }
        Some(Watch {
            app: self.app.clone(),
            route: Arc::clone(matched.value),
            method: method.clone(),
            params: exchange::decoded(matched.params.iter()),
            max_body: self.max_body,
        })
    }
}

impl<S> Layer<S> for EventLayer {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed::new(self.clone(), inner)
    }
}

const MAX_BODY: usize = 1 << 20;
