use std::ops::Add;
use std::time::Duration;

/// A point on the shell's monotonic clock: the time since an origin that the shell chooses.
///
/// The core never reads a clock, so a test can run an hour of outage in a millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(Duration);

impl Time {
    /// The point that lies `elapsed` after the origin.
    pub(crate) const fn at(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The point that lies `span` before this one; the origin if there is none.
    pub(crate) fn back(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// The shell's clock in milliseconds; it means something to this node only.
pub(crate) fn clock(now: Time) -> u64 {
    millis(now.since(Time::default()))
}

/// Whole milliseconds, as they travel in envelopes.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
