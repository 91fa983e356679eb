//! Several packets in one body, as long-polling has them (feathers.md §2.1).

use bytes::{Buf, Bytes};
use data_encoding::BASE64;

use crate::transport::websocket::{Payload, packet_length, payloads};

/// Takes packets from the front and writes what they carry as one body: as many as have room in `max` bytes, and one at least.
///
/// What was encoded once for all websockets is copied here; an attachment becomes text.
pub(super) fn take(frames: &mut Vec<Bytes>, max: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let mut n_taken = 0;
    while let Some(frame) = frames.get_mut(n_taken) {
        let packet = packet_length(frame);
        let before = body.len();
        payloads(&frame[..packet]).for_each(|payload| push(&mut body, payload));
        if body.len() > max && before > 0 {
            body.truncate(before);
            break;
        }
        frame.advance(packet);
        n_taken += usize::from(frame.is_empty());
    }
    frames.drain(..n_taken);
    body
}

/// Adds a packet to a body.
pub(super) fn push(body: &mut Vec<u8>, payload: Payload<'_>) {
    if !body.is_empty() {
        body.push(SEPARATOR);
    }
    match payload {
        Payload::Text(text) => body.extend_from_slice(text),
        Payload::Binary(part) => {
            body.push(b'b');
            body.extend_from_slice(BASE64.encode(part).as_bytes());
        }
    }
}

/// Cuts the next packet off the text of a body; the rest is `None` behind the last one.
pub(super) fn next(text: &str) -> (&str, Option<&str>) {
    match text.split_once(char::from(SEPARATOR)) {
        Some((packet, rest)) => (packet, Some(rest)),
        None => (text, None),
    }
}

/// U+001E, which no packet has.
const SEPARATOR: u8 = 0x1e;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::websocket::TextFrame;

    fn frames(texts: &[&str]) -> Vec<Bytes> {
        texts.iter().map(|text| TextFrame::of(text)).collect()
    }

    #[test]
    fn as_many_frames_as_fit_are_taken_and_one_at_least() {
        let mut waiting = frames(&["2", "4abc", "4defg", "large as it is"]);
        assert_eq!(take(&mut waiting, 6), b"2\x1e4abc");
        assert_eq!(take(&mut waiting, 6), b"4defg");
        assert_eq!(take(&mut waiting, 6), b"large as it is");
        assert!(waiting.is_empty());
        assert_eq!(take(&mut waiting, 6), b"");
    }

    #[test]
    fn frames_that_are_one_piece_are_taken_one_by_one() {
        let mut waiting = frames(&["4a", "4b", "4c"]);
        let piece = waiting.concat();
        waiting = vec![piece.into(), TextFrame::of("4d")];
        assert_eq!(take(&mut waiting, 5), b"4a\x1e4b");
        assert_eq!(take(&mut waiting, 5), b"4c\x1e4d");
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_packet_and_its_attachments_stay_together() {
        let mut frame = TextFrame::with_capacity(0);
        frame.push(b"452-[]");
        let mut waiting = frames(&["4a"]);
        waiting.push(frame.finish_with(&[vec![1, 2, 3], vec![]]));
        assert_eq!(take(&mut waiting, 12), b"4a");
        assert_eq!(take(&mut waiting, 12), b"452-[]\x1ebAQID\x1eb");
    }

    #[test]
    fn a_body_comes_apart_at_its_separators() {
        assert_eq!(next("40\x1e3\x1e"), ("40", Some("3\x1e")));
        assert_eq!(next("3\x1e"), ("3", Some("")));
        assert_eq!(next(""), ("", None));
    }
}
