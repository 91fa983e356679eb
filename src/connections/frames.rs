//! Frames, encoded once and shared.

use std::fmt;
use std::ops::Range;

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

/// The frames of events that go to the same channels: one piece for each wire format and payload, made when the first connection
/// needs it.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    events: &'a [Event],
    made: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    format: &'static str,
    /// Which of the events are in it.
    range: Range<usize>,
    /// What takes the place of the events' data.
    payload: Option<Json>,
    piece: Piece,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(events: &'a [Event]) -> Self {
        Self {
            events,
            made: Vec::new(),
        }
    }

    /// Returns the frames of some of the events, with their own data or this one in its place.
    pub(crate) fn piece(
        &mut self,
        format: &'static dyn WireFormat,
        range: Range<usize>,
        payload: Option<&Json>,
    ) -> &Piece {
        let is_same = |known: &Option<Json>| match (known, payload) {
            (Some(known), Some(payload)) => known.same(payload),
            (None, None) => true,
            _ => false,
        };
        let fits = |made: &Made| {
            made.format == format.name() && made.range == range && is_same(&made.payload)
        };
        let at = self.made.iter().position(fits).unwrap_or_else(|| {
            let piece = self.encoded(format, range.clone(), payload);
            self.made.push(Made {
                format: format.name(),
                range,
                payload: payload.cloned(),
                piece,
            });
            self.made.len() - 1
        });
        &self.made[at].piece
    }

    fn encoded(
        &self,
        format: &dyn WireFormat,
        range: Range<usize>,
        payload: Option<&Json>,
    ) -> Piece {
        let encode = |event: &Event| format.encode(event, payload.unwrap_or(event.public_data()));
        let bytes = match &self.events[range.clone()] {
            [event] => encode(event),
            events => {
                let frames: Vec<Bytes> = events.iter().map(encode).collect();
                frames.concat().into()
            }
        };
        let n_frames = range.len();
        Piece { bytes, n_frames }
    }
}
