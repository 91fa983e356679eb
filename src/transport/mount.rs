//! An app inside of a server that is there already: as a router, or as a layer around one.

use std::task::{Context, Poll};

use axum::BoxError;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use http::{Method, Request};
use tower::{Layer, Service};

use super::{answer, engineio, health, plain, sse};
use crate::app::App;

impl App {
    /// Turns the app into a router of axum, to be nested or merged into that of the host.
    ///
    /// ```
    /// use axum::Router;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// // Services at `/api/messages`, Socket.IO at `/api/socket.io`, health at `/api/ready`.
    /// let router: Router = Router::new().nest("/api", app.into_router());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It answers every path that reaches it, so at most one such router can be merged, and into one without a fallback.
    pub fn into_router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new().fallback_service(self.http_service())
    }

    /// Returns a layer that answers what is for the app and hands all else, body and all, to the server inside.
    ///
    /// For the app are the paths of its services, those below `/socket.io`, `/ws`, `/events`, and the `GET` of `/live`, `/ready`
    /// and, with the feature `metrics`, `/metrics`; all of them below [`Config::prefix`](crate::Config::prefix). A fallback of the app's own
    /// is not asked.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// let router: Router = Router::new()
    ///     .route("/", get(|| async { "the pages that were there before" }))
    ///     .layer(app.layer());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn layer(&self) -> AppLayer {
        AppLayer(self.clone())
    }
}

/// Puts an app in front of a service; [`App::layer`] makes it.
#[derive(Clone, Debug)]
pub struct AppLayer(App);

/// A service behind an app: what is not for the app reaches it untouched.
#[derive(Clone, Debug)]
pub struct Mounted<S> {
    app: App,
    inner: S,
}

impl<S> Layer<S> for AppLayer {
    type Service = Mounted<S>;

    fn layer(&self, inner: S) -> Mounted<S> {
        let app = self.0.clone();
        Mounted { app, inner }
    }
}

impl<S, B> Service<Request<B>> for Mounted<S>
where
    S: Service<Request<B>>,
    S::Response: IntoResponse + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !is_ours(&self.app, request.method(), request.uri().path()) {
            let answered = self.inner.call(request);
            return answered.map_ok(IntoResponse::into_response).boxed();
        }
        let answered = answer(self.app.clone(), request.map(Body::new));
        async move { Ok(answered.await) }.boxed()
    }
}

/// Returns the part of a path that is below the app's prefix; `None` if the path is not.
pub(super) fn inside<'a>(app: &App, path: &'a str) -> Option<&'a str> {
    below(app.config().prefix.trim_matches('/'), path)
}

fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    if prefix.is_empty() {
        return Some(path);
    }
    match path.strip_prefix('/')?.strip_prefix(prefix)? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}

/// Tells whether a request is for the app.
fn is_ours(app: &App, verb: &Method, path: &str) -> bool {
    let is_known = |path| {
        engineio::is_path(path)
            || health::probe(app, verb, path).is_some()
            || plain::is_path(app, path)
            || sse::is_path(app, path)
            || app.routes().lookup(path).is_some()
    };
    inside(app, path).is_some_and(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_with_a_segment() {
        let table = [
            ("", "/messages", Some("/messages")),
            ("api", "/api/messages", Some("/messages")),
            ("api", "/api/", Some("/")),
            ("api", "/api", Some("/")),
            ("a/b", "/a/b/c", Some("/c")),
            ("api", "/apis", None),
            ("api", "/messages", None),
            ("api", "*", None),
        ];
        for (prefix, path, expected) in table {
            assert_eq!(below(prefix, path), expected, "{path} below {prefix}");
        }
    }
}
