//! The plain websocket: the calls and events of Feathers as arrays, in JSON or MessagePack (docs/websocket.md).
//!
//! In comes an HTTP request and after it messages; out go calls, and frames into the connection's outbox. The client is
//! connected before it knows that it has its websocket, so it misses nothing that happens after that.
//!
//! Invariant: a message that is no call closes the websocket; every call that asks for an answer gets one.

mod encoding;
#[cfg(feature = "__fuzz")]
pub(super) mod fuzzing;
#[cfg(feature = "msgpack")]
mod message_pack;
mod session;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Method, Request, header};

use self::encoding::Encoding;
use self::session::Session;
use crate::app::App;
use crate::error::{Error, ErrorName, Result};
use crate::transport::is_at;
use crate::transport::{Handshake, origin, query, rest, websocket};

/// Tells whether a plain websocket is at a path, unless a service is registered under that very name.
pub(super) fn is_path(app: &App, path: &str) -> bool {
    is_at(app, path, &app.config().websocket_path)
}

/// Answers a request for a websocket, or says why there is none.
pub(super) async fn handle(app: &App, mut request: Request<Body>) -> Response {
    let encoding = match checked(app, &request) {
        Ok(encoding) => encoding,
        Err(error) => return refuse(app, &error, websocket::is_possible(&request)),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let parts = request.into_parts().0;
    let query = query::parse(parts.uri.query().unwrap_or_default());
    let handshake = Handshake::new(app, "websocket", (parts, query));
    let handshake = match handshake.admitted().await {
        Ok(handshake) => handshake,
        Err(error) => return rest::refuse(app, &error),
    };
    let headers = &handshake.parts().headers;
    let named = headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    let chosen = named.then(|| HeaderValue::from_static(encoding.subprotocol()));
    let response = websocket::accept(headers, chosen);
    // Before the client has its answer: it hears everything that happens after that.
    let session = Box::new(Session::new(handshake, encoding));
    let serving = websocket::serve(app.clone(), upgrade, |app, upgraded| {
        Box::new(websocket::Socket::new(app, upgraded, *session))
    });
    app.tasks().spawn("websocket", serving);
    response
}

fn checked(app: &App, request: &Request<Body>) -> Result<Encoding> {
    if request.method() != Method::GET || !websocket::is_possible(request) {
        return Err(Error::bad_request(
            "a websocket of version 13 is expected here",
        ));
    }
    if origin::is_foreign(request, &app.config().allowed_origins) {
        return Err(origin::foreign());
    }
    if app.is_draining() {
        return Err(Error::new(
            ErrorName::Unavailable,
            "the node is shutting down",
        ));
    }
    Encoding::chosen(request.headers())
}

fn refuse(app: &App, error: &Error, is_possible: bool) -> Response {
    app.counters().count_refusal(error);
    let mut response = rest::refuse(app, error);
    if !is_possible {
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
    }
    response
}
