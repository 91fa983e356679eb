//! One client of a plain websocket.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};
use tungstenite::Message;

use super::encoding::Encoding;
use crate::app::App;
use crate::connections::CloseReason;
use crate::error::{Error, Result};
use crate::json::elements::Elements;
use crate::service::Answer;
use crate::transport::caller::Caller;
use crate::transport::websocket::{Closing, Heartbeat, Party};
use crate::transport::{Handshake, arguments};

/// A client that is connected, and what it says.
#[derive(Debug)]
pub(super) struct Session {
    caller: Caller,
    heartbeat: Heartbeat,
    encoding: Encoding,
}

/// A message that is a call: `[id, method, path, …]`.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) id: CallId,
    pub(super) method: Cow<'a, str>,
    /// They begin with the path.
    pub(super) arguments: Elements<'a>,
}

/// What a client calls its call; `None` when it wants no answer.
pub(super) type CallId = Option<u64>;

impl<'a> Request<'a> {
    /// Takes a message apart; `None` for one that is no call.
    pub(super) fn of(mut message: Elements<'a>) -> Option<Self> {
        Some(Self {
            id: message.next().and_then(call_id)?,
            method: message.next_string()?,
            arguments: message,
        })
    }
}

impl Session {
    /// Connects a client.
    pub(super) fn new(handshake: Handshake, encoding: Encoding) -> Self {
        let mut caller = handshake.into_caller(encoding.events(), None);
        let heartbeat = Heartbeat::of(caller.app().config());
        let connected = caller.connect(None);
        debug_assert!(connected.is_ok(), "it was not connected before");
        Self {
            caller,
            heartbeat,
            encoding,
        }
    }

    fn call(&mut self, message: Elements<'_>) -> Result<(), CloseReason> {
        let malformed = CloseReason::Protocol;
        let request = Request::of(message).ok_or(malformed)?;
        let (app, id, encoding) = (self.caller.app(), request.id, self.encoding);
        let connection = self.caller.connection().ok_or(malformed)?;
        match arguments::call(app, connection, &request.method, request.arguments) {
            Ok(call) => {
                let write = move |app: &App, outcome| answer(app, (id, encoding), outcome);
                self.caller.call(call, write);
            }
            Err(error) => {
                let frame = answer(app, (id, encoding), Err(error));
                frame
                    .into_iter()
                    .for_each(|frame| self.caller.answer(frame));
            }
        }
        Ok(())
    }
}

impl Party for Session {
    const PING: &'static [u8] = b"\x89\x00";

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn caller_mut(&mut self) -> &mut Caller {
        &mut self.caller
    }

    fn heartbeat(&mut self) -> &mut Heartbeat {
        &mut self.heartbeat
    }

    fn receive(&mut self, message: Message) -> Result<Option<Bytes>, Closing> {
        match message {
            Message::Text(_) | Message::Binary(_) => {
                self.heartbeat.heard();
                let message = self.encoding.read(&message)?;
                self.call(message)?;
            }
            Message::Pong(_) => self.heartbeat.pong(),
            Message::Ping(_) | Message::Close(_) | Message::Frame(_) => self.heartbeat.heard(),
        }
        Ok(None)
    }

    fn close_code(reason: CloseReason) -> Option<u16> {
        match reason {
            CloseReason::Restart => Some(1012),
            CloseReason::Slow => Some(1013),
            CloseReason::TooLarge => Some(1009),
            CloseReason::Protocol => Some(1007),
            CloseReason::Revoked => Some(4401),
            CloseReason::Timeout => Some(4408),
            CloseReason::TooManyMessages | CloseReason::TooManyBytes => Some(4429),
            CloseReason::Gone => None,
        }
    }
}

/// Reads an id, which has to be a number that JavaScript counts to, or `null`.
fn call_id(id: Value) -> Option<CallId> {
    match id {
        Value::Null => Some(None),
        id => id.as_u64().filter(|id| *id <= MAX_ID).map(Some),
    }
}

/// Writes `[id, null, result]` or `[id, error]`.
fn answer(app: &App, (id, encoding): (CallId, Encoding), outcome: Result<Answer>) -> Option<Bytes> {
    let id = id?;
    Some(match outcome {
        Ok(answer) => encoding.write_result(id, answer.into_message()),
        Err(error) => encoding.write(&json!([id, error_json(app, &error)])),
    })
}

fn error_json(app: &App, error: &Error) -> Value {
    error.to_ack(app.config().feathers_compat)
}

/// `Number.MAX_SAFE_INTEGER`.
const MAX_ID: u64 = (1 << 53) - 1;
