//! Server-sent events: the events of the services that a client names, one way, over plain HTTP (docs/sse.md).
//!
//! In comes a `GET`; its answer is a body that ends when the client goes or has to. The connection has one task, which takes
//! what waits in the outbox whenever the body has room.
//!
//! Invariant: for a client that does not read there is memory for the outbox and two batches that were taken out of it; and
//! what can not be resumed does not look as if it were.

mod body;
mod format;
mod subscription;
mod task;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, Method, Request, header};

use self::subscription::Subscription;
use crate::app::App;
use crate::error::{Error, Result};
use crate::transport::is_at;
use crate::transport::serve::HangUp;
use crate::transport::{Handshake, cors, origin, rest};

/// Tells whether streams of events are at a path, unless a service is registered under that very name.
pub(super) fn is_path(app: &App, path: &str) -> bool {
    is_at(app, path, &app.config().events_path)
}

/// Answers a request for events.
pub(super) async fn handle(app: &App, request: Request<Body>) -> Response {
    let origin = cors::allowed(request.headers(), &app.config().allowed_origins);
    let is_get = request.method() == Method::GET;
    let mut response = match checked(app, &request) {
        Ok(_) if app.is_draining() => answer(Body::from(format::farewell())),
        Ok(subscription) => open(app, request, subscription).await,
        Err(error) => {
            app.counters().count_refusal(&error);
            rest::refuse(app, &error)
        }
    };
    if !is_get {
        let allowed = HeaderValue::from_static("GET");
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    origin
        .into_iter()
        .for_each(|origin| cors::allow(&mut response, origin));
    response
}

fn checked(app: &App, request: &Request<Body>) -> Result<Subscription> {
    if request.method() != Method::GET {
        return Err(Error::method_not_allowed("events are asked for by GET"));
    }
    if origin::is_foreign(request, &app.config().allowed_origins) {
        return Err(origin::foreign());
    }
    Subscription::of(app, request.uri().query().unwrap_or_default())
}

async fn open(app: &App, request: Request<Body>, subscription: Subscription) -> Response {
    let parts = request.into_parts().0;
    let hang_up = parts.extensions.get::<HangUp>().cloned();
    let Subscription { interest, query } = subscription;
    let handshake = Handshake::new(app, "sse", (parts, query));
    let handshake = match handshake.admitted().await {
        Ok(handshake) => handshake,
        Err(error) => return rest::refuse(app, &error),
    };
    let opening = format::opening(&stream_id(), handshake.parts().headers.get("last-event-id"));
    let mut caller = handshake.into_caller(&format::Events, Some(interest));
    let connected = caller.connect(Some(opening));
    debug_assert!(connected.is_ok(), "it was not connected before");
    let (sender, body) = body::pipe();
    app.tasks()
        .spawn("events", task::serve(caller, sender, hang_up));
    answer(Body::new(body))
}

fn answer(body: Body) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // What nginx would collect until it is worth sending.
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let mut response = body.into_response();
    response.headers_mut().extend(headers);
    response
}

fn stream_id() -> String {
    BASE64URL_NOPAD.encode(&rand::random::<[u8; 9]>())
}
