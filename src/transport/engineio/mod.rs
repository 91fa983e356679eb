//! Engine.IO v4 over websocket: the handshake, the heartbeat, and bytes in both directions.
//!
//! In comes an HTTP request; it becomes a websocket with one task, which owns it unsplit. Events and answers wait in the
//! connection's outbox as finished websocket frames; the task writes all that wait with one vectored system call.
//!
//! How a connection ends:
//!
//! | why | websocket code | what a stock client does |
//! |---|---|---|
//! | the node shuts down | 1012 | connects again |
//! | the client reads too slowly: its outbox is full | 1013 | connects again |
//! | a message is larger than `max_message` | 1009 | connects again |
//! | a websocket frame is malformed, or text is not UTF-8 | 1002, 1007 | connects again |
//! | an Engine.IO or Socket.IO packet is malformed or out of place | none (1005) | connects again |
//! | no answer to a ping, or no namespace in time | none (1005) | connects again |
//! | the client leaves its namespace (`41`) | none (1005) | nothing: it wanted that |
//! | the client closes | its own | nothing |
//!
//! Invariant: whatever a client sends or does not read, memory for it is bounded: one message, its open calls, the outbox,
//! and sixteen frames of the writer's own.

mod counters;
mod handshake;
mod heartbeat;
mod packet;
mod socket;
mod websocket;

use axum::body::Body;
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use http::Request;

pub(crate) use counters::Counters;
#[cfg(feature = "__fuzz")]
pub(super) use packet::Packet;
#[cfg(feature = "__fuzz")]
pub(super) use websocket::Reader;
pub(crate) use websocket::TextFrame;

use self::handshake::{Handshake, Refusal};
use crate::app::App;
use crate::transport::socketio::Session;

/// Answers a request below `/socket.io`: with a websocket, or with the error that Engine.IO has for it.
pub(crate) async fn handle(app: &App, mut request: Request<Body>) -> Response {
    let handshake = match Handshake::check(&request, app.config()) {
        Ok(_) if app.is_draining() => return refuse(app, Refusal::Draining),
        Ok(handshake) => handshake,
        Err(refusal) => return refuse(app, refusal),
    };
    let response = handshake.accept();
    let upgrade = hyper::upgrade::on(&mut request);
    let session = Session::new(app.clone(), handshake.headers, handshake.query);
    app.tasks()
        .spawn("socket", socket::serve(app.clone(), upgrade, session));
    response
}

/// Draws a session id: 20 url-safe characters, 120 bits that nobody can guess.
pub(crate) fn session_id() -> String {
    BASE64URL_NOPAD.encode(&rand::random::<[u8; 15]>())
}

fn refuse(app: &App, refusal: Refusal) -> Response {
    tracing::debug!(?refusal, "a handshake was refused");
    match refusal {
        Refusal::ForeignOrigin => app.engineio().count_refused_origin(),
        _ => app.engineio().count_refused_handshake(),
    }
    refusal.respond()
}
