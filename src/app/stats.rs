//! What a node has counted besides its sync.

use serde::Serialize;

use super::App;

/// What a node has counted since it was built; [`SyncStats`](crate::sync::SyncStats) has what concerns other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AppStats {
    /// Clients that are connected now.
    pub connections: usize,
    /// Clients that were closed because they did not read fast enough.
    pub closed_slow: u64,
    /// Frames that slow clients did not get.
    pub frames_dropped: u64,
    /// Clients that were closed because they broke a protocol.
    pub closed_protocol: u64,
    /// Clients that were closed because a message was too large.
    pub closed_too_large: u64,
    /// Clients that were closed because they sent more than
    /// [`Config::max_messages_per_second`](crate::Config::max_messages_per_second).
    pub closed_too_many_messages: u64,
    /// Clients that were closed because they sent more than
    /// [`Config::max_bytes_per_second`](crate::Config::max_bytes_per_second).
    pub closed_too_many_bytes: u64,
    /// Clients that were closed because they did not answer in time.
    pub closed_timeout: u64,
    /// Handshakes that were answered with an error, those that [`on_handshake`](crate::AppBuilder::on_handshake) refused
    /// among them.
    pub refused_handshakes: u64,
    /// Handshakes among the refused ones for which [`on_handshake`](crate::AppBuilder::on_handshake) took longer than
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout).
    pub handshake_timeouts: u64,
    /// Handshakes among the refused ones that named more services and events than
    /// [`Config::max_subscriptions`](crate::Config::max_subscriptions).
    pub refused_subscriptions: u64,
    /// Handshakes with cookies from pages of origins that are not allowed.
    pub refused_origins: u64,
    /// Handshakes that were refused because their address had
    /// [as many clients as it may](crate::Config::max_connections_per_address).
    pub crowded_addresses: u64,
    /// Requests of long-polling for a session of another node: the balancer has no sticky sessions.
    pub wrong_node: u64,
    /// Messages that named no method of any service.
    pub ignored_messages: u64,
    /// Panics of listeners.
    pub listener_panics: u64,
    /// Events whose data did not fit the type of a listener, which did not hear them.
    pub listener_misfits: u64,
    /// Panics of publishers; their events reached no client.
    pub publisher_panics: u64,
    /// Panics of filters of channels; the connection that was looked at is left out.
    pub filter_panics: u64,
    /// Reads of publishers for fields that do not leave the node of the call.
    pub not_synced: u64,
    /// Panics of sync taps.
    pub tap_panics: u64,
    /// Panics of calls and of the node's own tasks.
    pub task_panics: u64,
    /// Responses of the host's own routes that became events, see [`EventLayer`](crate::EventLayer).
    pub observed: u64,
    /// Such responses that became none, because they were larger than the limit.
    pub observed_too_large: u64,
    /// Such responses that became none, because they were no JSON with data, or compressed.
    pub observed_unreadable: u64,
    /// Such responses that became none, because they did not come to their end, or only after the node had shut down.
    pub observed_cut_off: u64,
    /// Panics of closures that make the events of such responses.
    pub observed_panics: u64,
}

impl App {
    /// Returns the counters.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// let stats = app.stats();
    /// assert_eq!((stats.connections, stats.closed_slow), (0, 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> AppStats {
        let (connections, sockets) = (self.connections(), self.counters());
        let not_synced = self
            .routes()
            .entries()
            .map(|entry| entry.publishers.not_synced());
        let services = self
            .routes()
            .entries()
            .map(|entry| entry.publishers.panics());
        AppStats {
            connections: connections.len(),
            closed_slow: connections.slow(),
            frames_dropped: connections.dropped_frames(),
            closed_protocol: sockets.protocol_errors(),
            closed_too_large: sockets.too_large(),
            closed_too_many_messages: sockets.too_many_messages(),
            closed_too_many_bytes: sockets.too_many_bytes(),
            closed_timeout: sockets.timeouts(),
            refused_handshakes: sockets.refused_handshakes(),
            handshake_timeouts: sockets.handshake_timeouts(),
            refused_subscriptions: sockets.refused_subscriptions(),
            refused_origins: sockets.refused_origins(),
            crowded_addresses: sockets.crowded_addresses(),
            wrong_node: sockets.wrong_node(),
            ignored_messages: sockets.ignored_events(),
            listener_panics: self.0.listeners.panics(),
            listener_misfits: self.0.listeners.misfits(),
            publisher_panics: self.0.publishers.panics() + services.sum::<u64>(),
            filter_panics: self.0.channels.filter_panics(),
            not_synced: self.0.publishers.not_synced() + not_synced.sum::<u64>(),
            tap_panics: self.0.sync.taps().panics(),
            observed: self.observed().events(),
            observed_too_large: self.observed().too_large(),
            observed_unreadable: self.observed().unreadable(),
            observed_cut_off: self.observed().cut_off(),
            observed_panics: self.observed().panics(),
            task_panics: self.0.calls.panics() + self.0.tasks.panics(),
        }
    }
}
