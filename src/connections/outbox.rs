//! The bounded queue of frames that leads to one client.

use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// How much may wait for one client.
///
/// ```
/// use wingbeat::Config;
/// use wingbeat::connections::SlowPolicy;
///
/// let mut config = Config::default();
/// config.outbox.bytes = 256 << 10;
/// config.outbox.policy = SlowPolicy::DropOldest;
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OutboxLimits {
    /// Bytes that may wait in front of a new frame, whose own size does not count; 1 MiB by default.
    pub bytes: usize,
    /// Frames that may wait; 1,024 by default.
    pub frames: usize,
    /// What happens to a client for which more would wait; by default it is closed.
    pub policy: SlowPolicy,
}

/// What happens to a client that does not read fast enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// The transport is closed, a websocket with code 1013, so that the client connects again and reads anew.
    Close,
    /// The oldest waiting frames are dropped and counted.
    DropOldest,
}

/// Why this node closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The node shuts down: websocket code 1012.
    Restart,
    /// The client did not read fast enough: websocket code 1013.
    Slow,
    /// The app ended the session: Socket.IO's `41`, after which stock clients do not connect again by themselves; 4401 on a
    /// plain websocket.
    Revoked,
    /// The client broke the protocol: Socket.IO closes without a code, a plain websocket with 1002, 1003 or 1007.
    Protocol,
    /// A message was larger than allowed: websocket code 1009.
    TooLarge,
    /// The client did not answer in time: Socket.IO closes without a code, a plain websocket with 4408.
    Timeout,
    /// The other side closed, or the transport broke.
    Gone,
}

/// What the writer found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Frames were moved out. What ends the connection behind them, if that is known: nobody is woken for it again.
    Frames(Option<CloseReason>),
    /// Everything was written before, and this ends the connection.
    Closed(CloseReason),
}

/// Frames that wait for one client's writer.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: OutboxLimits,
    state: Mutex<State>,
    writer: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
    closed: Option<CloseReason>,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            frames: 1_024,
            policy: SlowPolicy::Close,
        }
    }
}

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            writer: AtomicWaker::new(),
        }
    }

    /// Queues a frame; false when the connection is closed, or is closed by this very frame.
    pub(crate) fn push(&self, frame: Bytes) -> bool {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return false;
        }
        let was_empty = state.frames.is_empty();
        state.bytes += frame.len();
        state.frames.push_back(frame);
        let fits = self.make_fit(&mut state);
        drop(state);
        if was_empty || !fits {
            self.writer.wake();
        }
        fits
    }

    /// Ends the connection: at once when it is slow, otherwise once the frames that wait are written.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.state.lock().close(reason);
        self.writer.wake();
    }

    /// Wakes nobody until it is asked again.
    pub(crate) fn let_sleep(&self) {
        drop(self.writer.take());
    }

    /// Moves everything that waits into `frames`.
    pub(crate) fn poll_drain(
        &self,
        cx: &mut Context<'_>,
        frames: &mut Vec<Bytes>,
    ) -> Poll<Drained> {
        self.writer.register(cx.waker());
        let mut state = self.state.lock();
        if !state.frames.is_empty() {
            state.bytes = 0;
            state.move_frames(frames);
            return Poll::Ready(Drained::Frames(state.closed));
        }
        state
            .closed
            .map_or(Poll::Pending, |reason| Poll::Ready(Drained::Closed(reason)))
    }

    /// Resolves when the connection is closed, also while frames wait: for a writer whose socket takes nothing.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.writer.register(cx.waker());
        self.closed().map_or(Poll::Pending, Poll::Ready)
    }

    /// Returns how many frames the policy dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.state.lock().closed
    }

    /// Applies the policy when the limits are passed; false when that closed the connection.
    ///
    /// The newest frame fits whatever its size: the answer to a large `find`, or to the `create` of a large record whose
    /// event waits, is no sign of a slow client.
    fn make_fit(&self, state: &mut State) -> bool {
        let newest = state.frames.back().map_or(0, Bytes::len);
        while state.frames.len() > 1
            && (state.bytes - newest > self.limits.bytes || state.frames.len() > self.limits.frames)
        {
            match self.limits.policy {
                SlowPolicy::Close => {
                    state.close(CloseReason::Slow);
                    return false;
                }
                SlowPolicy::DropOldest => state.drop_oldest(),
            }
        }
        true
    }
}

impl State {
    /// A short queue keeps its memory for the next event; that of a long one goes along.
    fn move_frames(&mut self, frames: &mut Vec<Bytes>) {
        if self.frames.capacity() <= KEPT_FRAMES {
            frames.extend(self.frames.drain(..));
            return;
        }
        let waiting = mem::take(&mut self.frames);
        if frames.is_empty() {
            *frames = waiting.into();
        } else {
            frames.extend(waiting);
        }
    }

    /// The first reason stays; what waits for a slow client is given up, so that it holds no memory.
    fn close(&mut self, reason: CloseReason) {
        if reason == CloseReason::Slow {
            self.dropped += self.frames.len() as u64;
            self.frames = VecDeque::new();
            self.bytes = 0;
        }
        self.closed.get_or_insert(reason);
    }

    fn drop_oldest(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.len();
            self.dropped += 1;
        }
    }
}

/// Frames for which an idle connection keeps memory.
pub(crate) const KEPT_FRAMES: usize = 4;

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker_ref;

    use super::*;

    fn outbox(frames: usize, policy: SlowPolicy) -> Outbox {
        Outbox::new(OutboxLimits {
            frames,
            policy,
            ..OutboxLimits::default()
        })
    }

    fn drain(outbox: &Outbox) -> (Poll<Drained>, Vec<Bytes>) {
        let mut frames = Vec::new();
        let found = outbox.poll_drain(&mut Context::from_waker(noop_waker_ref()), &mut frames);
        (found, frames)
    }

    #[test]
    fn everything_that_waits_is_drained_at_once_and_in_order() {
        let outbox = outbox(9, SlowPolicy::Close);
        assert!(
            ["a", "b", "c"]
                .into_iter()
                .all(|frame| outbox.push(frame.into()))
        );
        assert_eq!(
            drain(&outbox),
            (
                Poll::Ready(Drained::Frames(None)),
                vec!["a".into(), "b".into(), "c".into()]
            )
        );
        assert_eq!(drain(&outbox), (Poll::Pending, vec![]));
    }

    #[test]
    fn a_slow_client_is_closed_and_counted() {
        let outbox = outbox(2, SlowPolicy::Close);
        assert!(outbox.push("a".into()) && outbox.push("b".into()));
        assert!(!outbox.push("c".into()) && !outbox.push("d".into()));
        assert_eq!(
            drain(&outbox),
            (Poll::Ready(Drained::Closed(CloseReason::Slow)), vec![])
        );
        assert_eq!(outbox.dropped(), 3);
    }

    #[test]
    fn drop_oldest_keeps_the_newest_frames() {
        let outbox = outbox(2, SlowPolicy::DropOldest);
        assert!(
            ["a", "b", "c"]
                .into_iter()
                .all(|frame| outbox.push(frame.into()))
        );
        assert_eq!(drain(&outbox).1, [Bytes::from("b"), Bytes::from("c")]);
        assert_eq!(outbox.dropped(), 1);
    }

    #[test]
    fn the_newest_frame_fits_whatever_its_size() {
        let outbox = Outbox::new(OutboxLimits {
            bytes: 5,
            ..OutboxLimits::default()
        });
        assert!(outbox.push("very large".into()));
        assert_eq!(drain(&outbox).1, ["very large"]);
        assert!(outbox.push("event".into()) && outbox.push("the answer behind it".into()));
        assert!(!outbox.push("more".into()));
    }

    #[test]
    fn close_lets_what_waits_out_first() {
        let outbox = outbox(2, SlowPolicy::Close);
        assert!(outbox.push("last".into()));
        outbox.close(CloseReason::Restart);
        outbox.close(CloseReason::Gone);
        assert!(!outbox.push("too late".into()));
        assert_eq!(
            drain(&outbox).0,
            Poll::Ready(Drained::Frames(Some(CloseReason::Restart)))
        );
        assert_eq!(
            drain(&outbox).0,
            Poll::Ready(Drained::Closed(CloseReason::Restart))
        );
    }
}
