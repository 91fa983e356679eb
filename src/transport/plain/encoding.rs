//! How messages are written: as JSON in text frames, or as MessagePack in binary ones.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::Value;
use tungstenite::Message;

use crate::connections::{CloseReason, WireFormat};
use crate::error::{Error, Result};
use crate::event::{Event, Json};
use crate::json;
use crate::json::elements::Elements;
use crate::service::Outcome;
use crate::transport::websocket::{Closing, TextFrame};

/// The encoding of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    #[cfg(feature = "msgpack")]
    MessagePack,
}

impl Encoding {
    const ALL: &[Self] = &[
        Self::Json,
        #[cfg(feature = "msgpack")]
        Self::MessagePack,
    ];

    /// Picks the first subprotocol of the client that is one of ours; JSON if it names none at all.
    pub(super) fn chosen(headers: &HeaderMap) -> Result<Self> {
        let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let mut offered = lines
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .peekable();
        if offered.peek().is_none() {
            return Ok(Self::Json);
        }
        let known = |offer: &str| Self::ALL.iter().find(|known| known.subprotocol() == offer);
        offered.find_map(known).copied().ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|known| known.subprotocol()).collect();
            Error::bad_request(format!("no subprotocol is one of {}", known.join(", ")))
        })
    }

    pub(super) const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wingbeat.json",
            #[cfg(feature = "msgpack")]
            Self::MessagePack => "wingbeat.msgpack",
        }
    }

    /// Returns what writes events.
    pub(super) const fn events(self) -> &'static dyn WireFormat {
        match self {
            Self::Json => &Events,
            #[cfg(feature = "msgpack")]
            Self::MessagePack => &super::message_pack::Events,
        }
    }

    /// Reads a message, which is an array.
    pub(super) fn read(self, message: &Message) -> Result<Elements<'_>, Closing> {
        let value = match (self, message) {
            (Self::Json, Message::Text(text)) => match Elements::plain(text) {
                Some(elements) => return Ok(elements),
                None => json::parse(text),
            },
            #[cfg(feature = "msgpack")]
            (Self::MessagePack, Message::Binary(bytes)) => super::message_pack::read(bytes),
            _ => return Err(Closing::with_code(CloseReason::Protocol, WRONG_KIND)),
        };
        match value {
            Some(Value::Array(elements)) => Ok(elements.into()),
            _ => Err(CloseReason::Protocol.into()),
        }
    }

    /// Writes `[id, null, result]` as a finished frame.
    pub(super) fn write_result(self, id: u64, result: Outcome) -> Bytes {
        match (self, result) {
            (Self::Json, Outcome::Text(json)) => {
                let mut digits = itoa::Buffer::new();
                let id = digits.format(id).as_bytes();
                TextFrame::joined(&[b"[", id, b",null,", json.as_bytes(), b"]"]).finish()
            }
            (_, result) => {
                let message = vec![id.into(), Value::Null, result.into_value()];
                self.write(&message.into())
            }
        }
    }

    /// Writes a message as a finished frame.
    pub(super) fn write(self, message: &Value) -> Bytes {
        match self {
            Self::Json => {
                let mut frame = TextFrame::with_capacity(ANSWER);
                json::write(frame.text_mut(), message);
                frame.finish()
            }
            #[cfg(feature = "msgpack")]
            Self::MessagePack => super::message_pack::write(message),
        }
    }
}

/// Writes events as `["<path> <event>",<payload>]`.
#[derive(Debug)]
struct Events;

impl WireFormat for Events {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn encode(&self, event: &Event, payload: &Json) -> Bytes {
        let name = format!("{} {}", event.path(), event.name());
        let payload = payload.as_bytes();
        let mut frame = TextFrame::with_capacity(name.len() + payload.len() + ROOM);
        frame.push(b"[");
        json::write_string(frame.text_mut(), &name);
        frame.push(b",");
        frame.push(payload);
        frame.push(b"]");
        frame.finish()
    }
}

/// RFC 6455 §7.4.1: a kind of data that can not be accepted.
const WRONG_KIND: u16 = 1003;
/// Room for brackets, quotes and what has to be escaped in a name.
const ROOM: usize = 32;
const ANSWER: usize = 256;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_known_subprotocol_is_chosen() {
        let chosen = |lines: &[&'static str]| {
            let line = |line| {
                (
                    header::SEC_WEBSOCKET_PROTOCOL,
                    HeaderValue::from_static(line),
                )
            };
            let headers: HeaderMap = lines.iter().copied().map(line).collect();
            Encoding::chosen(&headers).map(Encoding::subprotocol).ok()
        };
        assert_eq!(chosen(&[]), Some("wingbeat.json"));
        assert_eq!(chosen(&["x, wingbeat.json"]), Some("wingbeat.json"));
        assert_eq!(chosen(&["chat"]), None);
        assert_eq!(chosen(&["Wingbeat.json"]), None);
        #[cfg(feature = "msgpack")]
        assert_eq!(
            chosen(&["x", "wingbeat.msgpack, wingbeat.json"]),
            Some("wingbeat.msgpack")
        );
    }
}
