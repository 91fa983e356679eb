//! What a client asks to hear.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::app::{App, registered_path};
use crate::connections::Interest;
use crate::error::{Error, Result};
use crate::service::Entry;
use crate::transport::query;

/// The events that a query names.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) interest: Interest,
    /// The query without what is ours.
    pub(super) query: Map<String, Value>,
}

impl Subscription {
    /// Reads `service=…&event=…`, several of each: the named events of the named services, or all of theirs.
    ///
    /// # Errors
    /// `NotFound` for an unknown service, `BadRequest` for none, for an event that none of them has, and for more names than
    /// there may be.
    pub(super) fn of(app: &App, text: &str) -> Result<Self> {
        let limit = app.config().max_subscriptions.max(1);
        let [paths, events] = ["service", "event"].map(|name| named(text, name, limit));
        let is_over = paths.len() + events.len() > limit;
        if is_over {
            app.counters().count_refused_subscription();
        }
        if is_over || paths.is_empty() {
            let message = format!("1 to {limit} services and events are named");
            return Err(Error::bad_request(message));
        }
        let services = distinct(app, &paths)?;
        let is_of_none = |event: &&String| !services.iter().any(|entry| entry.publishes(event));
        if let Some(event) = events.iter().find(is_of_none) {
            let message = format!("'{event}' is no event of {}", paths.join(", "));
            return Err(Error::bad_request(message));
        }
        let mut query = query::parse(text);
        query.retain(|name, _| !matches!(name.as_str(), "service" | "event"));
        let interest = services.iter().flat_map(|entry| of_service(entry, &events));
        Ok(Self {
            interest: interest.collect(),
            query,
        })
    }
}

/// Finds the services, each once however often it is named: all that is heard is compared with them.
fn distinct<'a>(app: &'a App, paths: &[String]) -> Result<Vec<&'a Arc<Entry>>> {
    let services: Result<Vec<_>> = paths.iter().map(|path| service(app, path)).collect();
    let mut services = services?;
    services.sort_by_key(|entry| entry.place);
    services.dedup_by_key(|entry| entry.place);
    Ok(services)
}

fn service<'a>(app: &'a App, path: &str) -> Result<&'a Arc<Entry>> {
    let entry = app.routes().registered(registered_path(path));
    entry.ok_or_else(|| Error::not_found(format!("Service '{path}' not found")))
}

fn of_service(entry: &Entry, events: &[String]) -> impl Iterator<Item = (usize, Arc<str>)> + use<> {
    let is_named =
        |event: &&Arc<str>| events.is_empty() || events.iter().any(|name| **name == ***event);
    let published = entry.published_events.iter().filter(is_named);
    let pairs: Vec<_> = published
        .map(|event| (entry.place, Arc::clone(event)))
        .collect();
    pairs.into_iter()
}

fn named(query: &str, name: &str, limit: usize) -> Vec<String> {
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    named
        .map(|(_, value)| value.into_owned())
        .take(limit.saturating_add(1))
        .collect()
}
