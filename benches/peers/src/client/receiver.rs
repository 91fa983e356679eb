//! One connection of the client: takes bytes, checks that each event is the one that must come next.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::chunks::Chunks;
use super::flight::{Flight, Script};
use super::wire::Protocol;
use crate::Outcome;
use crate::frame::{Frame, masked};
use crate::shape::Audience;

/// One connection that hears events.
#[derive(Debug)]
pub(super) struct Receiver {
    stream: TcpStream,
    /// Where it is in the chunks of server-sent events; others have none.
    chunks: Option<Chunks>,
    /// The beginning of an event whose end did not come yet.
    tail: Vec<u8>,
    /// The number of the event that must come next, and how far the one behind that is.
    next: u64,
    step: u64,
    variant: usize,
    is_closed: bool,
}

impl Receiver {
    /// The connection with number `at`; the bytes are what came behind the handshake.
    pub(super) fn new(
        script: &Script,
        at: usize,
        (stream, mut received): (TcpStream, Vec<u8>),
    ) -> Outcome<Self> {
        let audience = script.shape.audience;
        let channel = audience.channel_of(at);
        let (next, step) = match audience {
            Audience::OneOf(channels) => (channel as u64, channels as u64),
            _ => (0, 1),
        };
        let mut chunks = (script.protocol == Protocol::Events).then(Chunks::new);
        if let Some(chunks) = &mut chunks {
            let n = chunks.decode(&mut received)?;
            received.truncate(n);
        }
        Ok(Self {
            stream,
            chunks,
            tail: received,
            next,
            step,
            variant: audience.variant_of(channel),
            is_closed: false,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Waits for bytes and checks the events in them.
    pub(super) async fn receive(
        &mut self,
        buffer: &RefCell<Vec<u8>>,
        flight: &RefCell<Flight>,
    ) -> Outcome<()> {
        poll_fn(|cx| {
            let buffer = &mut *buffer.borrow_mut();
            let n = ready!(self.poll_read(cx, buffer))?;
            Poll::Ready(self.take_in(&buffer[..n], &mut flight.borrow_mut()))
        })
        .await
    }

    /// Reads behind the tail; the buffer is shared, as a thousand large ones would not stay in the cache.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Outcome<usize>> {
        let begun = self.tail.len();
        let mut read = ReadBuf::new(&mut buffer[begun..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        let mut n = read.filled().len();
        self.is_closed |= n == 0;
        if let Some(chunks) = &mut self.chunks {
            n = chunks.decode(&mut buffer[begun..begun + n])?;
            self.is_closed |= chunks.is_over();
        }
        buffer[..begun].copy_from_slice(&self.tail);
        self.tail.clear();
        Poll::Ready(Ok(begun + n))
    }

    fn take_in(&mut self, mut bytes: &[u8], flight: &mut Flight) -> Outcome<()> {
        loop {
            let event = flight
                .frame(self.next, self.variant)
                .and_then(|frame| bytes.strip_prefix(frame));
            if let Some(rest) = event {
                flight.received(self.next);
                self.next += self.step;
                bytes = rest;
            } else if let Some(rest) = self.other(bytes)? {
                bytes = rest;
            } else {
                self.tail.extend(bytes);
                return Ok(());
            }
        }
    }

    /// Takes what is not the next event: a ping, a close, or a fault. Returns what is behind it; `None` when it is not complete.
    fn other<'a>(&mut self, bytes: &'a [u8]) -> Outcome<Option<&'a [u8]>> {
        if self.chunks.is_some() {
            return self.other_block(bytes);
        }
        let Some((frame, rest)) = Frame::split(bytes) else {
            return Ok(None);
        };
        match (frame.opcode, frame.payload) {
            (TEXT, b"2") => self.answer(&masked("3"))?,
            (PING, payload) => self.answer(&pong(payload))?,
            (CLOSE, _) => self.is_closed = true,
            _ => return Err(self.fault(&frame.describe())),
        }
        Ok(Some(rest))
    }

    /// The same for server-sent events.
    fn other_block<'a>(&self, bytes: &'a [u8]) -> Outcome<Option<&'a [u8]>> {
        let Some(end) = bytes.windows(2).position(|window| window == b"\n\n") else {
            return Ok(None);
        };
        let (block, rest) = bytes.split_at(end + 2);
        if block.starts_with(b":") || block.starts_with(b"retry:") {
            return Ok(Some(rest));
        }
        let start: String = String::from_utf8_lossy(block).chars().take(60).collect();
        Err(self.fault(&start))
    }

    fn fault(&self, found: &str) -> Box<dyn std::error::Error> {
        format!("instead of event {} came {found}", self.next).into()
    }

    fn answer(&self, frame: &[u8]) -> Outcome<()> {
        self.stream.try_write(frame)?;
        Ok(())
    }
}

/// Returns the masked answer to a ping; the key of zeros leaves the payload as it is.
fn pong(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x8a, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend(payload);
    frame
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
