//! One connection of the client: takes bytes, checks that each frame is the one that must come next.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::frame::{Frame, masked};

/// One connection that hears events.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: TcpStream,
    /// The beginning of a frame whose end did not come yet.
    tail: Vec<u8>,
    next: u64,
    is_closed: bool,
}

/// What the client knows of events: how their frames look, and how many connections lack each.
pub(crate) trait Expect {
    /// Returns the frame of an event that is on its way; `None` when there is no such event.
    fn frame(&self, seq: u64) -> Option<&[u8]>;

    /// Notes that one more connection has the event.
    fn received(&mut self, seq: u64);
}

impl Receiver {
    pub(crate) fn new(stream: TcpStream, tail: Vec<u8>) -> Self {
        Self {
            stream,
            tail,
            next: 0,
            is_closed: false,
        }
    }

    /// Returns the number of the event that must come next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Waits for bytes and checks the frames in them.
    pub(crate) async fn receive<E: Expect>(
        &mut self,
        buffer: &RefCell<Vec<u8>>,
        expect: &RefCell<E>,
    ) -> Outcome<()> {
        poll_fn(|cx| {
            let buffer = &mut *buffer.borrow_mut();
            let n = ready!(self.poll_read(cx, buffer))?;
            Poll::Ready(self.take_in(&buffer[..n], &mut *expect.borrow_mut()))
        })
        .await
    }

    /// Reads behind the tail; the buffer is shared, as a thousand large ones would not stay in the cache.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Outcome<usize>> {
        let begun = self.tail.len();
        let mut read = ReadBuf::new(&mut buffer[begun..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        let n = read.filled().len();
        self.is_closed |= n == 0;
        buffer[..begun].copy_from_slice(&self.tail);
        self.tail.clear();
        Poll::Ready(Ok(begun + n))
    }

    fn take_in(&mut self, mut bytes: &[u8], expect: &mut impl Expect) -> Outcome<()> {
        loop {
            let event = expect
                .frame(self.next)
                .and_then(|frame| bytes.strip_prefix(frame));
            if let Some(rest) = event {
                expect.received(self.next);
                self.next += 1;
                bytes = rest;
            } else if let Some((frame, rest)) = Frame::split(bytes) {
                self.other(&frame)?;
                bytes = rest;
            } else {
                self.tail.extend(bytes);
                return Ok(());
            }
        }
    }

    /// Takes a frame that is not the next event: a ping, a close, or a fault.
    fn other(&mut self, frame: &Frame<'_>) -> Outcome<()> {
        match (frame.opcode, frame.payload) {
            (TEXT, b"2") => {
                self.stream.try_write(&masked("3"))?;
            }
            (CLOSE, _) => self.is_closed = true,
            _ => {
                let expected = self.next;
                let found = frame.describe();
                return Err(format!("instead of event {expected} came {found}").into());
            }
        }
        Ok(())
    }
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
