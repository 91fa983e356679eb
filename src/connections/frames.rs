//! Frames, encoded once and shared.

use std::fmt;

use bytes::Bytes;

use crate::event::{Event, Json};

/// How a kind of connection writes events.
pub(crate) trait WireFormat: fmt::Debug + Send + Sync {
    /// Names the format; connections with formats of one name share frames.
    fn name(&self) -> &'static str;

    /// Writes the event with this payload, ready to be sent as it is.
    fn encode(&self, event: &Event, payload: &Json) -> Bytes;
}

/// The frames of one event: one for each wire format and payload, made when the first connection needs it.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    event: &'a Event,
    made: Vec<(&'static str, Json, Bytes)>,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(event: &'a Event) -> Self {
        Self {
            event,
            made: Vec::new(),
        }
    }

    /// Returns the frame for a format and payload.
    pub(crate) fn frame(&mut self, format: &'static dyn WireFormat, payload: &Json) -> Bytes {
        let fits =
            |made: &&(&'static str, Json, Bytes)| made.0 == format.name() && made.1.same(payload);
        if let Some((_, _, frame)) = self.made.iter().find(fits) {
            return frame.clone();
        }
        let frame = format.encode(self.event, payload);
        self.made
            .push((format.name(), payload.clone(), frame.clone()));
        frame
    }
}
