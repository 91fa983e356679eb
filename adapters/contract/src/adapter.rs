use std::fmt;
use std::time::Duration;

use bytes::Bytes;
pub use futures_core::future::BoxFuture;
pub use futures_core::stream::BoxStream;

use crate::{ErrorKind, SyncError};

/// Opens links to the topic that every node shares.
///
/// Which broker a node talks to is a deployment fact, so an adapter is a value: the trait is object-safe and its
/// futures are boxed.
///
/// # Contract
///
/// The checks of the feature `conformance` bear the numbers of these clauses.
///
/// 1. **Fan-out.** Every live link of a topic, the sender's own included, receives each payload exactly once.
/// 2. **Order.** Payloads that one link publishes on one lane arrive in that order, on every link.
/// 3. **Bytes.** A payload of up to [`LinkOptions::max_payload`] bytes, or of the lower limit [`Link::max_payload`],
///    arrives unchanged, the empty one too. A longer one is reported as [`ErrorKind::PayloadTooLarge`]; the rest of its
///    batch goes on and the link lives on.
/// 4. **Topics are isolated.** A link hears its own two topics, each under the right [`Lane`], and no other.
/// 5. **No gap after connect.** What anybody publishes after `connect` resolved is received, at most once per link.
/// 6. **Death is visible.** When the link is lost, `inbound` fails or ends within 5 s of the moment the operating
///    system knows; for a peer that is silent without being gone, within the heartbeat that the adapter documents.
/// 7. **Again.** `connect` works after a loss, and several links of one adapter may live side by side.
/// 8. **Close.** [`Outbound::close`] is idempotent and ends `inbound`; a later publish answers
///    [`ErrorKind::Closed`].
/// 9. **Drop.** Dropping a link frees everything that it held on the broker.
/// 10. **Cancel.** Dropping the future of `publish`, `close` or `connect` leaves the link or the adapter usable, or ends
///     the link's stream. What became of a cancelled batch is unknown, but no later batch overtakes it.
/// 11. **Overflow speaks.** Queues are bounded. Where messages had to be dropped, the stream yields
///     [`Incoming::Lost`] at their place; it never just skips them.
/// 12. **Kinds.** Unreachable is `Unavailable`, which is transient; refused credentials are `Refused`; settings that
///     make no sense are `Config`.
/// 13. **Secrets.** No `Debug`, no error and no log line shows a password.
pub trait SyncAdapter: fmt::Debug + Send + Sync + 'static {
    /// Returns the stable lower-case name for logs and metrics, such as `"redis"`.
    fn name(&self) -> &'static str;

    /// Opens one link and resolves when the broker has confirmed the subscription of both lanes.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the broker cannot be reached or does not answer within
    /// [`LinkOptions::connect_timeout`], `Refused` if it says no, `Config` if the options make no sense.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt and frees what it had opened.
    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>>;
}

/// Says what to open: the same for every broker, and the same at every reconnect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkOptions {
    /// The topic of [`Lane::Events`]. Shared with foreign peers, so it is used as it stands.
    pub topic: String,
    /// The topic of [`Lane::Control`]. Default: `topic` followed by `.wb`.
    pub control_topic: String,
    /// The longest payload that may be published, in bytes. Default: 1 MiB.
    pub max_payload: usize,
    /// How long `connect` may take altogether. Default: 3 s.
    pub connect_timeout: Duration,
    /// A label of this node for the broker's list of clients. Not unique, not secret. Default: `wingbeat`.
    pub name: String,
}

/// One live connection to the broker: what we send and what we hear.
///
/// The halves may be used from different tasks, so that a stalled write never stops reading. The link is over as
/// soon as `inbound` fails or ends, or a publish fails as a whole; dropping either half may end the other.
#[non_exhaustive]
pub struct Link {
    /// The sending half.
    pub outbound: Box<dyn Outbound>,
    /// The receiving half.
    pub inbound: Inbound,
    /// What order the broker gives to payloads of different links. Default: [`Order::PerOrigin`], which promises nothing.
    pub order: Order,
    /// The longest payload that this broker takes, in bytes, if that is less than [`LinkOptions::max_payload`]. Default:
    /// none.
    pub max_payload: Option<usize>,
}

/// Says in which order the links of a topic receive what different links publish.
///
/// What one link publishes on one lane arrives in its order in either case: clause 2 of the
/// [contract](SyncAdapter#contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// Every link receives the payloads of one lane in the same order, as from one log.
    Total,
    /// Two links may receive payloads of two origins in different orders.
    PerOrigin,
}

impl Order {
    /// Returns the order as it stands in logs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::PerOrigin => "per_origin",
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the broker hands us, in its order. An `Err` item or the end means that the link is over.
pub type Inbound = BoxStream<'static, Result<Incoming, SyncError>>;

/// One item of [`Inbound`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A payload that somebody, perhaps this link, published.
    Message {
        /// The lane whose topic it came in on.
        lane: Lane,
        /// The bytes as they were published.
        payload: Bytes,
    },
    /// At this place, this many messages were dropped before they reached us. The link lives on.
    Lost(u64),
}

/// Names one of the two topics of a link.
///
/// Exhaustive on purpose: an adapter that could not tell a third lane from these would mix them up in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// [`LinkOptions::topic`]: events that foreign peers can read.
    Events,
    /// [`LinkOptions::control_topic`]: everything that only wingbeat nodes understand.
    Control,
}

/// The sending half of a [`Link`].
pub trait Outbound: fmt::Debug + Send + 'static {
    /// Hands a batch to the broker in order and reports the elements that it did not take.
    ///
    /// `Ok` proves nothing about receivers: it says that the elements which are not in the report left this process.
    ///
    /// # Errors
    ///
    /// An error means that the link is over and that the fate of the whole batch is unknown. A failure of
    /// single elements, or of all of them while the link lives on, belongs in the [`Report`].
    ///
    /// # Cancel safety
    ///
    /// See clause 10 of the [contract](SyncAdapter#contract): the fate of the batch is unknown; the link stays
    /// usable or ends.
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>>;

    /// Flushes, unsubscribes, releases, and ends `inbound`. Idempotent.
    ///
    /// # Errors
    ///
    /// Says that the parting was not clean; the link is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a link that can be closed again or dropped.
    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>>;
}

/// Says which elements of a batch the broker did not take. Empty means that all were handed over.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The failed elements by their index in the batch, ascending, with the reason of each: `PayloadTooLarge` and
    /// `Refused` are for good, `Unavailable` may pass if it is sent again.
    pub failed: Vec<(usize, SyncError)>,
}

impl LinkOptions {
    /// Takes the events topic and fills in the defaults.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = wingbeat_adapter::LinkOptions::new("feathers-sync");
    /// assert_eq!(options.control_topic, "feathers-sync.wb");
    /// assert_eq!(options.max_payload, 1024 * 1024);
    /// ```
    #[must_use]
    pub fn new(topic: impl Into<String>) -> Self {
        let topic = topic.into();
        Self {
            control_topic: format!("{topic}.wb"),
            topic,
            max_payload: MAX_PAYLOAD,
            connect_timeout: CONNECT_TIMEOUT,
            name: "wingbeat".to_owned(),
        }
    }

    /// Refuses options that no broker can serve; adapters call it first in `connect`.
    ///
    /// # Errors
    ///
    /// `Config` if a topic is empty or both are the same.
    pub fn check(&self) -> Result<(), SyncError> {
        let wrong = |context| Err(SyncError::new(ErrorKind::Config, context));
        if self.topic.is_empty() || self.control_topic.is_empty() {
            return wrong("a topic of the link is empty");
        }
        if self.topic == self.control_topic {
            return wrong("the events topic and the control topic are the same");
        }
        Ok(())
    }

    /// Returns the topic of a lane.
    #[must_use]
    pub fn topic_of(&self, lane: Lane) -> &str {
        match lane {
            Lane::Events => &self.topic,
            Lane::Control => &self.control_topic,
        }
    }

    /// Refuses a payload that is longer than [`max_payload`](Self::max_payload).
    ///
    /// # Errors
    ///
    /// `PayloadTooLarge`, with both sizes in its text.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), SyncError> {
        if payload.len() <= self.max_payload {
            return Ok(());
        }
        let (length, limit) = (payload.len(), self.max_payload);
        let context = format!("a payload of {length} bytes is over the limit of {limit}");
        Err(SyncError::new(ErrorKind::PayloadTooLarge, context))
    }
}

impl Link {
    /// Joins the two halves of a live connection and fills in the defaults.
    #[must_use]
    pub fn new(outbound: Box<dyn Outbound>, inbound: Inbound) -> Self {
        Self {
            outbound,
            inbound,
            order: Order::PerOrigin,
            max_payload: None,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("outbound", &self.outbound)
            .field("order", &self.order)
            .field("max_payload", &self.max_payload)
            .finish_non_exhaustive()
    }
}

const MAX_PAYLOAD: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_no_broker_can_serve_are_config_errors() {
        let mut same = LinkOptions::new("k");
        same.control_topic = "k".to_owned();
        for options in [LinkOptions::new(""), same] {
            assert_eq!(options.check().unwrap_err().kind(), ErrorKind::Config);
        }
        assert!(LinkOptions::new("k").check().is_ok());
    }

    #[test]
    fn a_payload_at_the_limit_passes_and_one_byte_more_does_not() {
        let mut options = LinkOptions::new("k");
        options.max_payload = 3;
        assert!(options.check_payload(b"abc").is_ok());
        let error = options.check_payload(b"abcd").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        assert_eq!(
            error.to_string(),
            "a payload of 4 bytes is over the limit of 3"
        );
    }
}
