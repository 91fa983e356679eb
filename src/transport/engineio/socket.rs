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

use super::client::{self, Client, Transport};
use super::goodbye::goodbye;
use super::heartbeat::Beat;
use super::open;
use super::probe::Probe;
use super::websocket::{Reader, TextFrame, Writer, close_frame};
use crate::app::App;
use crate::connections::CloseReason;
use crate::transport::socketio::Session;

/// Serves a client until it goes or has to.
pub(super) async fn serve(app: App, upgrade: OnUpgrade, session: Session) {
    let deadline = client::connect_deadline(app.config());
    let Ok(io) = upgrade.await else {
        tracing::debug!("a client went before it had its websocket");
        return;
    };
    let socket = Box::new(Socket::new(&app, io, session));
    run(app, socket, deadline).await;
}

/// Runs a websocket to its end.
pub(super) async fn run(app: App, mut socket: Box<Socket>, deadline: Instant) {
    let closing = client::run(&mut *socket, &app, deadline).await;
    tracing::debug!(reason = ?closing.reason, "a socket ends");
    app.engineio().count_end(closing.reason);
    // Boxed, so that an idle client's task has no room for it.
    Box::pin(socket.close(closing)).await;
}

/// One websocket with all that belongs to it.
pub(super) struct Socket {
    io: Upgraded,
    reader: Reader,
    writer: Writer,
    client: Client,
    /// What was read but has to wait, because the client has as many open calls as it may.
    unread: Option<Vec<u8>>,
}

/// Why a connection ends.
pub(super) struct Closing {
    reason: CloseReason,
    /// What tells the client; `None` when it knows, or can not be told.
    frame: Option<Bytes>,
}

impl Socket {
    fn new(app: &App, io: Upgraded, session: Session) -> Self {
        let config = app.config();
        let mut writer = Writer::default();
        let open = open::packet(config, &app.sessions().draw(), &[]);
        writer.push(TextFrame::of(&open));
        Self {
            io,
            reader: Reader::new(config.max_message),
            writer,
            client: Client::new(config, session),
            unread: None,
        }
    }

    /// Goes on where a client that polled has changed to a websocket; `frames` wait for it.
    pub(super) fn upgraded(probe: Probe, client: Client, frames: Vec<Bytes>) -> Self {
        let mut writer = probe.writer;
        writer.frames_mut().extend(frames);
        Self {
            io: probe.io,
            reader: probe.reader,
            writer,
            client,
            unread: Some(probe.rest),
        }
    }

    /// True when there may be more to do at once. What is readable is read before time is judged: a node that was kept from
    /// running has not been left by its clients.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, Closing> {
        self.client.session.poll_answers(cx);
        self.write(cx)?;
        if self.read(cx)? {
            return Ok(true);
        }
        self.beat(cx)
    }

    /// Empties the outbox into the socket, as far as that takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Closing> {
        loop {
            // Also while the socket takes nothing: that is when a client becomes a slow one.
            if let Poll::Ready(reason) = self.client.session.poll_closed(cx) {
                return Err(reason.into());
            }
            if self.writer.poll_write(&mut self.io, cx)?.is_pending() {
                return Ok(());
            }
            if self
                .client
                .session
                .poll_frames(cx, self.writer.frames_mut())
                .is_pending()
            {
                self.writer.rest();
                return Ok(());
            }
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
            bytes => self.decode(bytes).map(|()| true),
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
                Some(message) => self.receive(message)?,
                None => return Ok(()),
            }
        }
        self.unread = Some(bytes.to_vec());
        Ok(())
    }

    fn receive(&mut self, message: Message) -> Result<(), Closing> {
        let reply = match message {
            Message::Text(text) => self.client.receive(&text)?,
            Message::Binary(bytes) => {
                self.client.heartbeat.heard();
                self.client.session.receive_attachment(bytes)?
            }
            Message::Close(_) => return Err(Closing::without_word()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                self.client.heartbeat.heard();
                None
            }
        };
        reply.into_iter().for_each(|frame| self.writer.push(frame));
        Ok(())
    }

    /// True when a ping was due.
    fn beat(&mut self, cx: &mut Context<'_>) -> Result<bool, Closing> {
        match self.client.heartbeat.poll(cx, self.is_deaf()) {
            Poll::Pending => Ok(false),
            Poll::Ready(Beat::Dead) => Err(CloseReason::Timeout.into()),
            Poll::Ready(Beat::Ping) => {
                self.writer.push(Bytes::from_static(PING));
                Ok(true)
            }
        }
    }

    /// Tells whether reading pauses, until a call is done or frames of our own are written.
    fn is_deaf(&self) -> bool {
        self.client.session.is_busy() || self.writer.is_crowded()
    }

    /// Says goodbye, within a bound, after the client is out of all channels.
    async fn close(&mut self, closing: Closing) {
        let waiting = self.client.session.end(closing.reason);
        if closing.reason == CloseReason::Slow {
            self.writer.give_up_unbegun();
        }
        if let Some(frame) = closing.frame {
            self.writer.frames_mut().extend(waiting);
            self.writer.push(frame);
        }
        goodbye(&mut self.io, &mut self.writer).await;
    }
}

impl Transport for Socket {
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
        self.client.session.is_connected()
    }
}

impl Closing {
    /// The client has closed, or the socket is broken.
    fn without_word() -> Self {
        Self {
            reason: CloseReason::Gone,
            frame: None,
        }
    }

    fn with_code(reason: CloseReason, code: u16) -> Self {
        Self {
            reason,
            frame: Some(close_frame(Some(code))),
        }
    }
}

impl From<CloseReason> for Closing {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Restart => Self::with_code(reason, 1012),
            CloseReason::Slow => Self::with_code(reason, 1013),
            CloseReason::TooLarge => Self::with_code(reason, 1009),
            CloseReason::Revoked
            | CloseReason::Protocol
            | CloseReason::Timeout
            | CloseReason::Gone => Self {
                reason,
                frame: Some(close_frame(None)),
            },
        }
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

/// A ping as a finished frame.
pub(super) const PING: &[u8] = b"\x81\x012";
/// Memory for one read: it is on the stack at every wake, so it is not worth zeroing.
pub(super) const UNREAD: [MaybeUninit<u8>; 8_192] = [const { MaybeUninit::uninit() }; 8_192];
