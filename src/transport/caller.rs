//! A client that stays: its connection, from before it is made until it is gone, and its calls that are not answered.

use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::task::noop_waker_ref;
use tokio::time::Instant;

use crate::app::{self, App, Config};
use crate::connections::{CloseReason, Connection, ConnectionInfo, Drained, Piece, Sender};
use crate::error::Result;
use crate::hooks::HookContext;
use crate::service::Answer;
use crate::tasks::Run;
use crate::transport::addresses::Seat;
use crate::transport::calls::Calls;
use crate::transport::rates::Rates;
use crate::transport::websocket::LONGEST;

/// What every way to a client has in common.
#[derive(Debug)]
pub(super) struct Caller {
    app: App,
    state: State,
    /// Those that wait for something.
    calls: Calls,
    /// Whether nothing has come behind the message that is taken.
    is_last: bool,
    /// Whether so many answers wait that the socket should be given some before more are asked for.
    is_crowded: bool,
    /// What its protocol has for a client whose session the app ended.
    farewell: Option<fn() -> Bytes>,
    /// What it has sent of late; `None` where that is not limited.
    rates: Option<Box<Rates>>,
    /// Its place among the clients of its address.
    _seat: Option<Seat>,
}

#[derive(Debug)]
enum State {
    Waiting(Box<ConnectionInfo>),
    Connected(Connection),
    Ended,
}

impl Caller {
    /// Makes a client that is not connected yet.
    pub(super) fn new(app: &App, info: ConnectionInfo, seat: Option<Seat>) -> Self {
        let rates = Rates::of(app.config());
        Self {
            app: app.apart(),
            state: State::Waiting(Box::new(info)),
            calls: Calls::default(),
            is_last: false,
            is_crowded: false,
            farewell: None,
            rates,
            _seat: seat,
        }
    }

    /// Makes the frame that a client gets last if the app ended its session.
    pub(super) fn with_farewell(mut self, farewell: fn() -> Bytes) -> Self {
        self.farewell = Some(farewell);
        self
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// Makes the connection. `first` is the first frame that it gets: no event comes before.
    pub(super) fn connect(&mut self, first: Option<Bytes>) -> Result<(), CloseReason> {
        let info = match mem::replace(&mut self.state, State::Ended) {
            State::Waiting(info) => info,
            other => {
                self.state = other;
                return Err(CloseReason::Protocol);
            }
        };
        let connection = self.app.connections().add(*info);
        // Before the app lets it join channels.
        first.map(|frame| connection.send(frame));
        self.state = State::Connected(connection.clone());
        self.app.greet(&connection);
        // A shutdown that began before the connection was added does not know of it.
        if self.app.is_draining() {
            connection.close(CloseReason::Restart);
        }
        Ok(())
    }

    /// Returns the connection, while there is one.
    pub(super) fn connection(&self) -> Option<&Connection> {
        match &self.state {
            State::Connected(connection) => Some(connection),
            State::Waiting(_) | State::Ended => None,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection().is_some()
    }

    /// Tells whether the client has as many open calls as it may, or answers to take first.
    pub(super) fn is_busy(&self) -> bool {
        self.is_crowded || self.calls.len() >= self.app.config().max_open_calls.max(1)
    }

    /// Counts a message that came; an error when the client sends more of them than it may.
    pub(super) fn count_message(&mut self) -> Result<(), CloseReason> {
        let rates = self.rates.as_mut();
        rates.map_or(Ok(()), |rates| rates.message(self.app.config()))
    }

    /// Counts bytes that came, as [`count_message`](Self::count_message).
    pub(super) fn count_bytes(&mut self, n: usize) -> Result<(), CloseReason> {
        let rates = self.rates.as_mut();
        rates.map_or(Ok(()), |rates| rates.bytes(n, self.app.config()))
    }

    /// Runs a call; `write` makes the frame that its client gets.
    ///
    /// One that waits for nothing is answered at once.
    pub(super) fn call<W>(&mut self, context: Box<HookContext>, write: W)
    where
        W: FnOnce(&App, Result<Answer>) -> Option<Bytes> + Send + 'static,
    {
        let run = self.app.run(context);
        if let Run::Done(ran) = run {
            let frame = write(&self.app, app::answer(ran));
            frame.into_iter().for_each(|frame| self.answer(frame));
            return;
        }
        let app = self.app.clone();
        let answer = async move { write(&app, app::answer(run.end().await)) };
        self.calls.push(answer.boxed());
    }

    /// Answers the client; the task that polls this empties the outbox next.
    pub(super) fn answer(&mut self, frame: Bytes) {
        if let State::Connected(connection) = &self.state {
            let piece = Piece::one(frame);
            self.is_crowded = connection.outbox().answer(piece, self.is_last);
        }
    }

    /// Lets more be asked for: the socket was given what it takes.
    pub(super) fn go_on(&mut self) {
        self.is_crowded = false;
    }

    /// Notes whether more has come behind the message that is taken next: its answer waits for the others then.
    pub(super) fn set_last(&mut self, is_last: bool) {
        self.is_last = is_last;
    }

    /// Answers the calls that have waited and are done.
    pub(super) fn poll_answers(&mut self, cx: &mut Context<'_>) {
        self.is_last = self.calls.len() == 1;
        while let Poll::Ready(answer) = self.calls.poll_answer(cx) {
            answer.into_iter().for_each(|frame| self.answer(frame));
        }
    }

    /// Moves everything that waits in the outbox into `frames`; lends the outbox the socket while nothing does.
    pub(super) fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut Vec<Bytes>,
        socket: &mut Option<Sender>,
    ) -> Poll<Drained> {
        self.go_on();
        self.connection().map_or(Poll::Pending, |connection| {
            connection.outbox().poll_drain_or_lend(cx, frames, socket)
        })
    }

    /// Takes a socket back that the outbox has, and into `frames` what was begun with it.
    pub(super) fn reclaim(&self, frames: &mut Vec<Bytes>) -> Option<Sender> {
        self.connection()?.outbox().reclaim(frames)
    }

    /// Resolves when the connection is closed from elsewhere: as slow, by the app, by a shutdown.
    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.connection().map_or(Poll::Pending, |connection| {
            connection.outbox().poll_closed(cx)
        })
    }

    /// Ends the connection: no event comes any more; returns what waited.
    pub(super) fn end(&mut self, reason: CloseReason) -> Vec<Bytes> {
        let mut waiting = Vec::new();
        if let State::Connected(connection) = mem::replace(&mut self.state, State::Ended) {
            connection.close(reason);
            let mut cx = Context::from_waker(noop_waker_ref());
            let _ = connection.outbox().poll_drain(&mut cx, &mut waiting);
            if connection.outbox().closed() == Some(CloseReason::Revoked) {
                waiting.extend(self.farewell.map(|farewell| farewell()));
            }
            self.app.forget(&connection);
        }
        waiting
    }
}

impl Drop for Caller {
    /// Reached with a connection only when the task panicked, as in an app's own `on_connection`.
    fn drop(&mut self) {
        self.end(CloseReason::Gone);
    }
}

/// One way to a client.
pub(super) trait Transport {
    /// Why it is over.
    type End: From<CloseReason>;

    /// Does all that can be done now; resolves when it is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Self::End>;

    /// Tells whether the client has its connection.
    fn is_connected(&self) -> bool;
}

/// Runs a transport until it is over, or the client has not connected in time.
pub(super) async fn run<T: Transport>(transport: &mut T, app: &App, deadline: Instant) -> T::End {
    // Boxed, so that an idle client's task has no room for it.
    if let Some(end) = Box::pin(until_connected(transport, app, deadline)).await {
        return end;
    }
    // A shutdown closes the connection, which the transport sees; the token that all tasks share would be locked at each wake.
    poll_fn(|cx| transport.poll(cx)).await
}

/// Runs until the client is connected, which returns `None`, or the transport is over.
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

/// Returns when a client that comes now has to be connected.
pub(super) fn connect_deadline(config: &Config) -> Instant {
    Instant::now() + config.connect_timeout.min(LONGEST)
}
