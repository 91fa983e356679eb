//! What the node counts, in the text of OpenMetrics; `docs/metrics.md` is the table of names.
//!
//! A scrape is a look at the snapshots that [`App::stats`] and [`Sync`](crate::sync::Sync) give: nothing is counted twice, and
//! between two scrapes nothing is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::app::{App, AppStats};
use crate::error::{Error, ErrorName};
use crate::sync::{DeliveryStats, PeerStats, Reason, Status, SyncStats};

/// Answers a scrape.
pub(super) fn respond(app: &App) -> Response {
    let sync = app.sync();
    let scrape = Scrape {
        app: app.stats(),
        sync: sync.stats(),
        status: sync.status(),
        peers: sync.peers(),
    };
    let mut registry = Registry::with_prefix("wingbeat");
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        let message = "the metrics could not be written";
        return Error::new(ErrorName::GeneralError, message).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

/// The state of the node at one moment.
#[derive(Debug)]
struct Scrape {
    app: AppStats,
    sync: SyncStats,
    status: Status,
    /// At most 256, which bounds the labels too.
    peers: Vec<PeerStats>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(&mut encoder);
        app(&self.app, &mut out)?;
        sync(&self.sync, &mut out)?;
        delivery(&self.sync.delivery, &mut out)?;
        self.statuses(&mut out)?;
        self.quarantine(&mut out)?;
        self.peers(&mut out)
    }
}

impl Scrape {
    fn statuses(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let sample = |status: Status| {
            let is_present = ConstGauge::new(u64::from(status == self.status));
            ([("status", status.as_str())], is_present)
        };
        let help = "1 for the status of the link to the other nodes, 0 for the others";
        out.family("sync_status", help, STATUSES.map(sample))
    }

    fn quarantine(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let mut counts = BTreeMap::from(REASONS.map(|reason| (reason, 0)));
        counts.extend(&self.sync.quarantine);
        let samples = counts
            .into_iter()
            .map(|(reason, n)| ([("reason", reason.as_str())], ConstCounter::new(n)));
        let help = "Messages that could not be used, by reason";
        out.family("sync_quarantine", help, samples)
    }

    fn peers(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        for (name, help, count) in PEER_COUNTERS {
            self.per_peer(out, (name, help), |peer| {
                Some(ConstCounter::new(count(peer)))
            })?;
        }
        let lag = "Events that the peer announced and own clients do not have yet";
        self.per_peer(out, ("sync_peer_lag", lag), |peer| {
            Some(ConstGauge::new(peer.lag))
        })?;
        let hears_us = "Whether the peer hears this node; absent while it does not say";
        self.per_peer(out, ("sync_peer_hears_us", hears_us), |peer| {
            peer.hears_us.map(|hears| ConstGauge::new(u64::from(hears)))
        })?;
        let last_heard = "Seconds since the last message of the peer";
        self.per_peer(out, ("sync_peer_last_heard_seconds", last_heard), |peer| {
            let silence = Duration::from_millis(peer.last_heard_ms);
            Some(ConstGauge::new(silence.as_secs_f64()))
        })
    }

    /// Writes one family with a sample for each peer that has a value.
    fn per_peer<M: EncodeMetric>(
        &self,
        out: &mut Out<'_, '_>,
        (name, help): (&str, &str),
        metric: impl Fn(&PeerStats) -> Option<M>,
    ) -> fmt::Result {
        let labels = |peer: &PeerStats| {
            [
                ("node", peer.node.to_string()),
                ("name", peer.name.to_string()),
            ]
        };
        let samples = self
            .peers
            .iter()
            .filter_map(|peer| Some((labels(peer), metric(peer)?)));
        out.family(name, help, samples)
    }
}

/// Where families are written.
struct Out<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Out<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.plain(name, help, &ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.plain(name, help, &ConstGauge::new(value))
    }

    fn plain(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, None, kind)?)
    }

    fn family<L, M>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, M)>,
    ) -> fmt::Result
    where
        L: EncodeLabelSet,
        M: EncodeMetric,
    {
        let mut samples = samples.into_iter().peekable();
        let Some((_, first)) = samples.peek() else {
            return Ok(());
        };
        let kind = first.metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        samples.try_for_each(|(labels, metric)| metric.encode(family.encode_family(&labels)?))
    }
}

/// Makes the function that writes a struct of numbers; a field that is not named does not compile.
macro_rules! table {
    ($write:ident: $stats:ident, $prefix:literal, besides [$($other:ident),*]; $($kind:ident $field:ident $help:literal)*) => {
        fn $write(stats: &$stats, out: &mut Out<'_, '_>) -> fmt::Result {
            let $stats { $($field,)* $($other: _,)* } = stats;
            $(out.$kind(concat!($prefix, stringify!($field)), $help, number(*$field))?;)*
            Ok(())
        }
    };
}

table! { app: AppStats, "", besides [];
    gauge connections "Clients that are connected"
    counter closed_slow "Clients that were closed because they did not read fast enough"
    counter frames_dropped "Frames that slow clients did not get"
    counter closed_protocol "Clients that were closed because they broke a protocol"
    counter closed_too_large "Clients that were closed because a message was too large"
    counter closed_too_many_messages "Clients that were closed because they sent too many messages a second"
    counter closed_too_many_bytes "Clients that were closed because they sent too many bytes a second"
    counter closed_timeout "Clients that were closed because they did not answer in time"
    counter refused_handshakes "Handshakes that were answered with an error"
    counter handshake_timeouts "Handshakes among the refused ones for which the code of the app took too long"
    counter refused_subscriptions "Handshakes among the refused ones that named more services and events than they may"
    counter refused_origins "Handshakes with cookies from pages of origins that are not allowed"
    counter crowded_addresses "Handshakes that were refused because their address had as many clients as it may"
    counter wrong_node "Requests of long-polling for a session of another node"
    counter ignored_messages "Messages that named no method of any service"
    counter listener_panics "Panics of listeners"
    counter listener_misfits "Events whose data did not fit the type of a listener"
    counter publisher_panics "Panics of publishers; their events reached no client"
    counter filter_panics "Panics of filters of channels; the connection that was looked at is left out"
    counter not_synced "Reads of publishers for fields that do not leave the node of the call"
    counter tap_panics "Panics of sync taps"
    counter task_panics "Panics of calls and of the node's own tasks"
    counter observed "Responses of the host's own routes that became events"
    counter observed_too_large "Such responses that became none, because they were larger than the limit"
    counter observed_unreadable "Such responses that became none, because they were no JSON with data, or compressed"
    counter observed_cut_off "Such responses that became none, because they did not come to their end, or only after the node had shut down"
    counter observed_panics "Panics of closures that make the events of such responses"
}

table! { sync: SyncStats, "sync_", besides [quarantine, delivery];
    counter oversize "Own events that were too large for other nodes"
    counter unwritable "Own events that the codec could not write for other nodes"
    counter unheard "Events of other nodes for services that receive none"
    counter gaps_untold "Gaps that came faster than the app's own code could be told of them"
    gauge dispatch_peak "The most events that ever waited for this node's own clients"
}

// What is quarantined stands in its own family, by reason.
table! { delivery: DeliveryStats, "sync_", besides [quarantined];
    counter emitted "Own events"
    counter synced "Own events that took a sequence"
    counter refused "Own events that could not be synced: too large for the log, or emitted while closing"
    counter delivered "Own events that own clients were given"
    counter delivered_early "Own events that own clients heard before the echo they were to wait for"
    counter sent "Envelopes handed to the broker, repeated ones included"
    counter resent "Envelopes among them that some link had been handed before"
    counter settled "Own envelopes that came back"
    counter duplicate_echoes "Own envelopes that came back again"
    counter dropped_out "Own events that left the full log and were never sent"
    counter dropped_unsettled "Own events that left the full log after sending and before their echo"
    counter voided "Own events that the broker refused for good"
    counter refused_for_now "Elements that the broker refused for the moment"
    counter control_refused "Control messages that the broker refused for good"
    counter released "Events of peers that own clients were given"
    counter repaired "Events of peers that came because this node asked"
    counter duplicates "Envelopes of peers that this node had"
    counter late "Envelopes of peers that came after they were given up"
    counter foreign "Events of peers that know no sequence"
    counter gaps "Gaps raised"
    counter missing "Sequences in gaps"
    counter wants_sent "Requests for missing events that this node sent"
    counter wants_heard "Requests for events of this node's log"
    counter wants_ignored "Requests that made no sense or were too many"
    counter repeated "Envelopes repeated to those who asked"
    counter hold_refused "Messages that a full hold had no room for; they are asked for later"
    counter links "Links that came up"
    counter links_dropped "Links that this node gave up"
    counter stale "Messages and reports of links that are gone"
    counter stale_hellos "Own hellos of links that are gone"
    counter renamed "New ids that this node took because another one had the same"
    counter lost "Messages that the adapter said were lost"
    counter departed "Peers that left or fell silent"
    counter departed_dropped "Departed peers whose place had to be forgotten"
    gauge waiting "Own events that wait for their echo"
    gauge unsettled "Own events without an echo"
    gauge log_entries "Entries of the log"
    gauge log_bytes "Bytes of the log"
    gauge held "Envelopes of peers that wait for a lower sequence"
    gauge holes "Peers of which something is missing now"
}

fn number(n: impl TryInto<u64>) -> u64 {
    n.try_into().unwrap_or(u64::MAX)
}

type PeerCounter = (&'static str, &'static str, fn(&PeerStats) -> u64);

const PEER_COUNTERS: [PeerCounter; 5] = [
    (
        "sync_peer_received",
        "Events of the peer that own clients were given",
        |peer| peer.received,
    ),
    (
        "sync_peer_missing",
        "Sequences of the peer that were given up",
        |peer| peer.missing,
    ),
    (
        "sync_peer_duplicate",
        "Envelopes of the peer that this node had",
        |peer| peer.duplicate,
    ),
    (
        "sync_peer_late",
        "Envelopes of the peer that came after they were given up",
        |peer| peer.late,
    ),
    (
        "sync_peer_repaired",
        "Envelopes of the peer that this node had asked for",
        |peer| peer.repaired,
    ),
];
const STATUSES: [Status; 8] = [
    Status::Off,
    Status::Connecting,
    Status::Replaying,
    Status::Ready,
    Status::Degraded,
    Status::Incompatible,
    Status::Reconnecting,
    Status::Closed,
];
/// Those that are 0 are written too, so that the first one that happens is a rise.
const REASONS: [Reason; 11] = [
    Reason::Malformed,
    Reason::TooLarge,
    Reason::TooDeep,
    Reason::Unauthenticated,
    Reason::Version,
    Reason::UnknownService,
    Reason::ImplausibleSeq,
    Reason::ClonedIdentity,
    Reason::Codec,
    Reason::TooManyPeers,
    Reason::Refused,
];
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
