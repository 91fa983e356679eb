//! 1 · Bytes ↔ calls: REST, Socket.IO, plain websockets and server-sent events over HTTP.
//!
//! In come requests, and messages of sockets; out go [`Call`](crate::service::Call)s. Back come replies, errors and events,
//! which leave as bytes.
//!
//! A request goes to the first of these that knows its path: `/socket.io/`; `/live`, `/ready`, with the feature `metrics`
//! `/metrics`, the plain websocket at `/ws` and server-sent events at `/events`, unless a service is registered under that very
//! name; the services, where a root service knows every path of one segment; the app's
//! [`fallback`](crate::AppBuilder::fallback). What nobody knows is a 404. With a [`prefix`](crate::Config::prefix) all but the
//! fallback are below it.
//!
//! [`App::serve`] is the app's own server. Others have it as a service ([`App::http_service`]), a router
//! ([`App::into_router`]) or a layer ([`App::layer`]); events of the host's own routes come from [`observe`].
//!
//! Invariants: this is the only stage that knows HTTP, Socket.IO or WebSocket; and of a body or message no more is in memory
//! than its limit allows.

mod addresses;
mod arguments;
mod caller;
mod calls;
mod cors;
mod counters;
pub(crate) mod engineio;
mod entrance;
#[cfg(feature = "__fuzz")]
pub(crate) mod fuzzing;
mod handshake;
mod health;
#[cfg(feature = "metrics")]
mod metrics;
mod mount;
pub mod observe;
mod origin;
mod plain;
pub mod query;
mod rates;
mod rest;
mod serve;
mod socketio;
mod sse;
mod tickets;
mod websocket;

use std::convert::Infallible;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Method, Request, StatusCode, header};
use tower::Service;

pub(crate) use counters::Counters;
pub use entrance::ClientAddr;
pub(crate) use entrance::Entrance;
pub use handshake::Handshake;
pub use mount::{AppLayer, Mounted};
#[cfg(feature = "__bench")]
pub(crate) use socketio::Session;
pub use tickets::Tickets;

use crate::app::App;
use crate::error::{Error, ErrorName};

/// Answers HTTP requests for an app, for servers and tests that bring sockets of their own; clones are the same service.
///
/// It is a tower service over any body. Websockets work where the server allows upgrades; the limits of connections and
/// headers are the server's.
///
/// ```
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service("messages", Memory::new()).build()?;
/// let router: axum::Router = axum::Router::new().fallback_service(app.http_service());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpService(App);

impl App {
    /// Returns the app as a service that answers HTTP requests, for servers that are not [`App::serve`].
    #[must_use]
    pub fn http_service(&self) -> HttpService {
        HttpService(self.clone())
    }
}

impl<B> Service<Request<B>> for HttpService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answered = answer(self.0.clone(), request.map(Body::new));
        answered.map(Ok).boxed()
    }
}

/// Calls run in tasks of their own, so what may panic here is the app's own code around them.
///
/// No `async fn`: each that a request goes through keeps a copy of it in its future.
fn answer(app: App, mut request: Request<Body>) -> impl Future<Output = Response> + Send {
    entrance::adopt_address(request.extensions_mut());
    let is_head = request.method() == Method::HEAD;
    let answered = AssertUnwindSafe(route(app, request)).catch_unwind();
    answered.map(move |answered| {
        let mut response = answered.unwrap_or_else(|_| panicked());
        if is_head {
            leave_out_body(&mut response);
        }
        response
    })
}

/// The server states the length of a body that it sends; of one that is not sent it knows none.
fn leave_out_body(response: &mut Response) {
    let body = mem::take(response.body_mut());
    if let Some(length @ 1..) = body.size_hint().exact() {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

/// What is not a call is boxed, so that the future of a call has no room for it.
async fn route(app: App, request: Request<Body>) -> Response {
    let app = &app;
    let Some(path) = mount::inside(app, request.uri().path()) else {
        return elsewhere(app, request).boxed().await;
    };
    if engineio::is_path(path) {
        return engineio::handle(app, request).boxed().await;
    }
    if let Some(response) = health::answer(app, request.method(), path) {
        return response;
    }
    if plain::is_path(app, path) {
        return plain::handle(app, request).boxed().await;
    }
    if sse::is_path(app, path) {
        return sse::handle(app, request).boxed().await;
    }
    match app.routes().lookup(path) {
        Some(route) => match app.entrance().begin() {
            Some(_in_progress) => rest::answer(app, route, request).await,
            None => closed(),
        },
        None => elsewhere(app, request).boxed().await,
    }
}

/// Answers a request that is not the app's.
async fn elsewhere(app: &App, request: Request<Body>) -> Response {
    let Some(_in_progress) = app.entrance().begin() else {
        return closed();
    };
    match app.entrance().fallback() {
        Some(router) => fall_back(app, router, request).await,
        None => rest::not_found(app, request).await,
    }
}

/// Tells whether a request is for what stands at that path, unless a service does.
fn is_at(app: &App, path: &str, own: &str) -> bool {
    let name = own.strip_prefix('/').unwrap_or(own);
    path == own && app.routes().registered(name).is_none()
}

fn closed() -> Response {
    Error::new(ErrorName::Unavailable, "the node has shut down").into_response()
}

/// Lets the app's own routes answer; where they have none, the answer is the usual one and not an empty page.
async fn fall_back(app: &App, mut router: Router, request: Request<Body>) -> Response {
    let uri = request.uri().clone();
    let response = router
        .call(request)
        .await
        .unwrap_or_else(|never| match never {});
    if response.status() == StatusCode::NOT_FOUND && response.body().size_hint().exact() == Some(0)
    {
        return rest::unknown_url(app, &uri);
    }
    response
}

fn panicked() -> Response {
    tracing::error!("code that answers a request panicked");
    Error::new(
        ErrorName::GeneralError,
        "the request failed unexpectedly; the log says more",
    )
    .into_response()
}
