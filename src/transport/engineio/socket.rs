//! A client whose transport is a websocket, from its handshake on or after it has polled.

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;

use super::client::Client;
use super::open;
use super::probe::Probe;
use crate::app::App;
use crate::transport::caller;
use crate::transport::socketio::Session;
use crate::transport::websocket::{self, Socket, TextFrame};

/// Serves a client until it goes or has to.
///
/// What there is before the websocket is boxed, so that the task has no room for it.
pub(super) async fn serve(app: App, upgrade: OnUpgrade, session: Box<Session>) {
    let deadline = caller::connect_deadline(app.config());
    if let Some(socket) = Box::pin(begin(&app, upgrade, session)).await {
        websocket::run(app, socket, deadline).await;
    }
}

/// Returns the websocket, with the packet that opens the session in it.
async fn begin(
    app: &App,
    upgrade: OnUpgrade,
    session: Box<Session>,
) -> Option<Box<Socket<Client>>> {
    let Ok(io) = upgrade.await else {
        tracing::debug!("a client went before it had its websocket");
        return None;
    };
    let client = Client::new(app.config(), *session);
    let mut socket = Box::new(Socket::new(app, io, client));
    let open = open::packet(app.config(), &app.sessions().draw(), &[]);
    socket.writer.push(TextFrame::of(&open));
    Some(socket)
}

/// Goes on where a client that polled has changed to a websocket; `frames` wait for it.
pub(super) fn upgraded(probe: Probe, party: Client, frames: Vec<Bytes>) -> Socket<Client> {
    let mut writer = probe.writer;
    writer.frames_mut().extend(frames);
    Socket {
        io: probe.io,
        reader: probe.reader,
        writer,
        party,
        unread: Some(probe.rest),
    }
}
