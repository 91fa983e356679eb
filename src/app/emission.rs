//! From a finished call to its events (feathers.md §3.1).

use std::sync::Arc;

use serde_json::Value;

use super::App;
use crate::event::{Event, EventContext, Inner, Json, Origin};
use crate::hooks::HookContext;
use crate::service::{Entry, Method};
use crate::sync::Emission;

impl App {
    /// Sends the events of a call: one for each element of an array result, otherwise one.
    ///
    /// Without sync the call's own client hears its event before the answer, as with Feathers; with sync it never waits
    /// for the broker.
    pub(super) async fn emit_events(&self, context: &HookContext) {
        let Some(name) = context
            .event
            .as_ref()
            .filter(|name| is_automatic(context.entry(), name))
        else {
            return;
        };
        let is_synced = context.is_synced() && is_synced(context.entry(), name);
        let events: Vec<Emission> = elements(context)
            .map(|(data, public)| Emission {
                event: event(context, name, data, public),
                is_synced,
            })
            .collect();
        self.0.sync.emit(events).await;
    }

    /// Sends an event without a call; arrays go out as one event (§3.3).
    pub(super) fn emit_by_hand(&self, entry: &Arc<Entry>, name: &str, data: Value) {
        let data = Json::from(data);
        let event = Event::new(Inner {
            path: Arc::clone(&entry.path),
            name: name.into(),
            public: data.clone(),
            data,
            context: None,
            origin: Origin::Local,
            happened: None,
        });
        self.0.sync.emit_now(vec![Emission {
            event,
            is_synced: is_synced(entry, name),
        }]);
    }
}

fn event(context: &HookContext, name: &Arc<str>, data: Json, public: Json) -> Event {
    let id = context.id.as_ref().map(crate::service::Id::to_json);
    Event::new(Inner {
        path: Arc::clone(&context.entry().path),
        name: Arc::clone(name),
        data,
        public,
        context: Some(EventContext::local(
            context.method(),
            id,
            context.extra_fields(),
        )),
        origin: Origin::Local,
        happened: None,
    })
}

/// Pairs what listeners of this node get with what everybody else gets.
fn elements(context: &HookContext) -> impl Iterator<Item = (Json, Json)> {
    let dispatch = context.dispatch.as_ref();
    let results = match &context.result {
        Some(Value::Array(elements)) => elements.as_slice(),
        Some(result) => std::slice::from_ref(result),
        None => &[],
    };
    let is_array = matches!(context.result, Some(Value::Array(_)));
    results.iter().enumerate().map(move |(at, result)| {
        let data = Json::from(result);
        let public = dispatch.map(|dispatch| Json::from(part(dispatch, at, is_array)));
        (data.clone(), public.unwrap_or(data))
    })
}

/// An array dispatch belongs element by element to an array result; Feathers sends `null` there (§3.5).
fn part(dispatch: &Value, at: usize, is_array: bool) -> &Value {
    let elements = dispatch.as_array().filter(|_| is_array);
    elements.map_or(dispatch, |elements| {
        elements.get(at).unwrap_or(&Value::Null)
    })
}

/// An event that the service lists as custom is never sent automatically.
fn is_automatic(entry: &Entry, name: &str) -> bool {
    !entry.custom_events.iter().any(|custom| &**custom == name)
}

/// Only standard and custom events leave the process, and none of the authentication service.
fn is_synced(entry: &Entry, name: &str) -> bool {
    let is_known = Method::EVENTS.contains(&name) || !is_automatic(entry, name);
    is_known && &*entry.path != "authentication"
}
