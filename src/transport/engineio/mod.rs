//! Engine.IO v4: the handshake, the heartbeat, and bytes in both directions, over websocket or by long-polling.
//!
//! In comes an HTTP request. It becomes a websocket, or the beginning of a session whose packets come by `POST` and are fetched
//! by `GET`. Either has one task, which owns all that belongs to the client. Events and answers wait in the connection's outbox
//! as finished websocket frames: a websocket's task writes all that wait with one vectored system call; for a poll they are
//! taken out of their frames and put into one body of at most `max_message` bytes.
//!
//! A client that polls may change to a websocket. Its task stays the same and goes on with what was not fetched, so nothing is
//! lost, doubled or overtaken.
//!
//! How a connection ends:
//!
//! | why | websocket code | what a stock client does |
//! |---|---|---|
//! | the node shuts down | 1012 | connects again |
//! | the client reads too slowly: its outbox is full | 1013 | connects again |
//! | a message is larger than `max_message` | 1009 | connects again |
//! | the client sends more messages or bytes a second than it may | 1008 | connects again |
//! | a websocket frame is malformed, or text is not UTF-8 | 1002, 1007 | connects again |
//! | an Engine.IO or Socket.IO packet is malformed or out of place | none (1005) | connects again |
//! | no answer to a ping, or no namespace in time | none (1005) | connects again |
//! | the client leaves its namespace (`41`) | none (1005) | nothing: it wanted that |
//! | the client closes | its own | nothing |
//!
//! A client that polls gets `1` in each of these cases, 413 for a body that is too large, and 429 for one that comes too soon; after that its
//! session is unknown. Where the stock server keeps such a session, it ends here: after a 413, and when its namespace is left.
//!
//! Invariant: whatever a client sends or does not read, memory for it is bounded: one message, its open calls, the outbox,
//! and sixteen frames of the writer's own.

mod client;
mod handshake;
mod mailbox;
mod open;
mod packet;
mod payload;
mod polling;
mod probe;
mod requests;
mod sessions;
mod socket;

use axum::body::Body;
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use http::Request;

pub(super) use handshake::WRONG_NODE;
#[cfg(feature = "__fuzz")]
pub(super) use packet::Packet;
pub(crate) use sessions::Sessions;

use self::handshake::{Refusal, Transport, Visit};
use self::sessions::Place;
use crate::app::App;
use crate::transport::socketio::Session;
use crate::transport::{Handshake, cors, rest, websocket};

/// Tells whether a path leads here.
pub(super) fn is_path(path: &str) -> bool {
    path == "/socket.io" || path.starts_with("/socket.io/")
}

/// Answers a request below `/socket.io`, with the error that Engine.IO has for it if need be.
pub(crate) async fn handle(app: &App, request: Request<Body>) -> Response {
    let origin = cors::allowed(request.headers(), &app.config().allowed_origins);
    let preflight = origin.as_ref().and_then(|_| cors::preflight(&request));
    let mut response = match preflight {
        Some(response) => response,
        None => visit(app, request)
            .await
            .unwrap_or_else(|refusal| refuse(app, refusal)),
    };
    origin
        .into_iter()
        .for_each(|origin| cors::allow(&mut response, origin));
    response
}

async fn visit(app: &App, request: Request<Body>) -> Result<Response, Refusal> {
    let mut visit = Visit::of(&request)?;
    match visit.sid.take() {
        Some(sid) => resume(app, request, (&visit, &sid)).await,
        None => begin(app, request, visit).await,
    }
}

/// Opens a session.
async fn begin(app: &App, mut request: Request<Body>, visit: Visit) -> Result<Response, Refusal> {
    let transport = visit.transport;
    let query = visit.begin(&request, app.config())?;
    if app.is_draining() {
        return Err(Refusal::Draining);
    }
    // Takes it out of the extensions, too, which stay as long as the client.
    let upgrade = hyper::upgrade::on(&mut request);
    let handshake = Handshake::new(app, "socketio", (request.into_parts().0, query));
    let handshake = match handshake.admitted().await {
        Ok(handshake) => handshake,
        Err(error) => return Ok(rest::refuse(app, &error)),
    };
    if transport == Transport::Websocket {
        let headers = &handshake.parts().headers;
        let response = websocket::accept(headers, handshake::subprotocol(headers));
        let session = Box::new(Session::new(handshake));
        let serving = websocket::serve(app.clone(), upgrade, |app, upgraded| {
            socket::begin(app, upgraded, *session)
        });
        app.tasks().spawn("socket", serving);
        return Ok(response);
    }
    let place = Place::open(app)?;
    let open = open::packet(app.config(), &place.sid, &["websocket"]);
    let session = Session::new(handshake);
    app.tasks()
        .spawn("polling", polling::serve(app.clone(), place, session));
    Ok(requests::packets(open))
}

/// Answers a request of a session that is there, or was.
async fn resume(
    app: &App,
    mut request: Request<Body>,
    (visit, sid): (&Visit, &str),
) -> Result<Response, Refusal> {
    let mailbox = app.sessions().find(sid)?;
    visit.resume(&request)?;
    if visit.transport == Transport::Polling {
        return requests::answer(app.config(), mailbox, request).await;
    }
    let headers = request.headers();
    let response = websocket::accept(headers, handshake::subprotocol(headers));
    match mailbox.upgrade(hyper::upgrade::on(&mut request)) {
        true => Ok(response),
        false => Err(Refusal::BadRequest),
    }
}

/// Draws a session id: 20 url-safe characters, 120 bits that nobody can guess.
pub(crate) fn session_id() -> String {
    BASE64URL_NOPAD.encode(&rand::random::<[u8; 15]>())
}

fn refuse(app: &App, refusal: Refusal) -> Response {
    tracing::debug!(?refusal, "a request was refused");
    match refusal {
        Refusal::ForeignOrigin => app.counters().count_refused_origin(),
        Refusal::WrongNode => app.counters().count_wrong_node(),
        _ => app.counters().count_refused_handshake(),
    }
    refusal.respond()
}
