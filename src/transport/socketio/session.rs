//! One client of the default namespace, from its first packet to its last.

use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::noop_waker_ref;
use http::HeaderMap;
use serde_json::{Map, Value};

use super::attachments::Assembly;
use super::call::{self, Request};
use super::format;
use super::packet::{Body, Packet, ROOT};
use crate::app::App;
use crate::connections::{CloseReason, Connection, ConnectionInfo, Drained};
use crate::service::{Call, Route};
use crate::transport::engineio::session_id;

/// What Socket.IO knows of one transport connection.
///
/// The methods that read return a frame to be sent before anything else, or the reason for which the transport is to be
/// closed.
#[derive(Debug)]
pub(crate) struct Session {
    app: App,
    state: State,
    assembly: Option<Assembly>,
    /// Calls that are not answered; `None` while there are none, which is most of the time.
    calls: Option<FuturesUnordered<Answer>>,
}

#[derive(Debug)]
enum State {
    Waiting(Box<ConnectionInfo>),
    Connected(Connection),
    Ended,
}

/// Resolves to the frame that answers a call, if the client asked for one.
type Answer = BoxFuture<'static, Option<Bytes>>;

impl Session {
    /// Makes a session that waits for the client to connect.
    pub(crate) fn new(app: App, headers: HeaderMap, query: Map<String, Value>) -> Self {
        let info = ConnectionInfo {
            provider: "socketio",
            headers: headers.into(),
            query,
            format: &format::EVENTS,
            limits: app.config().outbox,
        };
        Self {
            app,
            state: State::Waiting(Box::new(info)),
            assembly: None,
            calls: None,
        }
    }

    /// Takes a packet.
    pub(crate) fn receive(&mut self, text: &str) -> Result<Option<Bytes>, CloseReason> {
        if self.assembly.is_some() {
            return Err(CloseReason::Protocol);
        }
        let Packet {
            namespace,
            n_attachments,
            body,
        } = Packet::parse(text).ok_or(CloseReason::Protocol)?;
        match (namespace, &body) {
            (ROOT, Body::Connect) => self.connect().map(|()| None),
            (other, Body::Connect) => Ok(Some(format::invalid_namespace(other))),
            (ROOT, _) if n_attachments > 0 && self.is_connected() => {
                let room = self.app.config().max_message.saturating_sub(text.len());
                self.assembly = Some(Assembly::new(body, n_attachments, room));
                Ok(None)
            }
            (ROOT, _) => self.take(body).map(|()| None),
            _ => Err(CloseReason::Protocol),
        }
    }

    /// Takes an attachment of the last packet.
    pub(crate) fn receive_attachment(&mut self, part: Bytes) -> Result<Option<Bytes>, CloseReason> {
        let mut assembly = self.assembly.take().ok_or(CloseReason::Protocol)?;
        if assembly.add(part)? {
            self.take(assembly.finish()?)?;
        } else {
            self.assembly = Some(assembly);
        }
        Ok(None)
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Tells whether the client has as many open calls as it may.
    pub(crate) fn is_busy(&self) -> bool {
        let n_open = self.calls.as_ref().map_or(0, FuturesUnordered::len);
        n_open >= self.app.config().max_open_calls.max(1)
    }

    /// Puts the answers of calls that are done into the outbox.
    pub(crate) fn poll_answers(&mut self, cx: &mut Context<'_>) {
        while let Some(calls) = &mut self.calls {
            match calls.poll_next_unpin(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => self.calls = None,
                Poll::Ready(Some(answer)) => {
                    if let (Some(frame), State::Connected(connection)) = (answer, &self.state) {
                        connection.send(frame);
                    }
                }
            }
        }
    }

    /// Moves everything that waits in the outbox into `frames`.
    pub(crate) fn poll_frames(
        &self,
        cx: &mut Context<'_>,
        frames: &mut Vec<Bytes>,
    ) -> Poll<Drained> {
        match &self.state {
            State::Connected(connection) => connection.outbox().poll_drain(cx, frames),
            State::Waiting(_) | State::Ended => Poll::Pending,
        }
    }

    /// Resolves when the connection is closed from elsewhere: as slow, by the app, by a shutdown.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        match &self.state {
            State::Connected(connection) => connection.outbox().poll_closed(cx),
            State::Waiting(_) | State::Ended => Poll::Pending,
        }
    }

    /// Ends the session: no event comes any more; returns what waited.
    pub(crate) fn end(&mut self, reason: CloseReason) -> Vec<Bytes> {
        let mut waiting = Vec::new();
        if let State::Connected(connection) = mem::replace(&mut self.state, State::Ended) {
            connection.close(reason);
            let mut cx = Context::from_waker(noop_waker_ref());
            let _ = connection.outbox().poll_drain(&mut cx, &mut waiting);
            if connection.outbox().closed() == Some(CloseReason::Revoked) {
                waiting.push(format::disconnected());
            }
            self.app.forget(&connection);
        }
        waiting
    }

    fn connect(&mut self) -> Result<(), CloseReason> {
        let info = match mem::replace(&mut self.state, State::Ended) {
            State::Waiting(info) => info,
            other => {
                self.state = other;
                return Err(CloseReason::Protocol);
            }
        };
        let connection = self.app.connections().add(*info);
        // Before the app lets it join channels: no event may come before this.
        connection.send(format::connected(&session_id()));
        self.state = State::Connected(connection.clone());
        self.app.greet(&connection);
        // A shutdown that began before the connection was added does not know of it.
        if self.app.is_draining() {
            connection.close(CloseReason::Restart);
        }
        Ok(())
    }

    /// Takes a packet that is complete.
    fn take(&mut self, body: Body) -> Result<(), CloseReason> {
        let State::Connected(connection) = &self.state else {
            return Err(CloseReason::Protocol);
        };
        match body {
            Body::Event { ack, arguments } => {
                let request = call::request(&self.app, connection, arguments);
                self.answer(ack, request);
                Ok(())
            }
            Body::Ack => Ok(()),
            Body::Disconnect => Err(CloseReason::Gone),
            Body::Connect => Err(CloseReason::Protocol),
        }
    }

    fn answer(&mut self, ack: Option<u64>, request: Request) {
        match (request, ack) {
            (Request::Ignored, _) => self.app.engineio().count_ignored_event(),
            (Request::Refused(_), None) => {}
            (Request::Refused(error), Some(ack)) => {
                let frame = format::error(ack, &error, self.app.config().feathers_compat);
                self.send(frame);
            }
            (Request::Call(route, call), ack) => {
                let answer = invoke(self.app.clone(), ack, (route, call)).boxed();
                self.calls.get_or_insert_default().push(answer);
            }
        }
    }

    fn send(&self, frame: Bytes) {
        if let State::Connected(connection) = &self.state {
            connection.send(frame);
        }
    }
}

impl Drop for Session {
    /// Reached with a connection only when the task panicked, as in an app's own `on_connection`.
    fn drop(&mut self) {
        self.end(CloseReason::Gone);
    }
}

async fn invoke(app: App, ack: Option<u64>, (route, call): (Route, Box<Call>)) -> Option<Bytes> {
    let outcome = app.invoke(route, call).await;
    let ack = ack?;
    Some(match outcome {
        Ok(reply) => format::result(ack, reply),
        Err(error) => format::error(ack, &error, app.config().feathers_compat),
    })
}
