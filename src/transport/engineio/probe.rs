//! A websocket that a client tries while it still polls.
//!
//! The client sends `2probe` and gets `3probe`; then it lets its last poll end and sends `5`. Only after that does anything else
//! go over the websocket, in either direction, so nothing overtakes what the polls carry.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf};
use hyper::upgrade::OnUpgrade;
use tungstenite::Message;

use crate::app::{App, Config};
use crate::connections::CloseReason;
use crate::transport::rates::Rates;
use crate::transport::websocket::{Io, Reader, TextFrame, UNREAD, Writer, close_frame, goodbye};

/// A websocket and what of it is read and not yet looked at.
pub(super) struct Probe {
    pub(super) io: Io,
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) rest: Vec<u8>,
    app: App,
    /// What is sent here counts by itself: the client's own task knows nothing of it.
    rates: Option<Box<Rates>>,
}

/// What becomes of a client that did not change over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failed {
    /// It may try again.
    Again,
    /// Its session ends.
    Closed(CloseReason),
}

impl Probe {
    /// Answers the client's probe.
    pub(super) async fn begin(app: App, upgrade: OnUpgrade) -> Result<Self, Failed> {
        let (io, read) = Io::new(upgrade.await.map_err(|_| Failed::Again)?);
        let probe = Self {
            io,
            reader: Reader::new(app.config().max_message),
            writer: Writer::default(),
            rest: read.into(),
            rates: Rates::of(app.config()),
            app,
        };
        let mut probe = probe.heard("2probe").await?;
        probe.writer.push(TextFrame::of("3probe"));
        poll_fn(|cx| probe.writer.poll_write(&mut probe.io, cx)).await?;
        Ok(probe)
    }

    /// Waits for the client to change over.
    pub(super) async fn confirmed(self) -> Result<Self, Failed> {
        self.heard("5").await
    }

    /// Waits for a packet, and ends the websocket when something else comes.
    async fn heard(mut self, packet: &str) -> Result<Self, Failed> {
        match self.hear(packet).await {
            Ok(()) => Ok(self),
            Err(failed) => {
                self.close();
                Err(failed)
            }
        }
    }

    async fn hear(&mut self, packet: &str) -> Result<(), Failed> {
        loop {
            match poll_fn(|cx| self.poll_message(cx)).await? {
                Message::Text(text) if text.as_str() == packet => return Ok(()),
                Message::Ping(_) | Message::Pong(_) => {}
                _ => return Err(Failed::Again),
            }
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Failed>> {
        loop {
            ready!(self.writer.poll_write(&mut self.io, cx))?;
            if let Some(message) = self.decode()? {
                self.count(Rates::message)?;
                return Poll::Ready(Ok(message));
            }
            let mut memory = UNREAD;
            let mut buffer = ReadBuf::uninit(&mut memory);
            ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()))?;
            let n = buffer.filled().len();
            if n == 0 {
                return Poll::Ready(Err(Failed::Again));
            }
            self.count(|rates, config| rates.bytes(n, config))?;
            self.rest.extend_from_slice(buffer.filled());
        }
    }

    fn count(
        &mut self,
        take: impl FnOnce(&mut Rates, &Config) -> Result<(), CloseReason>,
    ) -> Result<(), CloseReason> {
        let rates = self.rates.as_mut();
        rates.map_or(Ok(()), |rates| take(rates, self.app.config()))
    }

    fn decode(&mut self) -> io::Result<Option<Message>> {
        let bytes = mem::take(&mut self.rest);
        let (mut left, mut replies) = (bytes.as_slice(), Vec::new());
        let message = self.reader.next(&mut left, &mut replies);
        self.rest = left.to_vec();
        if !replies.is_empty() {
            self.writer.push(replies.into());
        }
        message.map_err(io::Error::other)
    }

    /// Says goodbye, which the client need not take before it may try again.
    fn close(mut self) {
        self.writer.push(close_frame(None));
        let app = self.app.clone();
        app.tasks().spawn("goodbye", async move {
            goodbye(&mut self.io, &mut self.writer).await;
        });
    }
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Self {
        Self::Again
    }
}

impl From<CloseReason> for Failed {
    fn from(reason: CloseReason) -> Self {
        Self::Closed(reason)
    }
}
