//! One client of the default namespace, from its first packet to its last.

use bytes::Bytes;

use super::attachments::Assembly;
use super::call::{self, Request};
use super::format;
use super::packet::{Body, Packet, ROOT};
use crate::app::App;
use crate::connections::CloseReason;
use crate::error::Result;
use crate::service::Answer;
use crate::transport::Handshake;
use crate::transport::caller::Caller;
use crate::transport::engineio::session_id;

/// What Socket.IO knows of one transport connection.
///
/// The methods that read return a frame to be sent before anything else, or the reason for which the transport is to be
/// closed.
#[derive(Debug)]
pub(crate) struct Session {
    caller: Caller,
    assembly: Option<Assembly>,
}

impl Session {
    /// Makes a session that waits for the client to connect.
    pub(crate) fn new(handshake: Handshake) -> Self {
        let caller = handshake.into_caller(&format::EVENTS, None);
        Self {
            caller: caller.with_farewell(format::disconnected),
            assembly: None,
        }
    }

    pub(in crate::transport) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(in crate::transport) fn caller_mut(&mut self) -> &mut Caller {
        &mut self.caller
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
            (ROOT, Body::Connect) => {
                let first = format::connected(&session_id());
                self.caller.connect(Some(first)).map(|()| None)
            }
            (other, Body::Connect) => Ok(Some(format::invalid_namespace(other))),
            (ROOT, _) if n_attachments > 0 && self.caller.is_connected() => {
                let room = self
                    .caller
                    .app()
                    .config()
                    .max_message
                    .saturating_sub(text.len());
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

    /// Takes a packet that is complete.
    fn take(&mut self, body: Body<'_>) -> Result<(), CloseReason> {
        let connection = self.caller.connection().ok_or(CloseReason::Protocol)?;
        match body {
            Body::Event { ack, arguments } => {
                let request = call::request(self.caller.app(), connection, arguments);
                self.answer(ack, request);
                Ok(())
            }
            Body::Ack => Ok(()),
            Body::Disconnect => Err(CloseReason::Gone),
            Body::Connect => Err(CloseReason::Protocol),
        }
    }

    fn answer(&mut self, ack: Option<u64>, request: Request) {
        let app = self.caller.app();
        match (request, ack) {
            (Request::Ignored, _) => app.counters().count_ignored_event(),
            (Request::Refused(_), None) => {}
            (Request::Refused(error), Some(ack)) => {
                self.caller.answer(answer(app, ack, Err(error)));
            }
            (Request::Call(context), ack) => {
                let write = move |app: &App, outcome| Some(answer(app, ack?, outcome));
                self.caller.call(context, write);
            }
        }
    }
}

fn answer(app: &App, ack: u64, outcome: Result<Answer>) -> Bytes {
    match outcome {
        Ok(answer) => format::result(ack, answer),
        Err(error) => format::error(ack, &error, app.config().feathers_compat),
    }
}
