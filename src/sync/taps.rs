//! The app's own code that watches what passes between nodes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::Gap;
use crate::event::Event;

type Tap<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// The taps of an app. A panic in one is caught, logged and counted.
#[derive(Default)]
pub(crate) struct Taps {
    out: RwLock<Vec<Tap<Event>>>,
    incoming: RwLock<Vec<Tap<Event>>>,
    gaps: RwLock<Vec<Tap<Gap>>>,
    panics: AtomicU64,
}

impl Taps {
    pub(crate) fn add_out(&self, tap: Tap<Event>) {
        self.out.write().push(tap);
    }

    pub(crate) fn add_in(&self, tap: Tap<Event>) {
        self.incoming.write().push(tap);
    }

    pub(crate) fn add_gap(&self, tap: Tap<Gap>) {
        self.gaps.write().push(tap);
    }

    /// Shows an event that goes to the other nodes.
    pub(super) fn out(&self, event: &Event) {
        self.call(&self.out, event);
    }

    /// Shows an event of another node.
    pub(crate) fn incoming(&self, event: &Event) {
        self.call(&self.incoming, event);
    }

    /// Tells whether anybody sees the events of other nodes.
    pub(crate) fn hear_incoming(&self) -> bool {
        !self.incoming.read().is_empty()
    }

    pub(super) fn gap(&self, gap: &Gap) {
        self.call(&self.gaps, gap);
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    fn call<T>(&self, taps: &RwLock<Vec<Tap<T>>>, value: &T) {
        let taps = taps.read().clone();
        for tap in taps {
            if catch_unwind(AssertUnwindSafe(|| tap(value))).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!("a sync tap panicked");
            }
        }
    }
}

impl fmt::Debug for Taps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taps")
            .field("panics", &self.panics())
            .finish_non_exhaustive()
    }
}
