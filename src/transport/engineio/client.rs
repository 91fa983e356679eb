//! What of a client stays when its transport changes, and how long it may stay.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::heartbeat::Heartbeat;
use super::packet::Packet;
use crate::app::{App, Config};
use crate::connections::CloseReason;
use crate::transport::socketio::Session;

/// A client, whichever way its packets come.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) heartbeat: Heartbeat,
    pub(super) session: Session,
}

impl Client {
    pub(super) fn new(config: &Config, session: Session) -> Self {
        let (interval, timeout) = beats(config);
        Self {
            heartbeat: Heartbeat::new(interval, timeout),
            session,
        }
    }

    /// Takes a packet that is text; returns the frame that answers it.
    pub(super) fn receive(&mut self, text: &str) -> Result<Option<Bytes>, CloseReason> {
        self.heartbeat.heard();
        match Packet::parse(text).ok_or(CloseReason::Protocol)? {
            Packet::Message(text) => self.session.receive(text),
            Packet::Binary(bytes) => self.session.receive_attachment(bytes),
            Packet::Pong => {
                self.heartbeat.pong();
                Ok(None)
            }
            Packet::Meaningless => Ok(None),
            Packet::Close => Err(CloseReason::Gone),
            Packet::Ping => Err(CloseReason::Protocol),
        }
    }
}

/// One way to a client.
pub(super) trait Transport {
    /// Why it is over.
    type End: From<CloseReason>;

    /// Does all that can be done now; resolves when it is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Self::End>;

    /// Tells whether the client has connected the namespace.
    fn is_connected(&self) -> bool;
}

/// Runs a transport until it is over, the node ends, or the client has not connected the namespace in time.
pub(super) async fn run<T: Transport>(transport: &mut T, app: &App, deadline: Instant) -> T::End {
    // Boxed, so that an idle client's task has no room for it.
    if let Some(end) = Box::pin(until_connected(transport, app, deadline)).await {
        return end;
    }
    tokio::select! {
        biased;
        end = poll_fn(|cx| transport.poll(cx)) => end,
        () = app.tasks().cancelled() => CloseReason::Restart.into(),
    }
}

/// Runs until the namespace is connected, which returns `None`, or the transport is over.
async fn until_connected<T: Transport>(
    transport: &mut T,
    app: &App,
    deadline: Instant,
) -> Option<T::End> {
    let connected = poll_fn(|cx| match transport.poll(cx) {
        Poll::Pending if transport.is_connected() => Poll::Ready(None),
        polled => polled.map(Some),
    });
    tokio::select! {
        biased;
        end = connected => end,
        () = app.draining() => Some(CloseReason::Restart.into()),
        () = tokio::time::sleep_until(deadline) => Some(CloseReason::Timeout.into()),
    }
}

/// Returns when a client that connects now has to have its namespace.
pub(super) fn connect_deadline(config: &Config) -> Instant {
    Instant::now() + config.connect_timeout.min(LONGEST)
}

/// Returns interval and timeout. A client adds both up in a JavaScript timer, which can not count further than 24 days.
pub(super) fn beats(config: &Config) -> (Duration, Duration) {
    (
        config.ping_interval.min(LONGEST),
        config.ping_timeout.min(LONGEST),
    )
}

/// More would not fit into the timers of clients, and what is added to a time has to end somewhere.
pub(super) const LONGEST: Duration = Duration::from_secs(12 * 24 * 60 * 60);
