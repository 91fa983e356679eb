//! The event that every system sends, and its websocket frame.

use serde_json::{Value, json};

/// The service whose event it is.
pub(crate) const PATH: &str = "messages";

/// Bytes of the event's JSON.
pub(crate) const EVENT_BYTES: usize = 300;

/// Returns the event with a number; all have the same length.
pub(crate) fn event(seq: u64) -> Value {
    event_of(EVENT_BYTES, seq)
}

/// Returns an event of so many bytes, of which there are never fewer than its number takes.
pub(crate) fn event_of(bytes: usize, seq: u64) -> Value {
    let fill = bytes.saturating_sub(LEAST_BYTES);
    json!({ "seq": format!("{seq:0SEQ_DIGITS$}"), "text": "x".repeat(fill) })
}

/// Returns the unmasked text frame that carries the event to a Socket.IO client.
pub(crate) fn frame(seq: u64) -> Vec<u8> {
    unmasked(&format!(r#"42["{PATH} created",{}]"#, event(seq)))
}

/// Returns a text frame of a server.
pub(crate) fn unmasked(text: &str) -> Vec<u8> {
    let mut frame = head(0, text);
    frame.extend(text.as_bytes());
    frame
}

/// Returns a masked text frame of a client; the key of zeros leaves the text readable.
pub(crate) fn masked(text: &str) -> Vec<u8> {
    let mut frame = head(MASK, text);
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

fn head(mask: u8, text: &str) -> Vec<u8> {
    let length = text.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length < LENGTH_IS_U16 => vec![TEXT, mask | length],
        (_, Ok(length)) => {
            let [high, low] = length.to_be_bytes();
            vec![TEXT, mask | LENGTH_IS_U16, high, low]
        }
        _ => {
            let mut head = vec![TEXT, mask | LENGTH_IS_U64];
            head.extend((length as u64).to_be_bytes());
            head
        }
    }
}

/// A frame of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Splits the first frame off; `None` while it is not complete.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (length, rest) = match second {
            LENGTH_IS_U16 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            LENGTH_IS_U64 => {
                let (length, rest) = rest.split_first_chunk()?;
                (
                    usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX),
                    rest,
                )
            }
            length => (usize::from(length), rest),
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        let frame = Frame {
            opcode: first & 0x0f,
            payload,
        };
        Some((frame, rest))
    }

    /// Says what the frame is, for the message of a failed run.
    pub(crate) fn describe(&self) -> String {
        let text = String::from_utf8_lossy(self.payload);
        let start: String = text.chars().take(60).collect();
        format!(
            "a frame with opcode {} and {} bytes: {start}",
            self.opcode,
            self.payload.len()
        )
    }
}

const TEXT: u8 = 0x81;
const MASK: u8 = 0x80;
const LENGTH_IS_U16: u8 = 126;
const LENGTH_IS_U64: u8 = 127;
const SEQ_DIGITS: usize = 10;
const LEAST_BYTES: usize = r#"{"seq":"","text":""}"#.len() + SEQ_DIGITS;
