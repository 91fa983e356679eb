//! What a client asks to hear.

use std::collections::BTreeSet;
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
        let is_of_none =
            |event: &&String| !services.iter().any(|(_, entry)| entry.publishes(event));
        if let Some(event) = events.iter().find(is_of_none) {
            let message = format!("'{event}' is no event of {}", paths.join(", "));
            return Err(Error::bad_request(message));
        }
        let mut query = query::parse(text);
        query.retain(|name, _| !matches!(name.as_str(), "service" | "event"));
        let interest = services.iter().flat_map(|named| heard_of(named, &events));
        Ok(Self {
            interest: interest.collect(),
            query,
        })
    }
}

/// A path that a client names, and what stands for its events.
type Named<'a> = (Arc<str>, &'a Arc<Entry>);

/// Finds the services, each once however often it is named: all that is heard is compared with them.
fn distinct<'a>(app: &'a App, paths: &[String]) -> Result<Vec<Named<'a>>> {
    let paths: BTreeSet<&str> = paths.iter().map(|path| registered_path(path)).collect();
    paths.into_iter().map(|path| service(app, path)).collect()
}

fn service<'a>(app: &'a App, path: &str) -> Result<Named<'a>> {
    let entry = app.routes().of_events(path);
    let entry = entry.ok_or_else(|| Error::not_found(format!("Service '{path}' not found")))?;
    Ok((entry.event_path(path), entry))
}

/// Returns the named events of a path that has them, or all of it.
fn heard_of(
    (path, entry): &Named<'_>,
    events: &[String],
) -> impl Iterator<Item = (Arc<str>, Option<Arc<str>>)> + use<> {
    let published = events.iter().filter(|event| entry.publishes(event));
    let mut names: Vec<_> = published
        .map(|event| Some(entry.event_name(event)))
        .collect();
    if events.is_empty() {
        names.push(None);
    }
    names.sort();
    names.dedup();
    let path = Arc::clone(path);
    names.into_iter().map(move |name| (Arc::clone(&path), name))
}

fn named(query: &str, name: &str, limit: usize) -> Vec<String> {
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    named
        .map(|(_, value)| value.into_owned())
        .take(limit.saturating_add(1))
        .collect()
}
