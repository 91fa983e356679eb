//! Code of this process that hears events.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use super::{Event, Origin};
use crate::json::shape::Misfit;

/// Which events a listener hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Events of this node only: right for side effects that must happen once.
    Local,
    /// Events of every node: right for caches that must be dropped everywhere.
    Any,
}

/// Fails when the event's data does not fit the type that the listener wants.
pub(crate) type Listener = Arc<dyn Fn(&Event) -> Result<(), Misfit> + Send + Sync>;
/// By the name of the event. A service has few events with listeners, which are found sooner one by one than by a hash.
type OfService = Vec<(Arc<str>, Arc<Vec<(Scope, Listener)>>)>;

/// The listeners of an app, by the places of its services.
#[derive(Default)]
pub(crate) struct Listeners {
    table: RwLock<Vec<OfService>>,
    /// Whether there is one at all: to ask takes no lock, which all threads would share.
    has_some: AtomicBool,
    panics: AtomicU64,
    misfits: AtomicU64,
}

impl Listeners {
    /// Adds a listener to a service at a place.
    pub(crate) fn add(&self, place: usize, event: &str, scope: Scope, listener: Listener) {
        let mut table = self.table.write();
        let n_known = table.len();
        table.resize_with(n_known.max(place + 1), Vec::new);
        let of_service = &mut table[place];
        match of_service.iter_mut().find(|(name, _)| **name == *event) {
            Some((_, listeners)) => Arc::make_mut(listeners).push((scope, listener)),
            None => of_service.push((event.into(), Arc::new(vec![(scope, listener)]))),
        }
        self.has_some.store(true, Ordering::Release);
    }

    /// Calls every listener of the event, in the order in which they were added.
    ///
    /// A panic, and data that does not fit the listener, is logged and counted; the others still hear the event.
    pub(crate) fn notify(&self, event: &Event) {
        let Some(listeners) = self.find(event.place(), event.name()) else {
            return;
        };
        let is_local = *event.origin() == Origin::Local;
        for (_, listener) in listeners
            .iter()
            .filter(|(scope, _)| is_local || *scope == Scope::Any)
        {
            self.call(listener, event);
        }
    }

    /// Tells whether an event of the service at a place has listeners.
    pub(crate) fn hear(&self, place: usize, event: &str) -> bool {
        self.find(place, event).is_some()
    }

    fn find(&self, place: usize, event: &str) -> Option<Arc<Vec<(Scope, Listener)>>> {
        if !self.has_some.load(Ordering::Acquire) {
            return None;
        }
        let table = self.table.read();
        let mut of_service = table.get(place)?.iter();
        let (_, listeners) = of_service.find(|(name, _)| **name == *event)?;
        Some(Arc::clone(listeners))
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(crate) fn misfits(&self) -> u64 {
        self.misfits.load(Ordering::Relaxed)
    }

    fn call(&self, listener: &Listener, event: &Event) {
        let (path, name) = (event.path(), event.name());
        match catch_unwind(AssertUnwindSafe(|| listener(event))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.misfits.fetch_add(1, Ordering::Relaxed);
                tracing::error!(path, event = name, %error, "an event does not fit its listener");
            }
            Err(_) => {
                self.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(path, event = name, "a listener panicked");
            }
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners")
            .field("panics", &self.panics())
            .finish_non_exhaustive()
    }
}
