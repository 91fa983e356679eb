//! From a finished call to its events (feathers.md §3.1).

use std::sync::Arc;

use serde_json::Value;

use super::App;
use crate::event::{Event, EventContext, Inner, Json, Origin};
use crate::hooks::HookContext;
use crate::service::{Entry, Id, Method};
use crate::sync::Emission;
use crate::trace::TraceContext;

impl App {
    /// Sends the events of a call: one for each element of an array result, otherwise one.
    ///
    /// Without sync the call's own client hears its event before the answer, as with Feathers; with sync it never waits
    /// for the broker.
    pub(super) async fn emit_events(&self, context: &HookContext) {
        let entry = context.entry();
        let Some(name) = context
            .event
            .as_ref()
            .filter(|name| is_automatic(entry, name) && self.is_heard(entry, name))
        else {
            return;
        };
        let is_synced = context.is_synced() && is_synced(entry, name);
        let id = context.id.as_ref().map(Id::to_json);
        let shared = EventContext::local(context.method(), id, context.extra_fields());
        let emission = |(data, public)| {
            let call = Some((shared.clone(), context.params.trace));
            let event = event(entry, name, call, (data, public));
            Emission { event, is_synced }
        };
        self.0.sync.emit(elements(context).map(emission)).await;
    }

    /// Tells whether anybody might hear an event: another node, a listener, or a client.
    fn is_heard(&self, entry: &Entry, name: &str) -> bool {
        let app = &self.0;
        let is_published =
            || entry.publishes(name) && entry.publishers.has_publisher(&app.publishers, name);
        app.sync.is_linked() || app.listeners.hear(entry.place, name) || is_published()
    }

    /// Sends an event without a call; arrays go out as one event (§3.3).
    ///
    /// The value itself stays here: to be freed by the thread that dispatches would cost more than what it saves a
    /// listener that looks.
    pub(super) fn emit_by_hand(&self, entry: &Arc<Entry>, name: &str, data: &Value) {
        if !self.is_heard(entry, name) {
            return;
        }
        let public = redacted(entry, data);
        let data = Json::from(data);
        let public = public.unwrap_or_else(|| data.clone());
        let is_synced = is_synced(entry, name);
        let event = event(entry, &entry.event_name(name), None, (data, public));
        self.0.sync.emit_now([Emission { event, is_synced }]);
    }
}

/// Makes an event from what listeners of this node get and what everybody else gets.
fn event(
    entry: &Entry,
    name: &Arc<str>,
    call: Option<(EventContext, Option<TraceContext>)>,
    (data, public): (Json, Json),
) -> Event {
    let (context, trace) = call.unzip();
    Event::new(Inner {
        place: entry.place,
        path: Arc::clone(&entry.path),
        name: Arc::clone(name),
        data,
        public,
        context,
        origin: Origin::Local,
        happened: None,
        trace: trace.flatten(),
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
        let own = dispatch.map(|dispatch| part(dispatch, at, is_array));
        let public =
            redacted(context.entry(), own.unwrap_or(result)).or_else(|| own.map(Json::from));
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

/// Takes the properties out that the service names; `None` when it names none.
fn redacted(entry: &Entry, data: &Value) -> Option<Json> {
    (!entry.redacted.is_empty()).then(|| {
        let mut data = data.clone();
        redact(&mut data, &entry.redacted);
        data.into()
    })
}

fn redact(data: &mut Value, properties: &[Arc<str>]) {
    match data {
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| redact(element, properties)),
        Value::Object(object) => {
            object.retain(|name, _| !properties.iter().any(|property| **property == **name));
            object
                .values_mut()
                .for_each(|value| redact(value, properties));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An event that the service lists as custom is never sent automatically.
fn is_automatic(entry: &Entry, name: &str) -> bool {
    !entry.custom_events.iter().any(|custom| &**custom == name)
}

/// Only standard and custom events leave the process.
fn is_synced(entry: &Entry, name: &str) -> bool {
    let is_known = Method::EVENTS.contains(&name) || !is_automatic(entry, name);
    is_known && entry.sync_mode.sends()
}
