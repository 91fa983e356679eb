//! What went wrong with clients, in numbers.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::engineio::WRONG_NODE;
use crate::connections::CloseReason;
use crate::error::{Error, ErrorName};

/// Counts of one app since its start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    refused_handshakes: AtomicU64,
    refused_subscriptions: AtomicU64,
    handshake_timeouts: AtomicU64,
    refused_origins: AtomicU64,
    crowded_addresses: AtomicU64,
    wrong_node: AtomicU64,
    protocol_errors: AtomicU64,
    too_large: AtomicU64,
    too_many_messages: AtomicU64,
    too_many_bytes: AtomicU64,
    timeouts: AtomicU64,
    ignored_events: AtomicU64,
}

impl Counters {
    /// Returns how many handshakes were answered with an error, those of foreign origins not included.
    pub(crate) fn refused_handshakes(&self) -> u64 {
        self.refused_handshakes.load(Ordering::Relaxed)
    }

    /// Returns how many streams of events named more than they may.
    pub(crate) fn refused_subscriptions(&self) -> u64 {
        self.refused_subscriptions.load(Ordering::Relaxed)
    }

    /// Returns how many handshakes were answered with an error because the app's code did not look at them in time.
    pub(crate) fn handshake_timeouts(&self) -> u64 {
        self.handshake_timeouts.load(Ordering::Relaxed)
    }

    /// Returns how many handshakes with cookies came from a page of another origin.
    pub(crate) fn refused_origins(&self) -> u64 {
        self.refused_origins.load(Ordering::Relaxed)
    }

    /// Returns how many handshakes were refused because their address had as many clients as it may.
    pub(crate) fn crowded_addresses(&self) -> u64 {
        self.crowded_addresses.load(Ordering::Relaxed)
    }

    /// Returns how many requests named a session of another node.
    pub(crate) fn wrong_node(&self) -> u64 {
        self.wrong_node.load(Ordering::Relaxed)
    }

    /// Returns how many connections were closed because the client broke a protocol.
    pub(crate) fn protocol_errors(&self) -> u64 {
        self.protocol_errors.load(Ordering::Relaxed)
    }

    /// Returns how many connections were closed because a message was too large.
    pub(crate) fn too_large(&self) -> u64 {
        self.too_large.load(Ordering::Relaxed)
    }

    /// Returns how many connections were closed because the client sent too many messages a second.
    pub(crate) fn too_many_messages(&self) -> u64 {
        self.too_many_messages.load(Ordering::Relaxed)
    }

    /// Returns how many connections were closed because the client sent too many bytes a second.
    pub(crate) fn too_many_bytes(&self) -> u64 {
        self.too_many_bytes.load(Ordering::Relaxed)
    }

    /// Returns how many connections were closed because the client did not answer a ping, or never connected its namespace.
    pub(crate) fn timeouts(&self) -> u64 {
        self.timeouts.load(Ordering::Relaxed)
    }

    /// Returns how many events of clients named no method of any service, so that nobody answers them.
    pub(crate) fn ignored_events(&self) -> u64 {
        self.ignored_events.load(Ordering::Relaxed)
    }

    pub(crate) fn count_ignored_event(&self) {
        self.ignored_events.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused_handshake(&self) {
        self.refused_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused_subscription(&self) {
        self.refused_subscriptions.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a handshake that the app's code did not look at in time; the first one is logged.
    pub(super) fn count_handshake_timeout(&self) {
        if self.handshake_timeouts.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("`on_handshake` took longer than `handshake_timeout`");
        }
    }

    pub(super) fn count_refused_origin(&self) {
        self.refused_origins.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a handshake that its address has no place for; the first one is logged, for it may be a proxy that nobody named.
    pub(super) fn count_crowded_address(&self, address: IpAddr) {
        if self.crowded_addresses.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(%address, "an address has as many clients as it may; is it a proxy that `trusted_proxies` lacks?");
        }
    }

    /// Counts a handshake that is answered with this error; what is forbidden is its origin.
    pub(super) fn count_refusal(&self, error: &Error) {
        match error.name() {
            ErrorName::Forbidden => self.count_refused_origin(),
            _ => self.count_refused_handshake(),
        }
    }

    /// Counts a request whose session another node has; the first one is logged with what helps.
    pub(super) fn count_wrong_node(&self) {
        if self.wrong_node.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("a request names the session of another node: {WRONG_NODE}");
        }
    }

    /// Counts the end of a connection, if it is the client's fault. Slow clients are counted with their outbox.
    pub(super) fn count_end(&self, reason: CloseReason) {
        let counter = match reason {
            CloseReason::Protocol => &self.protocol_errors,
            CloseReason::TooLarge => &self.too_large,
            CloseReason::TooManyMessages => &self.too_many_messages,
            CloseReason::TooManyBytes => &self.too_many_bytes,
            CloseReason::Timeout => &self.timeouts,
            CloseReason::Restart | CloseReason::Slow | CloseReason::Revoked | CloseReason::Gone => {
                return;
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http::request::Builder;

    use super::*;
    use crate::app::App;
    use crate::transport::Handshake;
    use crate::transport::engineio::handle;
    use crate::transport::socketio::Session;

    async fn status(app: &App, request: Builder) -> u16 {
        let request = request.uri("/socket.io/?EIO=4&transport=websocket");
        handle(app, request.body(Body::empty()).unwrap())
            .await
            .status()
            .as_u16()
    }

    #[tokio::test]
    async fn refused_handshakes_are_counted() {
        let app = App::builder().build().unwrap();
        assert_eq!(status(&app, Request::get("/")).await, 400);
        assert_eq!(status(&app, Request::post("/")).await, 400);
        assert_eq!(app.counters().refused_handshakes(), 2);
        app.close().await;
    }

    #[tokio::test]
    async fn events_without_a_method_are_counted() {
        let app = App::builder().build().unwrap();
        let mut session = Session::new(Handshake::bare(&app));
        session.receive("0").unwrap();
        session.receive(r#"21["nope","messages",{}]"#).unwrap();
        session.receive("2[5]").unwrap();
        assert_eq!(app.counters().ignored_events(), 2);
    }

    #[test]
    fn ends_are_counted_by_their_reason() {
        let counters = Counters::default();
        for reason in [
            CloseReason::Protocol,
            CloseReason::TooLarge,
            CloseReason::Timeout,
            CloseReason::Timeout,
            CloseReason::TooManyMessages,
            CloseReason::TooManyBytes,
            CloseReason::Gone,
            CloseReason::Slow,
            CloseReason::Revoked,
            CloseReason::Restart,
        ] {
            counters.count_end(reason);
        }
        let counts = (
            counters.protocol_errors(),
            counters.too_large(),
            counters.timeouts(),
            counters.too_many_messages(),
            counters.too_many_bytes(),
        );
        assert_eq!(counts, (1, 1, 2, 1, 1));
        assert_eq!(counters.refused_origins(), 0);
    }
}
