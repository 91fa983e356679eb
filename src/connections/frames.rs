//! Frames, encoded once and shared.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Piece;
use crate::event::{Event, Json};

/// How a kind of connection writes events.
pub(crate) trait WireFormat: fmt::Debug + Send + Sync {
    /// Names the format; connections with formats of one name share frames.
    fn name(&self) -> &'static str;

    /// Writes the event with this payload, ready to be sent as it is.
    fn encode(&self, event: &Event, payload: &Json) -> Bytes;
}

/// The frames of events that go to the same connections: one piece for each wire format and payload, made when the first
/// connection needs it.
#[derive(Debug)]
pub(crate) struct Frames<'a, P> {
    events: &'a [Event],
    payload: P,
    made: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    format: &'static str,
    /// Which of the events are in it.
    range: Range<usize>,
    variant: usize,
    piece: Piece,
}

impl<'a, P: Fn(usize, usize) -> &'a Json> Frames<'a, P> {
    /// Makes frames of events, with the payload that there is for the place of an event and a variant.
    pub(crate) fn new(events: &'a [Event], payload: P) -> Self {
        Self {
            events,
            payload,
            made: Vec::new(),
        }
    }

    /// Returns the place among the pieces of that with some of the events.
    pub(crate) fn place(
        &mut self,
        format: &'static dyn WireFormat,
        range: Range<usize>,
        variant: usize,
    ) -> usize {
        let fits = |made: &Made| {
            made.format == format.name() && made.range == range && made.variant == variant
        };
        let found = self.made.iter().position(fits);
        found.unwrap_or_else(|| {
            self.made.push(Made {
                format: format.name(),
                piece: self.encoded(format, range.clone(), variant),
                range,
                variant,
            });
            self.made.len() - 1
        })
    }

    pub(crate) fn into_pieces(self) -> Arc<[Piece]> {
        self.made.into_iter().map(|made| made.piece).collect()
    }

    fn encoded(&self, format: &dyn WireFormat, range: Range<usize>, variant: usize) -> Piece {
        let encode = |at: usize| format.encode(&self.events[at], (self.payload)(at, variant));
        let n_frames = range.len();
        let bytes = if n_frames == 1 {
            encode(range.start)
        } else {
            range.map(encode).collect::<Vec<Bytes>>().concat().into()
        };
        Piece { bytes, n_frames }
    }
}

/// A format for tests: the payload as it is.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Plain;

#[cfg(test)]
impl WireFormat for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn encode(&self, _event: &Event, payload: &Json) -> Bytes {
        payload.as_bytes().clone()
    }
}
