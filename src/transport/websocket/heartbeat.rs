//! Who still answers: the server pings, the client has to answer in time (feathers.md §2.1; RFC 6455 §5.5.2 without Engine.IO).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::app::Config;

/// The clock of one connection.
#[derive(Debug)]
pub(in crate::transport) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    phase: Phase,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transport) enum Beat {
    /// A ping is due.
    Ping,
    /// The client did not answer the last one.
    Dead,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Resting,
    Waiting { is_extended: bool },
}

impl Heartbeat {
    /// Starts the clock of a client with the node's settings.
    pub(in crate::transport) fn of(config: &Config) -> Self {
        let (interval, timeout) = beats(config);
        Self::new(interval, timeout)
    }

    /// Starts the clock; the first ping is due after one interval.
    fn new(interval: Duration, timeout: Duration) -> Self {
        Self {
            interval,
            timeout,
            timer: Box::pin(sleep(interval)),
            phase: Phase::Resting,
        }
    }

    /// Notes an answer. One that nobody asked for changes nothing, or a client could keep the pings away.
    pub(in crate::transport) fn pong(&mut self) {
        if self.phase != Phase::Resting {
            self.enter(Phase::Resting, self.interval);
        }
    }

    /// Notes any other message: a large one may stand in the way of the answer, so it gives more time, once.
    pub(in crate::transport) fn heard(&mut self) {
        if self.phase == (Phase::Waiting { is_extended: false }) {
            self.enter(Phase::Waiting { is_extended: true }, self.timeout);
        }
    }

    /// Resolves when something is to be done.
    ///
    /// While this side does not read, `is_deaf`, a missing answer is no proof: the client is pinged again, for its own clock.
    pub(in crate::transport) fn poll(&mut self, cx: &mut Context<'_>, is_deaf: bool) -> Poll<Beat> {
        ready!(self.timer.as_mut().poll(cx));
        if self.phase != Phase::Resting && !is_deaf {
            return Poll::Ready(Beat::Dead);
        }
        self.enter(Phase::Waiting { is_extended: false }, self.timeout);
        Poll::Ready(Beat::Ping)
    }

    fn enter(&mut self, phase: Phase, until: Duration) {
        self.phase = phase;
        self.timer.as_mut().reset(Instant::now() + until);
    }
}

/// Returns interval and timeout. A client adds both up in a JavaScript timer, which can not count further than 24 days.
pub(in crate::transport) fn beats(config: &Config) -> (Duration, Duration) {
    (
        config.ping_interval.min(LONGEST),
        config.ping_timeout.min(LONGEST),
    )
}

/// More would not fit into the timers of clients, and what is added to a time has to end somewhere.
pub(in crate::transport) const LONGEST: Duration = Duration::from_secs(12 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(25);
    const TIMEOUT: Duration = Duration::from_secs(20);

    async fn next(heartbeat: &mut Heartbeat, is_deaf: bool) -> (Beat, u64) {
        let start = Instant::now();
        let beat = poll_fn(|cx| heartbeat.poll(cx, is_deaf)).await;
        (beat, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_is_pinged_again_after_the_interval() {
        let mut heartbeat = Heartbeat::new(INTERVAL, TIMEOUT);
        for _ in 0..3 {
            heartbeat.pong();
            assert_eq!(next(&mut heartbeat, false).await, (Beat::Ping, 25));
            heartbeat.pong();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_silent_is_dead_after_the_timeout() {
        let mut heartbeat = Heartbeat::new(INTERVAL, TIMEOUT);
        assert_eq!(next(&mut heartbeat, false).await, (Beat::Ping, 25));
        assert_eq!(next(&mut heartbeat, false).await, (Beat::Dead, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn other_messages_give_more_time_once() {
        let mut heartbeat = Heartbeat::new(INTERVAL, TIMEOUT);
        next(&mut heartbeat, false).await;
        tokio::time::advance(Duration::from_secs(15)).await;
        heartbeat.heard();
        tokio::time::advance(Duration::from_secs(15)).await;
        heartbeat.heard();
        assert_eq!(next(&mut heartbeat, false).await, (Beat::Dead, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_dead_while_this_side_does_not_read() {
        let mut heartbeat = Heartbeat::new(INTERVAL, TIMEOUT);
        assert_eq!(next(&mut heartbeat, true).await, (Beat::Ping, 25));
        assert_eq!(next(&mut heartbeat, true).await, (Beat::Ping, 20));
        assert_eq!(next(&mut heartbeat, false).await, (Beat::Dead, 20));
    }
}
