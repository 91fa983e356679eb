//! The tower service that stands around a router of the host.

use std::fmt;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Request;
use tower::Service;

use super::EventLayer;
use super::events::Events;

/// A service whose responses become events; [`EventLayer`] makes it.
#[derive(Clone)]
pub struct Observed<S> {
    layer: EventLayer,
    inner: S,
}

impl<S> Observed<S> {
    pub(super) fn new(layer: EventLayer, inner: S) -> Self {
        Self { layer, inner }
    }
}

impl<S, B, R> Service<Request<B>> for Observed<S>
where
    S: Service<Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let watch = self.layer.watch(&request);
        let in_progress = self.layer.begin(request.method());
        let events = Events::new(self.layer.app.clone());
        request.extensions_mut().insert(events);
        let answered = self.inner.call(request);
        let app = self.layer.app.clone();
        async move {
            let response = answered.await?.map(Body::new);
            let Some(watch) = watch else {
                return Ok(response);
            };
            let response = watch.follow(response, in_progress);
            // As a call does, lest responses fill the queue faster than it is emptied.
            app.room().await;
            Ok(response)
        }
        .boxed()
    }
}

impl<S: fmt::Debug> fmt::Debug for Observed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
