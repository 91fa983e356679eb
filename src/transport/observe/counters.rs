//! What became of the responses of described routes, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one app since its start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    events: AtomicU64,
    too_large: AtomicU64,
    unreadable: AtomicU64,
    cut_off: AtomicU64,
    panics: AtomicU64,
}

/// What becomes of a successful response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Event,
    TooLarge,
    Unreadable,
    CutOff,
    Panicked,
}

impl Counters {
    /// Returns how many responses became events.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns how many were larger than the limit.
    pub(crate) fn too_large(&self) -> u64 {
        self.too_large.load(Ordering::Relaxed)
    }

    /// Returns how many were no JSON that could be read.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Returns how many did not come to their end, or only after the node had shut down.
    pub(crate) fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// Returns how many made the app's own code panic.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, fate: Fate) {
        let counter = match fate {
            Fate::Event => &self.events,
            Fate::TooLarge => &self.too_large,
            Fate::Unreadable => &self.unreadable,
            Fate::CutOff => &self.cut_off,
            Fate::Panicked => &self.panics,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Fate {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Event => "it did",
            Self::TooLarge => "its body is larger than `EventLayer::max_body`",
            Self::Unreadable => {
                "its body is no JSON with data, or is compressed: a layer that compresses stands outside of `EventLayer`"
            }
            Self::CutOff => "its body did not come to its end, or the node had shut down",
            Self::Panicked => "the code that makes its event panicked",
        }
    }
}
