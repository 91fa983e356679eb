//! One connection: the task that reads, writes, pings and ends it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::rt::{Read, ReadBuf};
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::time::Instant;
use tungstenite::{Error, Message};

use super::{Beat, Heartbeat, Io, Reader, Writer, close_frame, goodbye};
use crate::app::App;
use crate::connections::{CloseReason, Drained};
use crate::transport::caller::{self, Caller, Transport};

/// The client at the other end of a websocket, in the protocol that it speaks.
pub(in crate::transport) trait Party {
    /// A ping as a finished frame.
    const PING: &'static [u8];

    fn caller(&self) -> &Caller;
    fn caller_mut(&mut self) -> &mut Caller;
    fn heartbeat(&mut self) -> &mut Heartbeat;

    /// Takes a message other than a close; returns the frame that answers it before anything else.
    fn receive(&mut self, message: Message) -> Result<Option<Bytes>, Closing>;

    /// Returns the code of the close frame for a reason; `None` for a frame without one.
    fn close_code(reason: CloseReason) -> Option<u16>;
}

/// Serves a client whose request is to become a websocket, until it goes or has to.
///
/// What there is before the websocket is boxed, so that the task has no room for it.
pub(in crate::transport) async fn serve<P: Party>(
    app: App,
    upgrade: OnUpgrade,
    begin: impl FnOnce(&App, Upgraded) -> Box<Socket<P>>,
) {
    let deadline = caller::connect_deadline(app.config());
    match Box::pin(upgrade).await {
        Ok(upgraded) => {
            let socket = begin(&app, upgraded);
            run(app, socket, deadline).await;
        }
        Err(_) => tracing::debug!("a client went before it had its websocket"),
    }
}

/// Runs a websocket to its end.
pub(in crate::transport) async fn run<P: Party>(
    app: App,
    mut socket: Box<Socket<P>>,
    deadline: Instant,
) {
    let closing = caller::run(&mut *socket, &app, deadline).await;
    tracing::debug!(reason = ?closing.reason, "a socket ends");
    app.counters().count_end(closing.reason);
    // Boxed, so that an idle client's task has no room for it.
    Box::pin(socket.close(closing)).await;
}

/// One websocket with all that belongs to it.
pub(in crate::transport) struct Socket<P> {
    pub(in crate::transport) io: Io,
    pub(in crate::transport) reader: Reader,
    pub(in crate::transport) writer: Writer,
    pub(in crate::transport) party: P,
    /// What was read but has to wait, because the client has as many open calls as it may.
    pub(in crate::transport) unread: Option<Vec<u8>>,
}

/// Why a connection ends.
pub(in crate::transport) struct Closing {
    reason: CloseReason,
    word: Word,
}

/// What tells the client why.
enum Word {
    /// Nothing: it knows, or can not be told.
    Nothing,
    /// The code that its protocol has for the reason.
    OfReason,
    Code(u16),
}

impl<P: Party> Socket<P> {
    pub(in crate::transport) fn new(app: &App, upgraded: Upgraded, party: P) -> Self {
        let (io, read) = Io::new(upgraded);
        Self {
            io,
            reader: Reader::new(app.config().max_message),
            writer: Writer::default(),
            party,
            unread: (!read.is_empty()).then(|| read.into()),
        }
    }

    /// True when there may be more to do at once. What is readable is read before time is judged: a node that was kept from
    /// running has not been left by its clients.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, Closing> {
        self.party.caller_mut().poll_answers(cx);
        self.write(cx)?;
        if self.read(cx)? {
            return Ok(true);
        }
        self.beat(cx)
    }

    /// Empties the outbox into the socket, as far as that takes it, and lends the outbox the socket when nothing is left.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Closing> {
        if self.writer.has_frames() {
            let frames = self.writer.frames_mut();
            self.io.reclaim(self.party.caller(), frames);
        }
        loop {
            if self.writer.poll_write(&mut self.io, cx)?.is_pending() {
                return self.wait(cx);
            }
            let frames = self.writer.frames_mut();
            match self
                .party
                .caller_mut()
                .poll_frames(cx, frames, self.io.sender_mut())
            {
                Poll::Ready(Drained::Frames) => {}
                Poll::Ready(Drained::Unflushed) => self.writer.flush_later(),
                Poll::Ready(Drained::Closed(reason)) => return Err(reason.into()),
                Poll::Pending => break,
            }
        }
        self.writer.rest();
        Ok(())
    }

    /// Sees an end also while the socket takes nothing, which is when a client becomes a slow one.
    fn wait(&mut self, cx: &mut Context<'_>) -> Result<(), Closing> {
        let caller = self.party.caller_mut();
        caller.go_on();
        match caller.poll_closed(cx) {
            Poll::Ready(reason) => Err(reason.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// True when something was read.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Closing> {
        if self.is_deaf() {
            return Ok(false);
        }
        if let Some(unread) = self.unread.take() {
            self.decode(&unread)?;
            return Ok(true);
        }
        let mut memory = UNREAD;
        let mut buffer = ReadBuf::uninit(&mut memory);
        let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()) else {
            return Ok(false);
        };
        read?;
        match buffer.filled() {
            [] => Err(Closing::without_word()),
            bytes => {
                self.party.caller_mut().count_bytes(bytes.len())?;
                self.decode(bytes).map(|()| true)
            }
        }
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Result<(), Closing> {
        while !self.is_deaf() {
            let mut replies = Vec::new();
            let message = self.reader.next(&mut bytes, &mut replies)?;
            if !replies.is_empty() {
                self.writer.push(replies.into());
            }
            match message {
                Some(message) => {
                    self.party.caller_mut().set_last(bytes.is_empty());
                    self.receive(message)?;
                }
                None => return Ok(()),
            }
        }
        self.unread = Some(bytes.to_vec());
        Ok(())
    }

    fn receive(&mut self, message: Message) -> Result<(), Closing> {
        if message.is_close() {
            return Err(Closing::without_word());
        }
        self.party.caller_mut().count_message()?;
        let reply = self.party.receive(message)?;
        reply.into_iter().for_each(|frame| self.writer.push(frame));
        Ok(())
    }

    /// True when a ping was due.
    fn beat(&mut self, cx: &mut Context<'_>) -> Result<bool, Closing> {
        let is_deaf = self.is_deaf();
        match self.party.heartbeat().poll(cx, is_deaf) {
            Poll::Pending => Ok(false),
            Poll::Ready(Beat::Dead) => Err(CloseReason::Timeout.into()),
            Poll::Ready(Beat::Ping) => {
                self.writer.push(Bytes::from_static(P::PING));
                Ok(true)
            }
        }
    }

    /// Tells whether reading pauses, until a call is done or frames of our own are written.
    fn is_deaf(&self) -> bool {
        self.party.caller().is_busy() || self.writer.is_crowded()
    }

    /// Says goodbye, within a bound, after the client is out of all channels.
    async fn close(&mut self, closing: Closing) {
        let waiting = self.io.end(self.party.caller_mut(), closing.reason);
        if closing.reason == CloseReason::Slow {
            self.writer.give_up_unbegun();
        }
        let code = match closing.word {
            Word::Nothing => None,
            Word::OfReason => Some(P::close_code(closing.reason)),
            Word::Code(code) => Some(Some(code)),
        };
        if let Some(code) = code {
            self.writer.frames_mut().extend(waiting);
            self.writer.push(close_frame(code));
        }
        let taken = goodbye(&mut self.io, &mut self.writer).await;
        if !taken && matches!(closing.reason, CloseReason::Slow | CloseReason::Timeout) {
            self.io.give_up();
        }
    }
}

impl<P: Party> Transport for Socket<P> {
    type End = Closing;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Closing> {
        loop {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(closing) => return Poll::Ready(closing),
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.party.caller().is_connected()
    }
}

impl Closing {
    /// The client has closed, or the socket is broken.
    fn without_word() -> Self {
        Self {
            reason: CloseReason::Gone,
            word: Word::Nothing,
        }
    }

    pub(in crate::transport) fn with_code(reason: CloseReason, code: u16) -> Self {
        let word = Word::Code(code);
        Self { reason, word }
    }
}

impl From<CloseReason> for Closing {
    fn from(reason: CloseReason) -> Self {
        let word = Word::OfReason;
        Self { reason, word }
    }
}

impl From<io::Error> for Closing {
    fn from(_: io::Error) -> Self {
        Self::without_word()
    }
}

impl From<Error> for Closing {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => CloseReason::TooLarge.into(),
            Error::Protocol(_) => Self::with_code(CloseReason::Protocol, 1002),
            Error::Utf8(_) => Self::with_code(CloseReason::Protocol, 1007),
            _ => Self::without_word(),
        }
    }
}

/// Memory for one read: it is on the stack at every wake, so it is not worth zeroing.
pub(in crate::transport) const UNREAD: [MaybeUninit<u8>; 8_192] =
    [const { MaybeUninit::uninit() }; 8_192];
