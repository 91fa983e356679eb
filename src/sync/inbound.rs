//! Sync-in: from a peer's envelope to an event.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::delivery::Release;
use super::envelope::Envelope;
use super::quarantine::{Quarantine, Reason};
use crate::event::{Event, EventContext, Inner, Json, Origin};
use crate::json;
use crate::trace;

/// Turns envelopes into events.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    unheard: AtomicU64,
    pub(super) quarantine: Quarantine,
}

impl Inbound {
    /// Returns how many events were for services that receive none.
    pub(super) fn unheard(&self) -> u64 {
        self.unheard.load(Ordering::Relaxed)
    }

    /// Makes the event of a wingbeat node.
    pub(super) fn released(&self, release: Release<Envelope>) -> Option<Event> {
        let happened = release.age.and_then(|age| Instant::now().checked_sub(age));
        self.event(
            release.body,
            Origin::Node {
                id: release.from,
                name: release.name,
            },
            happened,
        )
    }

    /// Makes the event of a Node process.
    pub(super) fn foreign(&self, body: Envelope) -> Option<Event> {
        self.event(body, Origin::Foreign, None)
    }

    fn event(
        &self,
        envelope: Envelope,
        origin: Origin,
        happened: Option<Instant>,
    ) -> Option<Event> {
        let _span = trace::sync_in(&envelope.path, &envelope.event, envelope.trace).entered();
        let path = envelope.path;
        let Some(service) = envelope.service else {
            self.quarantine.put(
                Reason::UnknownService,
                format_args!("service '{path}'"),
                &envelope.data,
            );
            return None;
        };
        if !service.mode.receives() {
            self.unheard.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let data = Json::of_peer(envelope.data.clone(), envelope.typed);
        let public = envelope
            .context
            .as_ref()
            .and_then(|context| public_data(&envelope.data, context));
        Some(Event::new(Inner {
            place: service.place,
            path,
            name: envelope.event,
            public: public.map_or_else(|| data.clone(), Json::from_valid_text),
            data,
            context: envelope
                .context
                .map(|context| EventContext::peer(Json::from_valid_text(context))),
            origin,
            happened,
            trace: envelope.trace,
        }))
    }
}

/// The members of a context that decide what clients get.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    dispatch: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

/// Picks what clients get instead of the data: the `dispatch`, or the `result` (feathers.md §3.5). For the elements of an
/// array it is the element that belongs to this event.
fn public_data(data: &Bytes, context: &Bytes) -> Option<Bytes> {
    let Members { dispatch, result } = serde_json::from_slice(context).ok()?;
    let piece = |raw: &RawValue| context.slice_ref(raw.get().as_bytes());
    let is_element = result.is_some_and(is_array) && !data.starts_with(b"[");
    match (dispatch, result) {
        (Some(dispatch), Some(result)) if is_element && is_array(dispatch) => {
            element(dispatch, position(result, data)?).map(piece)
        }
        (Some(dispatch), _) => Some(piece(dispatch)),
        (None, Some(result)) if !is_element => Some(piece(result)),
        (None, _) => None,
    }
}

fn is_array(raw: &RawValue) -> bool {
    raw.get().starts_with('[')
}

fn element(array: &RawValue, at: usize) -> Option<&RawValue> {
    serde_json::from_str::<Vec<&RawValue>>(array.get())
        .ok()?
        .get(at)
        .copied()
}

fn position(array: &RawValue, data: &[u8]) -> Option<usize> {
    let data = json::parse(std::str::from_utf8(data).ok()?)?;
    let elements = json::parse(array.get())?;
    elements
        .as_array()?
        .iter()
        .position(|element| *element == data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(data: &str, context: &str) -> Option<String> {
        let (data, context) = (
            Bytes::copy_from_slice(data.as_bytes()),
            Bytes::copy_from_slice(context.as_bytes()),
        );
        public_data(&data, &context).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn dispatch_goes_before_result_and_result_before_data() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            picked(r#"{"a":1}"#, r#"{"result":{"a":1},"dispatch":{"safe":1}}"#),
            text(r#"{"safe":1}"#)
        );
        assert_eq!(
            picked(r#"{"a":1}"#, r#"{"result":{"a":2}}"#),
            text(r#"{"a":2}"#)
        );
        assert_eq!(picked(r#"{"a":1}"#, r#"{"path":"m"}"#), None);
    }

    #[test]
    fn elements_of_an_array_get_what_belongs_to_them() {
        let context = r#"{"result":[{"a":1},{"a":2}],"dispatch":["one","two"]}"#;
        assert_eq!(picked(r#"{"a": 2}"#, context), Some(r#""two""#.to_owned()));
        assert_eq!(
            picked(r#"{"a":2}"#, r#"{"result":[{"a":1},{"a":2}]}"#),
            None
        );
        assert_eq!(
            picked(r#"{"a":2}"#, r#"{"result":[{"a":2}],"dispatch":{"all":1}}"#),
            Some(r#"{"all":1}"#.to_owned())
        );
    }
}
