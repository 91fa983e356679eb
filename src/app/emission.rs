//! From a finished call to its events (feathers.md §3.1).

use std::sync::Arc;

use serde_json::Value;
use smallvec::SmallVec;

use super::{App, not_found, registered_path};
use crate::error::{Error, ErrorName, Result};
use crate::event::{Event, EventContext, Inner, Json, Origin};
use crate::hooks::HookContext;
use crate::service::{Entry, Id, Method, valid_event_name};
use crate::sync::Emission;
use crate::trace::TraceContext;

impl App {
    /// Sends the events of a call: one for each element of an array result, otherwise one.
    ///
    /// Without sync the call's own client hears its event before the answer, as with Feathers; with sync it never waits
    /// for the broker.
    pub(super) async fn emit_events(&self, entry: &Entry, context: &HookContext) {
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
            let event = event((entry.place, &entry.path), name, call, (data, public));
            Emission { event, is_synced }
        };
        let emissions = elements(context).into_iter().map(emission);
        self.0.sync.emit(emissions).await;
    }

    /// Tells whether anybody might hear an event: another node, a listener, or a client.
    fn is_heard(&self, entry: &Entry, name: &str) -> bool {
        let app = &self.0;
        let is_published =
            || entry.publishes(name) && entry.publishers.has_publisher(&app.publishers, name);
        app.sync.is_linked() || app.listeners.hear(entry.place, name) || is_published()
    }

    /// Emits events by hand, without a call behind them; arrays go out as one event (§3.3).
    ///
    /// # Errors
    /// `NotFound` for a path without service while those are not taken, `BadRequest` for a name that no event has.
    pub(crate) fn emit_by_hand(&self, by_hand: &ByHand<'_>, data: &[Value]) -> Result<()> {
        let emissions = self.emissions(by_hand, data)?;
        self.0.sync.emit_now(emissions);
        Ok(())
    }

    /// Emits an event by hand, as [`emit_by_hand`](Self::emit_by_hand), and waits as a call does that has events.
    ///
    /// # Errors
    /// As there, and `Unavailable` once the node has shut down.
    pub(crate) async fn emit_in_turn(&self, by_hand: &ByHand<'_>, data: &Value) -> Result<()> {
        let emissions = self.emissions(by_hand, std::slice::from_ref(data))?;
        let emitted = self.0.sync.emit(emissions.into_iter());
        // Polled first, so that the event happens; nobody empties the queue of a node that has ended.
        self.while_it_runs(emitted).await.ok_or_else(|| {
            Error::new(
                ErrorName::Unavailable,
                "the node has shut down: an event may be lost",
            )
        })
    }

    /// Waits while own clients have fallen far behind.
    pub(crate) async fn room(&self) {
        self.while_it_runs(self.0.dispatch.room()).await;
    }

    async fn while_it_runs<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.0.tasks.cancelled() => None,
        }
    }

    /// Makes the events that somebody might hear.
    ///
    /// The values themselves stay with the caller: to be freed by the thread that dispatches would cost more than what it
    /// saves a listener that looks.
    fn emissions(&self, by_hand: &ByHand<'_>, data: &[Value]) -> Result<Emissions> {
        let path = registered_path(by_hand.path);
        let entry = self.0.routes.of_events(path);
        let entry = entry.ok_or_else(|| not_found(path))?;
        let name = by_hand.event;
        if !valid_event_name(name) {
            return Err(Error::bad_request(format!(
                "'{name}' can not be the name of an event"
            )));
        }
        if !self.is_heard(entry, name) {
            return Ok(Emissions::new());
        }
        let (path, name) = (entry.event_path(path), entry.event_name(name));
        let is_synced = by_hand.is_synced && is_synced(entry, &name);
        let emission = |data| {
            let public = redacted(entry, data);
            let data = Json::from(data);
            let public = public.unwrap_or_else(|| data.clone());
            let call = by_hand.context.clone().map(|context| (context, None));
            let event = event((entry.place, &path), &name, call, (data, public));
            Emission { event, is_synced }
        };
        Ok(data.iter().map(emission).collect())
    }
}

/// Mostly one.
type Emissions = SmallVec<[Emission; 1]>;

/// What an event is that no call leads to, besides its data.
pub(crate) struct ByHand<'a> {
    pub(crate) path: &'a str,
    pub(crate) event: &'a str,
    pub(crate) context: Option<EventContext>,
    /// Whether other nodes are to hear it, if they hear events of that path and name at all.
    pub(crate) is_synced: bool,
}

impl<'a> ByHand<'a> {
    pub(crate) fn new(path: &'a str, event: &'a str) -> Self {
        Self {
            path,
            event,
            context: None,
            is_synced: true,
        }
    }
}

/// Makes an event from what listeners of this node get and what everybody else gets.
fn event(
    (place, path): (usize, &Arc<str>),
    name: &Arc<str>,
    call: Option<(EventContext, Option<TraceContext>)>,
    (data, public): (Json, Json),
) -> Event {
    let (context, trace) = call.unzip();
    Event::new(Inner {
        place,
        path: Arc::clone(path),
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
fn elements(context: &HookContext) -> SmallVec<[(Json, Json); 1]> {
    match &context.text {
        Some(text) => text_elements(context, text),
        None => value_elements(context).collect(),
    }
}

/// A service with redacted properties does not answer in text.
fn text_elements(context: &HookContext, text: &Json) -> SmallVec<[(Json, Json); 1]> {
    let (elements, is_array) = text.elements();
    let pairs = elements.into_iter().enumerate().map(|(at, data)| {
        let own = context.dispatch.as_ref();
        let own = own.map(|dispatch| part(dispatch, at, is_array).into());
        (data.clone(), own.unwrap_or(data))
    });
    pairs.collect()
}

fn value_elements(context: &HookContext) -> impl Iterator<Item = (Json, Json)> {
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
    let is_known = entry.is_open || Method::EVENTS.contains(&name) || !is_automatic(entry, name);
    is_known && entry.sync_mode.sends()
}
