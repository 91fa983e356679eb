//! A client whose transport is a websocket, from its handshake on or after it has polled.

use bytes::Bytes;
use hyper::upgrade::Upgraded;

use super::client::Client;
use super::open;
use super::probe::Probe;
use crate::app::App;
use crate::transport::socketio::Session;
use crate::transport::websocket::{Socket, TextFrame};

/// Makes the websocket of a client, with the packet that opens its session in it.
pub(super) fn begin(app: &App, upgraded: Upgraded, session: Session) -> Box<Socket<Client>> {
    let client = Client::new(app.config(), session);
    let mut socket = Box::new(Socket::new(app, upgraded, client));
    let open = open::packet(app.config(), &app.sessions().draw(), &[]);
    socket.writer.push(TextFrame::of(&open));
    socket
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
