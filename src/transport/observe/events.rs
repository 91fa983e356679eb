//! What handlers of the host say about events.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponseParts, ResponseParts};
use http::request::Parts;
use serde::Serialize;

use crate::app::{App, ByHand};
use crate::error::{Error, ErrorName, Result};

/// Emits events by hand, from a handler of the host; an extractor for routes inside of an [`EventLayer`](super::EventLayer).
///
/// ```
/// use axum::extract::Path;
/// use serde_json::json;
/// use wingbeat::Events;
///
/// async fn close(events: Events, Path(id): Path<u64>) -> wingbeat::error::Result<()> {
///     events.emit("orders", "closed", &json!({ "id": id })).await
/// }
/// # let _: axum::Router = axum::Router::new().route("/orders/{id}/close", axum::routing::post(close));
/// ```
///
/// Without the layer the request is answered 500, with what is missing.
#[derive(Clone, Debug)]
pub struct Events(App);

/// Says that a response becomes no event: a handler returns it before the body, as `(SkipEvent, Json(todo))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkipEvent;

/// Says that the event of a response stays with the clients of this node: a handler returns it before the body, as
/// `(SkipSync, Json(todo))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkipSync;

impl Events {
    pub(super) fn new(app: App) -> Self {
        Self(app)
    }

    /// Emits an event, to listeners and clients of every node; an array is the data of one event.
    ///
    /// # Errors
    /// `BadRequest` for the event name `error` or an empty one, a foreign error for data that is no JSON, and `Unavailable` once
    /// the node has shut down.
    ///
    /// # Cancel safety
    /// The event happens with the first poll; after that nothing depends on the future.
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        path: &str,
        event: &str,
        data: &T,
    ) -> Result<()> {
        let data = serde_json::to_value(data)?;
        self.0.emit_in_turn(&ByHand::new(path, event), &data).await
    }

    /// Returns the app.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Events {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let events = parts.extensions.get::<Self>().cloned();
        events.ok_or_else(|| {
            let missing =
                "this route is not inside of a wingbeat `EventLayer`, so it has no `Events`";
            tracing::error!(path = parts.uri.path(), "{missing}");
            Error::new(ErrorName::GeneralError, missing)
        })
    }
}

impl IntoResponseParts for SkipEvent {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        response.extensions_mut().insert(self);
        Ok(response)
    }
}

impl IntoResponseParts for SkipSync {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        response.extensions_mut().insert(self);
        Ok(response)
    }
}
