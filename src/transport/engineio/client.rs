//! What of a client stays when its transport changes.

use bytes::Bytes;
use tungstenite::Message;

use super::packet::Packet;
use crate::app::Config;
use crate::connections::CloseReason;
use crate::transport::caller::Caller;
use crate::transport::socketio::Session;
use crate::transport::websocket::{Closing, Heartbeat, Party};

/// A client, whichever way its packets come.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) heartbeat: Heartbeat,
    pub(super) session: Session,
}

impl Client {
    pub(super) fn new(config: &Config, session: Session) -> Self {
        Self {
            heartbeat: Heartbeat::of(config),
            session,
        }
    }

    /// Takes a packet that is text; returns the frame that answers it.
    pub(super) fn take(&mut self, text: &str) -> Result<Option<Bytes>, CloseReason> {
        self.heartbeat.heard();
        match Packet::parse(text).ok_or(CloseReason::Protocol)? {
            Packet::Message(text) => self.session.receive(text),
            Packet::Binary(bytes) => self.session.receive_attachment(bytes),
            Packet::Pong => {
                self.heartbeat.pong();
                Ok(None)
            }
            Packet::Meaningless => Ok(None),
            Packet::Close => Err(CloseReason::Gone),
            Packet::Ping => Err(CloseReason::Protocol),
        }
    }
}

/// What clients do at a code is in the table of the module.
impl Party for Client {
    const PING: &'static [u8] = PING;

    fn caller(&self) -> &Caller {
        self.session.caller()
    }

    fn caller_mut(&mut self) -> &mut Caller {
        self.session.caller_mut()
    }

    fn heartbeat(&mut self) -> &mut Heartbeat {
        &mut self.heartbeat
    }

    fn receive(&mut self, message: Message) -> Result<Option<Bytes>, Closing> {
        match message {
            Message::Text(text) => Ok(self.take(&text)?),
            Message::Binary(bytes) => {
                self.heartbeat.heard();
                Ok(self.session.receive_attachment(bytes)?)
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                self.heartbeat.heard();
                Ok(None)
            }
        }
    }

    fn close_code(reason: CloseReason) -> Option<u16> {
        match reason {
            CloseReason::Restart => Some(1012),
            CloseReason::Slow => Some(1013),
            CloseReason::TooLarge => Some(1009),
            CloseReason::TooManyMessages | CloseReason::TooManyBytes => Some(1008),
            CloseReason::Revoked
            | CloseReason::Protocol
            | CloseReason::Timeout
            | CloseReason::Gone => None,
        }
    }
}

/// A ping as a finished frame.
pub(super) const PING: &[u8] = b"\x81\x012";
