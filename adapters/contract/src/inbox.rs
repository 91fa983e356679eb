use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use parking_lot::Mutex;

use crate::{Inbound, Incoming, Lane, SyncError};

/// Makes the bounded queue between a broker's client library and the inbound stream of a link.
///
/// Client libraries hand messages over from a callback that must not wait, and most of them offer an unbounded
/// queue for that. This one is bounded: over either limit, the *arriving* message is dropped and counted, and the
/// stream yields [`Incoming::Lost`] with the count at the place of the gap, so order and honesty survive.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use futures_util::StreamExt;
/// use wingbeat_adapter::{InboxLimits, Incoming, Lane, inbox};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut limits = InboxLimits::default();
/// limits.messages = 1;
/// let (sender, mut inbox) = inbox(limits);
/// for payload in ["a", "b", "c"] {
///     sender.send(Lane::Events, Bytes::from(payload));
/// }
/// drop(sender);
///
/// let first = Incoming::Message { lane: Lane::Events, payload: Bytes::from("a") };
/// assert_eq!(inbox.next().await.unwrap().unwrap(), first);
/// assert_eq!(inbox.next().await.unwrap().unwrap(), Incoming::Lost(2));
/// assert!(inbox.next().await.is_none());
/// # }
/// ```
#[must_use]
pub fn inbox(limits: InboxLimits) -> (InboxSender, Inbox) {
    let shared = Arc::new(Shared {
        limits,
        state: Mutex::new(State {
            queue: VecDeque::new(),
            bytes: 0,
            senders: 1,
            end: End::Open,
            held: None,
            waker: None,
        }),
    });
    let sender = InboxSender {
        shared: Arc::clone(&shared),
    };
    (sender, Inbox { shared })
}

/// Bounds an [`inbox()`]. Whichever limit is reached first drops what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxLimits {
    /// Messages that may wait. Default: 32,768.
    pub messages: usize,
    /// Payload bytes that may wait; a single longer message still passes when nothing else waits. Default: 32 MiB.
    pub bytes: usize,
}

/// The writing half of an [`inbox()`]. It never waits; when all clones are gone, the stream ends.
pub struct InboxSender {
    shared: Arc<Shared>,
}

/// The reading half of an [`inbox()`]: a stream that [`Link::inbound`](crate::Link::inbound) can be made of.
pub struct Inbox {
    shared: Arc<Shared>,
}

impl InboxSender {
    /// Queues a message, or counts it as lost if it does not fit. After the end it does nothing.
    pub fn send(&self, lane: Lane, payload: Bytes) {
        let mut state = self.shared.state.lock();
        if !state.is_open() {
            return;
        }
        if state.fits(payload.len(), self.shared.limits) {
            state.bytes += payload.len();
            state.queue.push_back(Incoming::Message { lane, payload });
        } else {
            state.lose(1);
        }
        wake(state);
    }

    /// Records that `n` messages were dropped before they came here.
    pub fn lost(&self, n: u64) {
        let mut state = self.shared.state.lock();
        if n > 0 && state.is_open() {
            state.lose(n);
            wake(state);
        }
    }

    /// Ends the stream after what waits: with an error if the link was lost, without one if it was closed.
    ///
    /// The first end stands; later ones do nothing. What was [held](Self::hold) is dropped at once.
    pub fn end(&self, error: Option<SyncError>) {
        let mut state = self.shared.state.lock();
        if state.is_open() {
            state.end = End::Ended(error);
            release(state);
        }
    }

    /// Keeps a value alive until the stream ends or its reader is dropped: the broker's subscription, for example.
    pub fn hold(&self, value: impl Any + Send) {
        let mut state = self.shared.state.lock();
        let mut held: Option<Box<dyn Any + Send>> = Some(Box::new(value));
        if state.is_open() {
            std::mem::swap(&mut state.held, &mut held);
        }
        // As in `release`: what is dropped here may be a connection whose own drop locks the state.
        drop(state);
    }

    /// Tells whether the stream has ended or nobody reads it any more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        !self.shared.state.lock().is_open()
    }
}

impl Inbox {
    /// Boxes the stream into the type that a link wants.
    #[must_use]
    pub fn boxed(self) -> Inbound {
        Box::pin(self)
    }
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self {
            messages: 32_768,
            bytes: 32 * 1024 * 1024,
        }
    }
}

impl Clone for InboxSender {
    fn clone(&self) -> Self {
        self.shared.state.lock().senders += 1;
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for InboxSender {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.senders -= 1;
        if state.senders == 0 && state.is_open() {
            state.end = End::Ended(None);
            release(state);
        }
    }
}

impl Stream for Inbox {
    type Item = Result<Incoming, SyncError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.shared.state.lock();
        if let Some(incoming) = state.pop() {
            return Poll::Ready(Some(Ok(incoming)));
        }
        match &mut state.end {
            End::Ended(error) => Poll::Ready(error.take().map(Err)),
            End::Open => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.queue = VecDeque::new();
        state.bytes = 0;
        state.waker = None;
        state.end = End::Ended(None);
        release(state);
    }
}

impl fmt::Debug for InboxSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.describe(f, "InboxSender")
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.describe(f, "Inbox")
    }
}

struct Shared {
    limits: InboxLimits,
    state: Mutex<State>,
}

struct State {
    /// Messages and markers of loss. Two markers never stand side by side, so it is bounded by the messages.
    queue: VecDeque<Incoming>,
    bytes: usize,
    senders: usize,
    end: End,
    held: Option<Box<dyn Any + Send>>,
    waker: Option<Waker>,
}

enum End {
    Open,
    Ended(Option<SyncError>),
}

impl Shared {
    fn describe(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct(name)
            .field("waiting", &state.queue.len())
            .field("bytes", &state.bytes)
            .field("ended", &!state.is_open())
            .finish()
    }
}

impl State {
    fn is_open(&self) -> bool {
        matches!(self.end, End::Open)
    }

    fn fits(&self, length: usize, limits: InboxLimits) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < limits.messages
                && self.bytes.saturating_add(length) <= limits.bytes)
    }

    fn lose(&mut self, n: u64) {
        match self.queue.back_mut() {
            Some(Incoming::Lost(count)) => *count = count.saturating_add(n),
            Some(Incoming::Message { .. }) | None => self.queue.push_back(Incoming::Lost(n)),
        }
    }

    fn pop(&mut self) -> Option<Incoming> {
        let incoming = self.queue.pop_front()?;
        if let Incoming::Message { payload, .. } = &incoming {
            self.bytes -= payload.len();
        }
        Some(incoming)
    }
}

fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Drops what was held only after the lock is free: it may be a broker connection whose own drop comes back here.
fn release(mut state: parking_lot::MutexGuard<'_, State>) {
    let held = state.held.take();
    wake(state);
    drop(held);
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::ErrorKind;

    fn small(messages: usize, bytes: usize) -> (InboxSender, Inbox) {
        inbox(InboxLimits { messages, bytes })
    }

    fn send(sender: &InboxSender, payload: &'static str) {
        sender.send(Lane::Events, Bytes::from(payload));
    }

    /// What can be read now: payloads as text, losses as `-n`, an error as `!`, the end as `.`.
    fn drain(inbox: &mut Inbox) -> String {
        let mut out = String::new();
        while let Some(item) = inbox.next().now_or_never() {
            match item {
                Some(Ok(Incoming::Message { payload, .. })) => {
                    out += std::str::from_utf8(&payload).unwrap();
                }
                Some(Ok(Incoming::Lost(n))) => out += &format!("-{n}"),
                Some(Err(_)) => out.push('!'),
                None => {
                    out.push('.');
                    break;
                }
            }
        }
        out
    }

    #[test]
    fn losses_stand_at_their_place_between_what_was_kept() {
        let (sender, mut inbox) = small(2, 100);
        for payload in ["a", "b", "c", "d"] {
            send(&sender, payload);
        }
        assert!(matches!(
            inbox.next().now_or_never(),
            Some(Some(Ok(Incoming::Message { .. })))
        ));
        // "b" and the marker fill the queue, so "e" joins the loss instead of overtaking it.
        send(&sender, "e");
        assert_eq!(drain(&mut inbox), "b-3");
        send(&sender, "f");
        assert_eq!(drain(&mut inbox), "f");
    }

    #[test]
    fn bytes_are_bounded_too_but_one_long_message_still_passes() {
        let (sender, mut inbox) = small(100, 4);
        send(&sender, "longer");
        send(&sender, "x");
        assert_eq!(drain(&mut inbox), "longer-1");
        send(&sender, "ab");
        send(&sender, "cd");
        send(&sender, "");
        send(&sender, "e");
        assert_eq!(drain(&mut inbox), "abcd-1");
    }

    #[test]
    fn a_loss_reported_from_outside_is_yielded_even_when_nothing_follows() {
        let (sender, mut inbox) = small(2, 100);
        sender.lost(0);
        sender.lost(3);
        sender.lost(4);
        assert_eq!(drain(&mut inbox), "-7");
    }

    #[test]
    fn the_end_comes_after_what_waits_and_the_first_reason_stands() {
        let (sender, mut inbox) = small(2, 100);
        send(&sender, "a");
        sender.end(Some(SyncError::new(ErrorKind::Unavailable, "gone")));
        sender.end(None);
        send(&sender, "b");
        assert!(sender.is_ended());
        assert_eq!(drain(&mut inbox), "a!.");
    }

    #[test]
    fn the_stream_ends_when_the_last_sender_is_gone() {
        let (sender, mut inbox) = small(2, 100);
        let other = sender.clone();
        drop(sender);
        assert_eq!(drain(&mut inbox), "");
        drop(other);
        assert_eq!(drain(&mut inbox), ".");
    }

    #[test]
    fn what_is_held_goes_with_the_end_or_with_the_reader() {
        let held = Arc::new(());
        let (sender, inbox) = small(2, 100);
        sender.hold(Arc::clone(&held));
        sender.end(None);
        assert_eq!(Arc::strong_count(&held), 1);
        sender.hold(Arc::clone(&held));
        assert_eq!(Arc::strong_count(&held), 1, "held after the end");
        drop(inbox);

        let (sender, inbox) = small(2, 100);
        sender.hold(Arc::clone(&held));
        drop(inbox);
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(sender.is_ended());
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken_by_a_message_and_by_the_end() {
        let (sender, mut inbox) = small(2, 100);
        let (read, ()) = tokio::join!(inbox.next(), async { send(&sender, "a") });
        assert!(matches!(read, Some(Ok(Incoming::Message { .. }))));
        let (read, ()) = tokio::join!(inbox.next(), async { sender.end(None) });
        assert!(read.is_none());
    }
}
