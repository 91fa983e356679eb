use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wingbeat_adapter::Lane;

use super::node::{SHARED, Tag};

/// The id of an origin and the sequence of its event.
pub(super) type Sealed = (String, u64);

/// What an observer of the topics saw: on the events lane it knows no more than a Node process does.
#[derive(Default)]
pub(super) struct Wire {
    /// Which event each sequence carries.
    pub(super) carried: BTreeMap<Sealed, Tag>,
    /// How often each went over the events lane.
    pub(super) on_events: BTreeMap<Sealed, u32>,
    /// What the broker refused for good.
    pub(super) refused: BTreeSet<Sealed>,
    /// The promises that were broken.
    pub(super) broken: Vec<String>,
}

impl Wire {
    pub(super) fn note(&mut self, lane: Lane, payload: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(payload) else {
            return self
                .broken
                .push("node_safe: a payload is not JSON".to_owned());
        };
        if lane == Lane::Events && !is_for_all(&message) {
            self.broken
                .push(format!("node_safe: on the events lane: {message}"));
        }
        let Some(sealed) = sealed(&message) else {
            return;
        };
        if lane == Lane::Events {
            *self.on_events.entry(sealed.clone()).or_default() += 1;
        }
        let Some(tag) = Tag::of(&message["data"]) else {
            return self
                .broken
                .push(format!("an event without its tag: {message}"));
        };
        if self
            .carried
            .insert(sealed, tag)
            .is_some_and(|before| before != tag)
        {
            self.broken
                .push(format!("one sequence, two events: {message}"));
        }
    }
}

/// The origin and the sequence of an event that goes out for the first time, or again because its echo did not come.
pub(super) fn event_of(payload: &[u8]) -> Option<Sealed> {
    let message: Value = serde_json::from_slice(payload).ok()?;
    sealed(&message).filter(|_| message["wb"].get("again").is_none())
}

fn sealed(message: &Value) -> Option<Sealed> {
    let wb = message.get("wb")?;
    Some((
        wb.get("node")?.as_str()?.to_owned(),
        wb.get("seq")?.as_u64()?,
    ))
}

/// Tells whether a Node process that has the listed services takes the message well (feathers.md §9.2).
fn is_for_all(message: &Value) -> bool {
    let Some(members) = message.as_object() else {
        return false;
    };
    let is_known =
        |name: &String| ["event", "path", "data", "context", "wb"].contains(&name.as_str());
    let has_name = message["event"]
        .as_str()
        .is_some_and(|event| event != "error" && !event.is_empty());
    let wb = &message["wb"];
    members.keys().all(is_known)
        && has_name
        && message["path"] == SHARED
        && message["data"].is_object()
        && wb.get("control").is_none()
        && wb.get("again").is_none()
        && sealed(message).is_some()
}
