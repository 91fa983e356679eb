//! Messages that could not be used: one bad message costs one message.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};

/// Why a message was put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// It is no envelope.
    Malformed,
    /// It is larger than the limit.
    TooLarge,
    /// It nests deeper than the limit.
    TooDeep,
    /// It is of another version of the protocol.
    Version,
    /// Its service is not registered here.
    UnknownService,
    /// Its sequence can not be.
    ImplausibleSeq,
    /// It has our id and is not ours.
    ClonedIdentity,
    /// Its node writes envelopes in another encoding.
    Codec,
    /// There are more nodes than the table holds.
    TooManyPeers,
    /// The broker refused it for good.
    Refused,
}

/// The counts of what was put aside.
#[derive(Debug, Default)]
pub(crate) struct Quarantine(Mutex<BTreeMap<Reason, u64>>);

impl Quarantine {
    /// Counts a message and logs the first of its reason, then every hundredth.
    pub(crate) fn put(&self, reason: Reason, what: fmt::Arguments<'_>) {
        let mut counts = self.0.lock();
        let count = counts.entry(reason).or_default();
        *count += 1;
        if *count % 100 == 1 {
            tracing::warn!(%reason, count, "a message was quarantined: {what}");
        }
    }

    pub(crate) fn counts(&self) -> BTreeMap<Reason, u64> {
        self.0.lock().clone()
    }
}

impl Reason {
    /// Returns the reason as it stands in stats and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::Version => "version",
            Self::UnknownService => "unknown_service",
            Self::ImplausibleSeq => "implausible_seq",
            Self::ClonedIdentity => "cloned_identity",
            Self::Codec => "codec",
            Self::TooManyPeers => "too_many_peers",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
