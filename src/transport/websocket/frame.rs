//! Websocket frames as a server writes them: whole and unmasked.

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
        Self::joined(&[text.as_bytes()]).finish()
    }

    /// Starts a frame with pieces and room for nothing more, so that ending it takes no further memory.
    pub(crate) fn joined(pieces: &[&[u8]]) -> Self {
        let mut frame = Self::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
        pieces.iter().for_each(|piece| frame.push(piece));
        frame
    }

    /// Appends a piece; all pieces together are UTF-8.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }

    /// Returns where the next pieces are appended, for what writes them one by one.
    pub(crate) fn text_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Ends the frame.
    pub(crate) fn finish(self) -> Bytes {
        self.finish_with(&[])
    }

    /// Ends the frame and puts binary frames behind it. All are one piece, so nothing comes between a packet and its
    /// attachments, and no policy drops one without the others.
    pub(crate) fn finish_with(mut self, attachments: &[Vec<u8>]) -> Bytes {
        let start = self.begin();
        attachments
            .iter()
            .for_each(|part| push_binary(&mut self.0, part));
        let mut frame = Bytes::from(self.0);
        frame.advance(start);
        frame
    }

    /// Puts the shortest header that fits right before the text (RFC 6455 §5.2) and returns where it begins.
    fn begin(&mut self) -> usize {
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
        start
    }
}

/// What a finished frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

/// Looks into frames of this side, for a client that gets what they carry in another way.
pub(crate) fn payloads(mut frames: &[u8]) -> impl Iterator<Item = Payload<'_>> {
    std::iter::from_fn(move || {
        let (payload, rest) = split(frames)?;
        frames = rest;
        Some(payload)
    })
}

/// Returns the length of the first frame with the binary ones behind it, which are the attachments of its packet.
pub(crate) fn packet_length(frames: &[u8]) -> usize {
    let mut rest = split(frames).map_or(&[][..], |(_, rest)| rest);
    while let Some((Payload::Binary(_), behind)) = split(rest) {
        rest = behind;
    }
    frames.len() - rest.len()
}

fn split(frames: &[u8]) -> Option<(Payload<'_>, &[u8])> {
    let (&[first, short], rest) = frames.split_first_chunk()?;
    let (length, rest) = match short {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (short.into(), rest),
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    match first & OPCODE {
        TEXT => Some((Payload::Text(payload), rest)),
        BINARY => Some((Payload::Binary(payload), rest)),
        _ => None,
    }
}

/// Makes a binary frame.
#[cfg(feature = "msgpack")]
pub(crate) fn binary_frame(payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    push_binary(&mut frame, payload);
    frame.into()
}

fn push_binary(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.push(FINAL | BINARY);
    match (u8::try_from(part.len()), u16::try_from(part.len())) {
        (Ok(short @ ..=125), _) => bytes.push(short),
        (_, Ok(medium)) => {
            bytes.push(126);
            bytes.extend(medium.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend((part.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(part);
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
const OPCODE: u8 = 0x0f;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
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
    fn attachments_are_frames_of_their_own_and_come_back_as_they_were() {
        let parts: Vec<Vec<u8>> = [0, 125, 126, 65_535, 65_536]
            .map(|length| vec![7; length])
            .into();
        let mut frame = TextFrame::with_capacity(0);
        frame.push("é".repeat(100).as_bytes());
        let frames = frame.finish_with(&parts);
        let text = "é".repeat(100);
        let mut expected = vec![Payload::Text(text.as_bytes())];
        expected.extend(parts.iter().map(|part| Payload::Binary(part)));
        assert_eq!(payloads(&frames).collect::<Vec<_>>(), expected);
        let mut socket = FrameSocket::new(Cursor::new(frames.to_vec()));
        assert!(socket.read(None).unwrap().is_some());
        for part in &parts {
            let frame = socket.read(None).unwrap().unwrap();
            assert_eq!(frame.header().opcode, OpCode::Data(Data::Binary));
            assert_eq!(frame.payload(), part);
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
