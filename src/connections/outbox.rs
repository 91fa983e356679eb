//! The bounded queue of frames that leads to one client, and the way past it.
//!
//! A websocket of our own server lends its socket to the outbox while it has nothing to write. Who has frames then writes them at
//! once, or holds them until it has the last of them, which spares the client's task its wake. What the socket does not take
//! waits, and the task is woken for it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use super::Sender;

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
    /// The client did not read fast enough: websocket code 1013. If it does not take that within two seconds, its connection is
    /// reset, and what waits for it in the kernel is thrown away.
    Slow,
    /// The app ended the session: Socket.IO's `41`, after which stock clients do not connect again by themselves; 4401 on a
    /// plain websocket.
    Revoked,
    /// The client broke the protocol: Socket.IO closes without a code, a plain websocket with 1002, 1003 or 1007.
    Protocol,
    /// A message was larger than allowed: websocket code 1009.
    TooLarge,
    /// The client sent more messages than [`Config::max_messages_per_second`](crate::Config::max_messages_per_second): Socket.IO
    /// closes with 1008, a plain websocket with 4429.
    TooManyMessages,
    /// The client sent more bytes than [`Config::max_bytes_per_second`](crate::Config::max_bytes_per_second): the same codes.
    TooManyBytes,
    /// The client did not answer in time: Socket.IO closes without a code, a plain websocket with 4408.
    Timeout,
    /// The other side closed, or the transport broke.
    Gone,
}

/// What the writer found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Frames were moved out, to be written and flushed.
    Frames,
    /// Everything was written before, but not all of it is on its way: the socket has to be flushed.
    Unflushed,
    /// Everything was written before, and this ends the connection.
    Closed(CloseReason),
}

/// What became of a piece that its sender would rather write together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It waits until the sender calls [`Outbox::flush`]: nobody was woken.
    First,
    /// It goes with those before it.
    Behind,
    /// The connection is closed, or this very piece closed it.
    Refused,
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
    /// What the socket did not take of a piece that was begun past the queue. It goes before all else and is never dropped.
    rest: Option<Bytes>,
    pieces: VecDeque<Piece>,
    n_frames: usize,
    bytes: usize,
    dropped: u64,
    closed: Option<CloseReason>,
    /// The socket, while its writer has nothing left.
    socket: Option<Sender>,
    /// Whether the writer was not woken for the pieces that wait.
    is_held: bool,
    /// Whether the socket keeps something back, as TLS does while there is no room.
    is_unflushed: bool,
}

/// Frames that are sent together.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    pub(crate) n_frames: usize,
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
        self.queue(self.state.lock(), Piece::one(frame))
    }

    /// Keeps a piece for [`flush`](Self::flush) while the socket is lent, and queues it otherwise.
    ///
    /// What its sender holds back is no sign of a slow client: it is written before it would pass the limits.
    pub(crate) fn hold(&self, piece: Piece) -> Held {
        let mut state = self.state.lock();
        if state.socket.is_none() || state.closed.is_some() {
            return Held::behind(self.queue(state, piece));
        }
        if state.is_held && !self.fits(&state, &piece) {
            state.flush();
        }
        let was_empty = state.is_empty();
        state.is_held |= was_empty;
        match self.keep(&mut state, piece) {
            true if was_empty => Held::First,
            fits => Held::behind(fits),
        }
    }

    /// Writes a piece at once where nothing waits and the socket takes it, and queues it otherwise; false as for
    /// [`push`](Self::push).
    pub(crate) fn write(&self, piece: &Piece) -> bool {
        let mut state = self.state.lock();
        match state.write_past(&piece.bytes) {
            Written::Nothing => self.queue(state, piece.clone()),
            Written::All => true,
            Written::Some => {
                drop(state);
                self.writer.wake();
                true
            }
        }
    }

    /// Takes an answer from the task that empties this next, which need not be woken: it is written at once if it is the last of
    /// those that belong together and none of them waits. Returns true when so much waits that the socket should be given some.
    pub(crate) fn answer(&self, piece: Piece, is_last: bool) -> bool {
        let mut state = self.state.lock();
        let is_written = is_last && !matches!(state.write_past(&piece.bytes), Written::Nothing);
        if !is_written && state.closed.is_none() {
            self.keep(&mut state, piece);
        }
        state.bytes > self.limits.bytes / 2 || state.n_frames > self.limits.frames / 2
    }

    /// Writes what was held, as far as the socket takes it.
    pub(crate) fn flush(&self) {
        let mut state = self.state.lock();
        state.flush();
        state.is_held = false;
        if !state.is_empty() || state.is_unflushed {
            drop(state);
            self.writer.wake();
        }
    }

    fn queue(&self, mut state: MutexGuard<'_, State>, piece: Piece) -> bool {
        if state.closed.is_some() {
            return false;
        }
        let wakes = state.pieces.is_empty() || mem::take(&mut state.is_held);
        let fits = self.keep(&mut state, piece);
        drop(state);
        if wakes || !fits {
            self.writer.wake();
        }
        fits
    }

    /// Adds a piece to those that wait; false when that closed the connection.
    fn keep(&self, state: &mut State, piece: Piece) -> bool {
        state.bytes += piece.bytes.len();
        state.n_frames += piece.n_frames;
        state.pieces.push_back(piece);
        self.make_fit(state)
    }

    /// Tells whether the limits let a piece wait beside those that do.
    fn fits(&self, state: &State, piece: &Piece) -> bool {
        state.bytes <= self.limits.bytes && state.n_frames + piece.n_frames <= self.limits.frames
    }

    /// Ends the connection: at once when it is slow, otherwise once the frames that wait are written.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.state.lock().close(reason);
        self.writer.wake();
    }

    /// Moves everything that waits into `frames`.
    pub(crate) fn poll_drain(
        &self,
        cx: &mut Context<'_>,
        frames: &mut Vec<Bytes>,
    ) -> Poll<Drained> {
        self.poll_drain_or_lend(cx, frames, &mut None)
    }

    /// Moves everything that waits into `frames`, and the socket back to its owner; lends it while nothing waits.
    pub(crate) fn poll_drain_or_lend(
        &self,
        cx: &mut Context<'_>,
        frames: &mut Vec<Bytes>,
        socket: &mut Option<Sender>,
    ) -> Poll<Drained> {
        self.writer.register(cx.waker());
        let mut state = self.state.lock();
        *socket = socket.take().or_else(|| state.socket.take());
        let is_unflushed = mem::take(&mut state.is_unflushed);
        if !state.is_empty() {
            state.move_frames(frames);
            return Poll::Ready(Drained::Frames);
        }
        if is_unflushed {
            return Poll::Ready(Drained::Unflushed);
        }
        match state.closed {
            Some(reason) => Poll::Ready(Drained::Closed(reason)),
            None => {
                state.socket = socket.take();
                Poll::Pending
            }
        }
    }

    /// Takes the socket back, and into `frames` what was begun with it: for an owner who has frames of its own, after which it
    /// flushes.
    pub(crate) fn reclaim(&self, frames: &mut Vec<Bytes>) -> Option<Sender> {
        let mut state = self.state.lock();
        state.is_unflushed = false;
        if let Some(rest) = state.rest.take() {
            state.bytes = state.bytes.saturating_sub(rest.len());
            frames.insert(0, rest);
        }
        state.socket.take()
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
        let newest = state.pieces.back().map_or(0, |piece| piece.bytes.len());
        while state.pieces.len() > 1
            && (state.bytes - newest > self.limits.bytes || state.n_frames > self.limits.frames)
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

impl Held {
    fn behind(fits: bool) -> Self {
        if fits { Self::Behind } else { Self::Refused }
    }
}

impl Piece {
    /// Makes a piece of one frame.
    pub(crate) fn one(bytes: Bytes) -> Self {
        Self { bytes, n_frames: 1 }
    }
}

/// What became of bytes that were to be written past the queue.
enum Written {
    Nothing,
    /// The rest waits, or the socket has to be flushed.
    Some,
    All,
}

impl State {
    fn is_empty(&self) -> bool {
        self.rest.is_none() && self.pieces.is_empty()
    }

    /// Writes into the lent socket if nothing waits before it.
    fn write_past(&mut self, bytes: &Bytes) -> Written {
        let is_free = self.is_empty() && self.closed.is_none();
        let Some(socket) = self.socket.as_mut().filter(|_| is_free) else {
            return Written::Nothing;
        };
        let n = socket.try_write(&[IoSlice::new(bytes)]).unwrap_or(0);
        self.is_unflushed |= !socket.try_flush();
        if 0 < n && n < bytes.len() {
            self.bytes = bytes.len() - n;
            self.rest = Some(bytes.slice(n..));
        }
        match n {
            0 => Written::Nothing,
            _ if self.rest.is_some() || self.is_unflushed => Written::Some,
            _ => Written::All,
        }
    }

    /// Writes the pieces that wait into the lent socket, while that takes them; what is wrong with it its owner will see.
    fn flush(&mut self) {
        let Some(mut socket) = self.socket.take_if(|_| self.rest.is_none()) else {
            return;
        };
        while self.rest.is_none()
            && let Some(n) = write_some(&mut socket, &self.pieces)
        {
            self.advance(n);
        }
        self.is_unflushed = !socket.try_flush();
        self.socket = Some(socket);
    }

    /// Takes off what was written. What is left of a piece that was begun goes before all else.
    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while written > 0
            && let Some(piece) = self.pieces.pop_front()
        {
            self.n_frames -= piece.n_frames;
            if written < piece.bytes.len() {
                self.rest = Some(piece.bytes.slice(written..));
            }
            written = written.saturating_sub(piece.bytes.len());
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }

    /// The memory of the queue goes along: most of the time nothing waits.
    fn move_frames(&mut self, frames: &mut Vec<Bytes>) {
        (self.bytes, self.n_frames, self.is_held) = (0, 0, false);
        frames.extend(self.rest.take());
        let pieces = mem::take(&mut self.pieces).into_iter();
        frames.extend(pieces.map(|piece| piece.bytes));
    }

    /// The first reason stays; what waits for a slow client is given up, so that it holds no memory.
    fn close(&mut self, reason: CloseReason) {
        if reason == CloseReason::Slow {
            self.dropped += self.n_frames as u64;
            self.pieces = VecDeque::new();
            (self.bytes, self.n_frames) = (0, 0);
        }
        self.closed.get_or_insert(reason);
    }

    fn drop_oldest(&mut self) {
        if let Some(piece) = self.pieces.pop_front() {
            self.bytes -= piece.bytes.len();
            self.n_frames -= piece.n_frames;
            self.dropped += piece.n_frames as u64;
        }
    }
}

/// Returns how many bytes of the pieces the socket took; `None` when it takes nothing more, or nothing is left.
fn write_some(socket: &mut Sender, pieces: &VecDeque<Piece>) -> Option<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(&piece.bytes);
    }
    match pieces.len().min(SLICES) {
        0 => None,
        n => socket.try_write(&slices[..n]),
    }
}

/// Pieces for one system call: as many as the dispatcher takes events together.
const SLICES: usize = 64;

#[cfg(test)]
mod tests;
