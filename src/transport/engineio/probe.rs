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

use crate::app::App;
use crate::transport::websocket::{Io, Reader, TextFrame, UNREAD, Writer, close_frame, goodbye};

/// A websocket and what of it is read and not yet looked at.
pub(super) struct Probe {
    pub(super) io: Io,
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) rest: Vec<u8>,
}

impl Probe {
    /// Answers the client's probe; `None` when there is none.
    pub(super) async fn begin(app: App, upgrade: OnUpgrade) -> Option<Self> {
        let (io, read) = Io::new(upgrade.await.ok()?);
        let mut probe = Self {
            io,
            reader: Reader::new(app.config().max_message),
            writer: Writer::default(),
            rest: read.into(),
        };
        let has_probe = probe.hears("2probe").await;
        if has_probe {
            probe.writer.push(TextFrame::of("3probe"));
            let written = poll_fn(|cx| probe.writer.poll_write(&mut probe.io, cx)).await;
            return written.is_ok().then_some(probe);
        }
        probe.close(&app);
        None
    }

    /// Waits for the client to change over; `None` when it does not.
    pub(super) async fn confirmed(mut self, app: App) -> Option<Self> {
        if self.hears("5").await {
            return Some(self);
        }
        self.close(&app);
        None
    }

    /// Waits for the next message and tells whether it is that packet.
    async fn hears(&mut self, packet: &str) -> bool {
        loop {
            match poll_fn(|cx| self.poll_message(cx)).await {
                Ok(Message::Text(text)) => return text.as_str() == packet,
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                _ => return false,
            }
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Message>> {
        loop {
            ready!(self.writer.poll_write(&mut self.io, cx))?;
            if let Some(message) = self.decode()? {
                return Poll::Ready(Ok(message));
            }
            let mut memory = UNREAD;
            let mut buffer = ReadBuf::uninit(&mut memory);
            ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.rest.extend_from_slice(buffer.filled());
        }
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
    fn close(mut self, app: &App) {
        self.writer.push(close_frame(None));
        app.tasks().spawn("goodbye", async move {
            goodbye(&mut self.io, &mut self.writer).await;
        });
    }
}
