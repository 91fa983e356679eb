//! From bytes to messages: fragments, control frames, limits and all that is wrong are the library's.

use std::io::{self, Read, Write};

use tungstenite::Error;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

/// Decodes what a client sends.
///
/// The library's context exists only while a message is incomplete, or for what is no text in one piece: an idle connection holds no read buffer, and one large
/// message does not leave a large buffer behind.
#[derive(Debug)]
pub(crate) struct Reader {
    max_message: usize,
    context: Option<Box<WebSocketContext>>,
    boundary: Boundary,
}

/// Where in the sequence of frames the bytes end that the context has taken.
#[derive(Debug, Default)]
struct Boundary {
    header: [u8; MAX_HEADER],
    header_length: usize,
    payload_left: u64,
    is_in_message: bool,
}

/// The context's socket: it reads what has come and blocks after that; what it writes are its pongs and its close.
struct Feed<'a, 'b> {
    input: &'a mut &'b [u8],
    boundary: &'a mut Boundary,
    replies: &'a mut Vec<u8>,
}

impl Reader {
    /// Makes a reader that refuses messages of more than `max_message` bytes.
    pub(crate) fn new(max_message: usize) -> Self {
        Self {
            max_message,
            context: None,
            boundary: Boundary::default(),
        }
    }

    /// Returns the next message of the input; `None` when all of it is taken and no message is complete.
    ///
    /// The frames that answer it, pongs and a close, are appended to `replies`.
    pub(crate) fn next(
        &mut self,
        input: &mut &[u8],
        replies: &mut Vec<u8>,
    ) -> Result<Option<Message>, Error> {
        if self.context.is_none() {
            if input.is_empty() {
                return Ok(None);
            }
            if let Some(text) = whole_text(input, self.max_message) {
                return Ok(Some(text));
            }
        }
        let (max_message, n_read) = (self.max_message, input.len());
        let context = self
            .context
            .get_or_insert_with(|| context(max_message, n_read));
        let mut feed = Feed {
            input,
            boundary: &mut self.boundary,
            replies,
        };
        match context.read(&mut feed) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.boundary.is_between_messages() {
                    self.context = None;
                }
                Ok(None)
            }
            Ok(close @ Message::Close(_)) => {
                // Its answer waits for the next call. The error says that the websocket is over, which `close` says too.
                let _ = context.flush(&mut feed);
                Ok(Some(close))
            }
            read => read.map(Some),
        }
    }
}

impl Boundary {
    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let n = usize::try_from(self.payload_left)
                    .map_or(bytes.len(), |left| left.min(bytes.len()));
                self.payload_left -= n as u64;
                bytes = &bytes[n..];
            } else {
                self.header[self.header_length] = bytes[0];
                self.header_length += 1;
                bytes = &bytes[1..];
                self.parse_header();
            }
        }
    }

    /// A header that the library refuses ends the connection anyway, so its length does not matter any more.
    fn parse_header(&mut self) {
        let header = FrameHeader::parse(&mut io::Cursor::new(&self.header[..self.header_length]));
        if let Ok(Some((header, length))) = header {
            self.payload_left = length;
            if matches!(header.opcode, OpCode::Data(_)) {
                self.is_in_message = !header.is_final;
            }
            self.header_length = 0;
        } else if self.header_length == MAX_HEADER {
            self.header_length = 0;
        }
    }

    fn is_between_messages(&self) -> bool {
        self.header_length == 0 && self.payload_left == 0 && !self.is_in_message
    }
}

impl Read for Feed<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.input.read(buffer)?;
        self.boundary.advance(&buffer[..n]);
        Ok(n)
    }
}

impl Write for Feed<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes a text that begins the input and is all there in one frame, as nearly every message is: it needs no context, which
/// is as much work as all else. `None` for anything else, also for what is wrong: the library has the say in that.
fn whole_text(input: &mut &[u8], max_message: usize) -> Option<Message> {
    let mut cursor = io::Cursor::new(*input);
    let (header, length) = FrameHeader::parse(&mut cursor).ok()??;
    let is_extended = header.rsv1 || header.rsv2 || header.rsv3;
    let is_text = header.opcode == OpCode::Data(Data::Text);
    let mask = header
        .mask
        .filter(|_| header.is_final && is_text && !is_extended)?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= max_message)?;
    let rest = &input[usize::try_from(cursor.position()).ok()?..];
    let (payload, rest) = rest.split_at_checked(length)?;
    let text = String::from_utf8(unmasked(payload, mask)).ok()?;
    *input = rest;
    Some(Message::text(text))
}

fn unmasked(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = payload.to_vec();
    let (words, rest) = bytes.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    rest.iter_mut()
        .zip(mask)
        .for_each(|(byte, key)| *byte ^= key);
    bytes
}

/// Makes a context that takes so many bytes at once, within bounds: most messages are short, and have one of their own.
fn context(max_message: usize, n_read: usize) -> Box<WebSocketContext> {
    let config = WebSocketConfig::default()
        .read_buffer_size(n_read.clamp(LEAST_BUFFER, READ_BUFFER))
        .write_buffer_size(0)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
        .accept_unmasked_frames(false);
    Box::new(WebSocketContext::new(Role::Server, Some(config)))
}

/// The longest header of a masked frame (RFC 6455 §5.2).
const MAX_HEADER: usize = 14;
/// The library's default of 128 KiB would be taken at once.
const READ_BUFFER: usize = 4_096;
const LEAST_BUFFER: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::error::{CapacityError, ProtocolError};
    use tungstenite::protocol::frame::coding::{CloseCode, Control};
    use tungstenite::protocol::frame::{CloseFrame, Frame};

    use super::*;

    fn masked(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let header = FrameHeader {
            is_final,
            opcode,
            mask: Some(mask),
            ..FrameHeader::default()
        };
        let mut bytes = Vec::new();
        Frame::from_payload(header, payload.to_vec().into())
            .format(&mut bytes)
            .unwrap();
        bytes
    }

    fn text(payload: &str) -> Vec<u8> {
        masked(OpCode::Data(Data::Text), true, payload.as_bytes())
    }

    fn read(reader: &mut Reader, mut input: &[u8]) -> Result<(Vec<Message>, Vec<u8>), Error> {
        let (mut messages, mut replies) = (Vec::new(), Vec::new());
        while let Some(message) = reader.next(&mut input, &mut replies)? {
            let is_close = message.is_close();
            messages.push(message);
            if is_close {
                break;
            }
        }
        Ok((messages, replies))
    }

    #[test]
    fn pings_are_answered_between_the_fragments_of_a_message() {
        let input = [
            masked(OpCode::Data(Data::Text), false, b"4"),
            masked(OpCode::Control(Control::Ping), true, b"hey"),
            masked(OpCode::Data(Data::Continue), true, b"0"),
        ]
        .concat();
        let (messages, replies) = read(&mut Reader::new(99), &input).unwrap();
        assert_eq!(
            messages,
            [
                Message::Ping(b"hey".as_slice().into()),
                Message::Text("40".into())
            ]
        );
        assert_eq!(replies, b"\x8a\x03hey");
    }

    #[test]
    fn a_close_is_answered_with_its_code() {
        let input = masked(OpCode::Control(Control::Close), true, &[3, 232]);
        let (messages, replies) = read(&mut Reader::new(99), &input).unwrap();
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        assert_eq!(messages, [Message::Close(Some(frame))]);
        assert_eq!(replies, [0x88, 2, 3, 232]);
    }

    #[test]
    fn size_counts_over_all_fragments_and_before_the_payload_has_come() {
        let fragments = [
            masked(OpCode::Data(Data::Text), false, &[b'x'; 6]),
            masked(OpCode::Data(Data::Continue), true, &[b'x'; 6]),
        ]
        .concat();
        let announced = &text(&"x".repeat(11))[..6];
        for input in [&fragments, announced] {
            let error = read(&mut Reader::new(10), input).unwrap_err();
            assert!(
                matches!(error, Error::Capacity(CapacityError::MessageTooLong { .. })),
                "{error}"
            );
        }
        assert!(read(&mut Reader::new(10), &text("ten bytes!")).is_ok());
    }

    #[test]
    fn unmasked_frames_and_broken_text_are_refused() {
        let unmasked = read(&mut Reader::new(99), &[0x81, 1, b'4']).unwrap_err();
        assert!(matches!(
            unmasked,
            Error::Protocol(ProtocolError::UnmaskedFrameFromClient)
        ));
        let broken = read(
            &mut Reader::new(99),
            &masked(OpCode::Data(Data::Text), true, &[0xff]),
        );
        assert!(matches!(broken, Err(Error::Utf8(_))));
    }

    #[test]
    fn nothing_is_held_between_messages() {
        let mut reader = Reader::new(1 << 20);
        let large = text(&"x".repeat(1 << 19));
        let (first, second) = large.split_at(1_000);
        read(&mut reader, first).unwrap();
        assert!(reader.context.is_some());
        read(&mut reader, second).unwrap();
        assert!(reader.context.is_none());
        read(&mut reader, &masked(OpCode::Data(Data::Text), false, b"4")).unwrap();
        assert!(reader.context.is_some(), "a fragment waits for the rest");
    }

    proptest! {
        #[test]
        fn however_bytes_are_cut_the_messages_are_the_same(
            texts in prop::collection::vec("[a-zé]{0,300}", 1..20),
            cuts in prop::collection::vec(1_usize..400, 1..50),
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|payload| text(payload)).collect();
            let mut reader = Reader::new(1 << 20);
            let mut messages = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts.into_iter().cycle() {
                let (piece, left) = rest.split_at(cut.min(rest.len()));
                messages.extend(read(&mut reader, piece).unwrap().0);
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
            let expected: Vec<Message> = texts.into_iter().map(Message::text).collect();
            prop_assert_eq!(messages, expected);
            prop_assert!(reader.context.is_none());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = read(&mut Reader::new(1_000), &bytes);
        }
    }
}
