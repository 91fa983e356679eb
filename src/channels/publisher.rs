//! The functions that pick the channels of an event, and the fan-out to their connections.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::{Audience, Channels};
use crate::event::Event;

/// An event as a publisher sees it: the same on every node, its origin included.
///
/// ```
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .service("messages", Memory::new())
///     .publish(|event, channels| {
///         let is_for_all = event.event() == "created" && event.data()["hidden"] != true;
///         is_for_all.then(|| channels.channel("everybody"))
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Publication<'a> {
    event: &'a Event,
    not_synced: &'a AtomicU64,
}

/// Says that a publisher read a field that does not leave the node on which the event happened.
///
/// It fails on every node alike, the origin included: what worked there alone would leave out clients of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSynced {
    path: String,
    field: String,
}

impl Publication<'_> {
    /// Returns the path of the service, as it was registered.
    #[must_use]
    pub fn path(&self) -> &str {
        self.event.path()
    }

    /// Returns the event's name.
    #[must_use]
    pub fn event(&self) -> &str {
        self.event.name()
    }

    /// Returns what clients get: the element of the call's `dispatch` or result.
    #[must_use]
    pub fn data(&self) -> &Value {
        self.event.public_data().value()
    }

    /// Returns the method of the call; custom events have none.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.event.context()?.method()
    }

    /// Returns a field of the call's context: `id`, or one that the service's
    /// [`sync_context`](crate::service::Registration::sync_context) lets out.
    ///
    /// # Errors
    /// `NotSynced`, which names the line to add, for a field that does not leave the node. It is counted.
    pub fn field(&self, name: &str) -> Result<&Value, NotSynced> {
        let field = self.event.context().and_then(|context| context.field(name));
        field.ok_or_else(|| self.not_synced(name))
    }

    fn not_synced(&self, name: &str) -> NotSynced {
        let error = NotSynced {
            path: self.path().to_owned(),
            field: name.to_owned(),
        };
        let count = self.not_synced.fetch_add(1, Ordering::Relaxed);
        if count.is_multiple_of(1_000) {
            tracing::warn!(%error, "a publisher reads what is not synced");
        }
        error
    }
}

impl fmt::Display for NotSynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, field } = self;
        write!(
            f,
            "'{field}' of '{path}' does not leave the node of the call: add it with \
             `Registration::sync_context(|context| Map::from_iter([(\"{field}\".to_owned(), …)]))`"
        )
    }
}

impl std::error::Error for NotSynced {}

type Publisher = Arc<dyn Fn(&Publication<'_>, &Channels) -> Audience + Send + Sync>;

/// The publishers of one level, the app's or a service's: one for each event and one for all.
#[derive(Clone, Default)]
pub(crate) struct Publishers {
    /// So few that they are found sooner one by one than by a hash.
    by_event: Vec<(Option<Arc<str>>, Publisher)>,
    panics: Arc<AtomicU64>,
    not_synced: Arc<AtomicU64>,
}

impl Publishers {
    /// Sets the publisher of an event, or of all events without one of their own. The last one set wins.
    pub(crate) fn set<A, F>(&mut self, event: Option<Arc<str>>, publisher: F)
    where
        A: Into<Audience>,
        F: Fn(&Publication<'_>, &Channels) -> A + Send + Sync + 'static,
    {
        let publisher: Publisher =
            Arc::new(move |publication, channels| publisher(publication, channels).into());
        self.by_event.retain(|(known, _)| *known != event);
        self.by_event.push((event, publisher));
    }

    /// Returns the events that have a publisher of their own.
    pub(crate) fn named_events(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_event.iter().filter_map(|(event, _)| event.as_ref())
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Returns how often a publisher read a field that is not synced.
    pub(crate) fn not_synced(&self) -> u64 {
        self.not_synced.load(Ordering::Relaxed)
    }

    /// Returns the channels that an event's publisher picks: this level's first, then the one of `outer` (feathers.md §4.2).
    pub(crate) fn audience(
        &self,
        outer: &Self,
        event: &Event,
        channels: &Channels,
    ) -> Option<Audience> {
        let mut levels = [self, outer].into_iter();
        let (level, publisher) =
            levels.find_map(|level| Some((level, level.pick(event.name())?)))?;
        let publication = Publication {
            event,
            not_synced: &level.not_synced,
        };
        let audience = catch_unwind(AssertUnwindSafe(|| publisher(&publication, channels)));
        audience.map_err(|_| level.panicked(event)).ok()
    }

    /// Tells whether this level or `outer` has a publisher for an event.
    pub(crate) fn has_publisher(&self, outer: &Self, event: &str) -> bool {
        self.pick(event).or_else(|| outer.pick(event)).is_some()
    }

    fn pick(&self, event: &str) -> Option<&Publisher> {
        let of = |event: Option<&str>| {
            let mut publishers = self.by_event.iter();
            publishers.find(|(known, _)| known.as_deref() == event)
        };
        let (_, publisher) = of(Some(event)).or_else(|| of(None))?;
        Some(publisher)
    }

    fn panicked(&self, event: &Event) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            path = event.path(),
            event = event.name(),
            "a publisher panicked: no client hears the event"
        );
    }
}

impl fmt::Debug for Publishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.by_event.iter().map(|(event, _)| event);
        f.debug_set().entries(events).finish()
    }
}
