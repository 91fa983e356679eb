//! Websocket frames as a server writes them: whole and unmasked.

use std::io;

use bytes::{Buf, Bytes};

/// A text frame that is being written; the header's room is kept in front, so finishing it copies nothing.
#[derive(Debug)]
pub(crate) struct TextFrame(Vec<u8>);

impl TextFrame {
    /// Starts a frame whose text is about `length` bytes long.
    pub(crate) fn with_capacity(length: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + length);
        bytes.resize(HEADER, 0);
        Self(bytes)
    }

    /// Makes a frame of finished text.
    pub(crate) fn of(text: &str) -> Bytes {
        let mut frame = Self::with_capacity(text.len());
        frame.push(text.as_bytes());
        frame.finish()
    }

    /// Appends a piece; all pieces together are UTF-8.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }

    /// Puts the shortest header that fits right before the text (RFC 6455 §5.2).
    pub(crate) fn finish(mut self) -> Bytes {
        let length = self.0.len() - HEADER;
        let start = match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ ..=125), _) => {
                self.0[9] = short;
                8
            }
            (_, Ok(medium)) => {
                self.0[7] = 126;
                self.0[8..10].copy_from_slice(&medium.to_be_bytes());
                6
            }
            _ => {
                self.0[1] = 127;
                self.0[2..10].copy_from_slice(&(length as u64).to_be_bytes());
                0
            }
        };
        self.0[start] = FINAL | TEXT;
        let mut frame = Bytes::from(self.0);
        frame.advance(start);
        frame
    }
}

impl io::Write for TextFrame {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.push(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a close frame; one without a code reaches the other side's program as 1005.
pub(crate) fn close_frame(code: Option<u16>) -> Bytes {
    match code {
        None => Bytes::from_static(&[FINAL | CLOSE, 0]),
        Some(code) => {
            let [high, low] = code.to_be_bytes();
            Bytes::copy_from_slice(&[FINAL | CLOSE, 2, high, low])
        }
    }
}

/// The longest header of an unmasked frame.
const HEADER: usize = 10;
const FINAL: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tungstenite::protocol::frame::FrameSocket;
    use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

    use super::*;

    #[test]
    fn the_library_reads_texts_of_every_header_length() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let text = "x".repeat(length);
            let mut socket = FrameSocket::new(Cursor::new(TextFrame::of(&text).to_vec()));
            let frame = socket.read(None).unwrap().unwrap();
            assert!(frame.header().is_final && frame.header().mask.is_none());
            assert_eq!(frame.header().opcode, OpCode::Data(Data::Text));
            assert_eq!(frame.into_text().unwrap().as_str(), text);
            assert!(
                socket.read(None).unwrap().is_none(),
                "nothing after {length} bytes"
            );
        }
    }

    #[test]
    fn the_library_reads_close_frames_with_and_without_a_code() {
        for code in [None, Some(1013)] {
            let mut socket = FrameSocket::new(Cursor::new(close_frame(code).to_vec()));
            let frame = socket.read(None).unwrap().unwrap();
            assert_eq!(frame.header().opcode, OpCode::Control(Control::Close));
            let expected = code
                .map(|code| u16::from(CloseCode::from(code)).to_be_bytes().to_vec())
                .unwrap_or_default();
            assert_eq!(frame.payload(), expected);
        }
    }
}
