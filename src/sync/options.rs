//! How nodes are joined.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::codec::Codec;
use crate::words::nearest;

/// How nodes are joined; assign the fields that differ.
///
/// Its `Debug` form does not show the secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Names the topic that all nodes share; `feathers-sync` by default, as Node processes have it.
    pub key: String,
    /// The encoding of envelopes; JSON by default. All nodes of the topic need the same: one that meets only others is
    /// [`Incompatible`](super::Status::Incompatible).
    pub codec: Codec,
    /// When own clients hear an own event; `ordered` by default.
    pub delivery: Delivery,
    /// The services that Node `feathers-sync` processes on the same broker have registered; none by default.
    pub node_peers: Vec<String>,
    /// Events that the log keeps for replay and repair; 10,000 by default.
    pub log_events: usize,
    /// Bytes that the log keeps; 16 MiB by default.
    pub log_bytes: usize,
    /// Time that the log keeps an event; 5 minutes by default.
    pub log_age: Duration,
    /// The largest envelope in bytes; 1 MiB by default. A larger event reaches this node's own clients only, and is counted.
    pub max_payload: usize,
    /// Gives up, with status `Closed`, when the broker refuses the first link for good; off by default.
    pub fail_fast: bool,
    /// A secret that all nodes of the topic share; none by default. It can not be empty.
    ///
    /// With it every message of this node carries an HMAC-SHA256, and a message without a right one is put into
    /// [quarantine](super::Sync::quarantine) as [`Unauthenticated`](super::Reason::Unauthenticated), before anything in it
    /// is believed. Without it such codes are ignored. So all nodes have to have the same one, and a new secret takes effect
    /// between two nodes when both are restarted; a node without the secret hears the others and is heard by none.
    ///
    /// It works with [`Codec::Json`] only.
    ///
    /// What it does not protect against, by somebody who reaches the broker:
    ///
    /// - *Reading.* Events are not encrypted.
    /// - *Events of [`node_peers`](Self::node_peers).* Node processes can not sign, so what looks like theirs is taken as
    ///   theirs, for those services only.
    /// - *Repeating.* Sequences drop what a node has heard before, and no message counts on the other lane or in another
    ///   topic. But a node that never heard the sender, as one that just started, can be shown old messages of it.
    /// - *Holding back* messages, or the broker as a whole.
    /// - *Each other.* Whoever has the secret can speak for every node.
    pub sync_secret: Option<String>,
}

/// When own clients hear an own event while the link is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// When the broker returns it, so that clients of all nodes hear events in the broker's order.
    #[default]
    Ordered,
    /// At once.
    LocalFirst,
}

/// Which way a service's events go between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncMode {
    /// They leave this node, and those of other nodes come in.
    #[default]
    Both,
    /// They leave this node only; those of other nodes are counted and dropped.
    Send,
    /// Those of other nodes come in; this node's own stay with its own clients.
    Receive,
    /// Each node's stay on it.
    Off,
}

impl SyncMode {
    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::Both | Self::Send)
    }

    pub(crate) fn receives(self) -> bool {
        matches!(self, Self::Both | Self::Receive)
    }
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            key: "feathers-sync".to_owned(),
            codec: Codec::default(),
            delivery: Delivery::default(),
            node_peers: Vec::new(),
            log_events: 10_000,
            log_bytes: 16 << 20,
            log_age: Duration::from_secs(300),
            max_payload: 1 << 20,
            fail_fast: false,
            sync_secret: None,
        }
    }
}

impl fmt::Debug for SyncOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncOptions")
            .field("key", &self.key)
            .field("codec", &self.codec)
            .field("delivery", &self.delivery)
            .field("node_peers", &self.node_peers)
            .field("log_events", &self.log_events)
            .field("log_bytes", &self.log_bytes)
            .field("log_age", &self.log_age)
            .field("max_payload", &self.max_payload)
            .field("fail_fast", &self.fail_fast)
            .field("sync_secret", &self.sync_secret.as_ref().map(|_| "***"))
            .finish()
    }
}

impl SyncOptions {
    /// The names of the options that a URI's query may set.
    pub(super) const IN_URI: [&'static str; 3] = ["key", "codec", "delivery"];

    /// Sets an option by its name; the error says what is known.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "key" if value.is_empty() => return Err("the option 'key' can not be empty".to_owned()),
            "key" => value.clone_into(&mut self.key),
            "codec" => self.codec = value.parse()?,
            "delivery" => self.delivery = value.parse()?,
            _ => return Err(unknown("option", name, &Self::IN_URI)),
        }
        Ok(())
    }
}

impl FromStr for Delivery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ordered" => Ok(Self::Ordered),
            "local_first" => Ok(Self::LocalFirst),
            _ => Err(unknown("delivery", text, &["ordered", "local_first"])),
        }
    }
}

/// Says that a word is not known, which ones are, and which was probably meant.
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let hint = nearest(word, known.iter().copied())
        .map(|word| format!(", did you mean '{word}'?"))
        .unwrap_or_default();
    format!(
        "unknown {what} '{word}'{hint} (known: {})",
        known.join(", ")
    )
}
