use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::node::NodeId;

/// How this node stands with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// The app has no sync; the core itself never says so.
    Off,
    /// There was no link yet.
    Connecting,
    /// The link hears itself; what has no echo yet is sent again.
    Replaying,
    /// Everything from before this link has come back.
    Ready,
    /// The link lives, but echoes are late: own clients do not wait for them.
    Degraded,
    /// The only other nodes that are heard speak another version or codec: nothing is published, own clients are served.
    Incompatible,
    /// The link is lost; a new one is dialled.
    Reconnecting,
    /// Nothing is sent any more.
    Closed,
}

impl Status {
    /// Returns the status as it stands in logs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connecting => "connecting",
            Self::Replaying => "replaying",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Incompatible => "incompatible",
            Self::Reconnecting => "reconnecting",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Events that this node's clients will not get, or whose order may differ from that on other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// Whose events.
    pub origin: Origin,
    /// The first and the last sequence; `None` if it cannot be known, or if none is missing.
    pub range: Option<(u64, u64)>,
    /// What happened to them.
    pub reason: GapReason,
    /// The service, if it is about one only: its records are to be fetched again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Arc<str>>,
}

impl Gap {
    pub(crate) const fn new(origin: Origin, range: Option<(u64, u64)>, reason: GapReason) -> Self {
        Self {
            origin,
            range,
            reason,
            path: None,
        }
    }
}

/// Whose events are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// A wingbeat node.
    Node {
        /// Its id.
        node: NodeId,
        /// Its label.
        name: Arc<str>,
    },
    /// Peers that know no sequence.
    Foreign,
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapReason {
    /// The origin does not keep them any more.
    Evicted,
    /// The origin is there and did not answer in time.
    Unanswered,
    /// Too much waited behind them, and for ten seconds the origin sent faster than it repeated.
    HoldFull,
    /// The broker refused them for good.
    Refused,
    /// The origin left or fell silent.
    Departed,
    /// Our link was away for a time.
    NewLink,
    /// The adapter lost messages.
    Lost,
    /// Nothing is missing, but in an outage clients of two nodes heard events of one service in different orders, so that
    /// they may hold different last states of one record.
    Diverged,
}

/// What a node's core has counted since it was built, and how full it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Own events.
    pub emitted: u64,
    /// Own events that took a sequence.
    pub synced: u64,
    /// Own events that could not be synced: too large for the log, or emitted while closing.
    pub refused: u64,
    /// Own events that own clients were given.
    pub delivered: u64,
    /// Own events that own clients heard before the echo they were to wait for.
    pub delivered_early: u64,
    /// Envelopes handed to the broker, repeated ones included.
    pub sent: u64,
    /// Envelopes among them that some link had been handed before.
    pub resent: u64,
    /// Own envelopes that came back.
    pub settled: u64,
    /// Own envelopes that came back again.
    pub duplicate_echoes: u64,
    /// Own events that left the full log and were never sent.
    pub dropped_out: u64,
    /// Own events that left the full log after sending and before their echo.
    pub dropped_unsettled: u64,
    /// Own events that the broker refused for good.
    pub voided: u64,
    /// Elements that the broker refused for the moment.
    pub refused_for_now: u64,
    /// Control messages that the broker refused for good.
    pub control_refused: u64,
    /// Peers' events that own clients were given.
    pub released: u64,
    /// Peers' events that came because we asked.
    pub repaired: u64,
    /// Peers' envelopes that we had.
    pub duplicates: u64,
    /// Peers' envelopes that came after they were given up.
    pub late: u64,
    /// Events of peers that know no sequence.
    pub foreign: u64,
    /// Gaps raised.
    pub gaps: u64,
    /// Sequences in them.
    pub missing: u64,
    /// `Want`s that we sent.
    pub wants_sent: u64,
    /// `Want`s for our log.
    pub wants_heard: u64,
    /// `Want`s that made no sense or were too many.
    pub wants_ignored: u64,
    /// Envelopes repeated to askers.
    pub repeated: u64,
    /// Messages quarantined.
    pub quarantined: u64,
    /// Messages that a full hold had no room for; they are asked for later.
    pub hold_refused: u64,
    /// Links that came up.
    pub links: u64,
    /// Links that we gave up.
    pub links_dropped: u64,
    /// Messages and reports of links that are gone.
    pub stale: u64,
    /// Own hellos of links that are gone.
    pub stale_hellos: u64,
    /// New ids that this node took because another one had the same.
    pub renamed: u64,
    /// Messages that the adapter said were lost.
    pub lost: u64,
    /// Peers that left or fell silent.
    pub departed: u64,
    /// Departed peers whose place had to be forgotten.
    pub departed_dropped: u64,
    /// Own events that wait for their echo (level).
    pub waiting: usize,
    /// Own events without an echo (level).
    pub unsettled: u64,
    /// Entries of the log (level).
    pub log_entries: usize,
    /// Bytes of the log (level).
    pub log_bytes: usize,
    /// Peers' envelopes that wait for a lower sequence (level).
    pub held: usize,
    /// Peers of which something is missing now (level).
    pub holes: usize,
}

/// One peer as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PeerStats {
    /// Its id.
    pub node: NodeId,
    /// Its label.
    pub name: Arc<str>,
    /// The next sequence that our clients wait for.
    pub next: u64,
    /// The highest sequence that it announced.
    pub sent: Option<u64>,
    /// Events that our clients were given.
    pub received: u64,
    /// Those among what came in that we had asked for.
    pub repaired: u64,
    /// Envelopes that we had.
    pub duplicate: u64,
    /// Envelopes that came after they were given up.
    pub late: u64,
    /// Sequences given up.
    pub missing: u64,
    /// Envelopes that wait for a lower sequence.
    pub held: usize,
    /// Events that it announced and our clients do not have yet.
    pub lag: u64,
    /// Whether it heard what we had sent two intervals before its last hello; `None` while it does not say.
    pub hears_us: Option<bool>,
    /// Milliseconds since its last message.
    pub last_heard_ms: u64,
}
