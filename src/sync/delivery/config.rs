use std::sync::Arc;
use std::time::Duration;

use super::node::NodeId;

/// What one core needs to know; only the identity has no default.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// This build of the app.
    pub(crate) node: NodeId,
    /// The label that peers show for us.
    pub(crate) name: String,
    /// The name of the envelope codec. Peers with another one are not understood and said so.
    pub(crate) codec: String,
    /// The paths of the app's services, by the place that a body names.
    pub(crate) services: Vec<Arc<str>>,
    /// When own clients hear an own event while the status is `Ready`.
    pub(crate) delivery: Delivery,
    /// Seeds jitter and nonces. The shell draws it at random; a test fixes it.
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
}

/// When own clients hear an own event while the status is `Ready`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// When the broker returns it, at the latest after [`Timing::echo_deadline`].
    #[default]
    Ordered,
    /// At once.
    LocalFirst,
}

/// The bounds of everything that the core keeps.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Entries of the log; the lowest leave first. Also the most slots that wait for an echo.
    pub(crate) log_entries: usize,
    /// Bytes of the log; the lowest leave first.
    pub(crate) log_bytes: usize,
    /// Age of a log entry.
    pub(crate) log_age: Duration,
    /// Envelopes of one peer that wait for a lower sequence. What comes to a full one is not taken, and asked for
    /// later.
    pub(crate) hold_entries: usize,
    /// Bytes of the same.
    pub(crate) hold_bytes: usize,
    /// Bytes of the same of all peers together. What would wait beyond that is not taken, and asked for later.
    pub(crate) hold_total: usize,
    /// Elements of one batch to the broker.
    pub(crate) batch_items: usize,
    /// Bytes of one batch, unless its only element is larger.
    pub(crate) batch_bytes: usize,
    /// Peers in the table. A newcomer above it is quarantined.
    pub(crate) peers: usize,
    /// Peers that left and whose place in their sequence is remembered; the oldest is forgotten first.
    pub(crate) departed: usize,
    /// How far ahead of the next sequence a peer can be believed.
    pub(crate) jump: u64,
    /// Bytes that repair may use in a second.
    pub(crate) repair_rate: u64,
    /// Bytes that repair may use at once after a quiet time.
    pub(crate) repair_burst: u64,
    /// `Hello.heard` is left out above this number of peers.
    pub(crate) heard_peers: usize,
    /// From this number of peers on, hellos become rarer.
    pub(crate) chatty_peers: u32,
}

/// The spans of the protocol.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// The longest that an own event waits for its echo before own clients hear it.
    pub(crate) echo_deadline: Duration,
    /// The longest that a publish, an echo or the first hello of a link may take before the link is dropped.
    pub(crate) link_deadline: Duration,
    /// From one hello to the next.
    pub(crate) hello_interval: Duration,
    /// Added to the interval per peer above [`Limits::chatty_peers`], as `peers × this`.
    pub(crate) hello_per_peer: Duration,
    /// What an own hello may be late beyond two intervals.
    pub(crate) hello_slack: Duration,
    /// The shortest time between two hellos.
    pub(crate) hello_gap: Duration,
    /// How long a hole stands before the first `Want`.
    pub(crate) want_after: Duration,
    /// From one `Want` to the next, give or take a fifth. Also how long one sequence is not repeated to askers.
    pub(crate) want_every: Duration,
    /// How long the owner of a log collects askers before it answers.
    pub(crate) answer_after: Duration,
    /// How long a `Want` is worth answering if it is not repeated.
    pub(crate) want_lives: Duration,
    /// How long a hole stands without progress before it is given up.
    pub(crate) hole_patience: Duration,
    /// How long a peer is silent before it is forgotten.
    pub(crate) silence: Duration,
    /// How long a peer that said `Bye` may still be heard: its lanes can be re-ordered.
    pub(crate) bye_grace: Duration,
    /// The first and the last bound of the full-jitter back-off between dials.
    pub(crate) backoff: (Duration, Duration),
    /// A link that lived this long resets the back-off.
    pub(crate) backoff_reset: Duration,
    /// The shortest time between two links that are dropped because every peer says that it does not hear us.
    pub(crate) redial_every: Duration,
    /// The shortest time between two new ids.
    pub(crate) rename_every: Duration,
    /// How long an element rests that the broker refused for the moment.
    pub(crate) retry_after: Duration,
    /// The core asks to be called at least this often while there is a link.
    pub(crate) pulse: Duration,
    /// A longer time between two calls means that this process slept; what is beyond it counts against nobody.
    pub(crate) starved: Duration,
    /// Added to the time we have served clients when we ask for a peer's past, for the way that the question takes. An
    /// answer to an older question counts for nothing.
    pub(crate) service_slack: Duration,
}

impl Config {
    /// The defaults of the protocol for this identity.
    pub(crate) fn new(node: NodeId, name: impl Into<String>) -> Self {
        Self {
            node,
            name: name.into(),
            codec: "json".to_owned(),
            services: Vec::new(),
            delivery: Delivery::default(),
            seed: 0,
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }
}

impl Timing {
    /// From one hello to the next among this many peers.
    pub(crate) fn interval(&self, limits: &Limits, peers: usize) -> Duration {
        let peers = u32::try_from(peers).unwrap_or(u32::MAX);
        if peers <= limits.chatty_peers {
            self.hello_interval
        } else {
            self.hello_interval.max(self.hello_per_peer * peers)
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            log_entries: 10_000,
            log_bytes: 16 * MIB,
            log_age: Duration::from_secs(300),
            hold_entries: 1_024,
            hold_bytes: 4 * MIB,
            hold_total: 32 * MIB,
            batch_items: 256,
            batch_bytes: 256 * 1024,
            peers: 256,
            departed: 1_024,
            jump: 1_000_000,
            repair_rate: 1024 * 1024,
            repair_burst: 128 * 1024,
            heard_peers: 32,
            chatty_peers: 20,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            echo_deadline: Duration::from_secs(1),
            link_deadline: Duration::from_secs(3),
            hello_interval: Duration::from_secs(2),
            hello_per_peer: Duration::from_millis(100),
            hello_slack: Duration::from_secs(1),
            hello_gap: Duration::from_millis(100),
            want_after: Duration::from_millis(50),
            want_every: Duration::from_millis(250),
            answer_after: Duration::from_millis(50),
            want_lives: Duration::from_secs(1),
            hole_patience: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            bye_grace: Duration::from_secs(1),
            backoff: (Duration::from_millis(100), Duration::from_secs(5)),
            backoff_reset: Duration::from_secs(30),
            redial_every: Duration::from_secs(30),
            rename_every: Duration::from_secs(30),
            retry_after: Duration::from_millis(50),
            pulse: Duration::from_millis(500),
            starved: Duration::from_secs(1),
            service_slack: Duration::from_secs(1),
        }
    }
}

const MIB: usize = 1024 * 1024;
