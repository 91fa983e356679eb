//! The socket below a websocket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade;
use tokio::io::{AsyncWrite, ReadHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::either::Either;

use crate::connections::{CloseReason, Sender};
use crate::transport::caller::Caller;
use crate::transport::serve::ClientIo;

/// A client's socket, of which the connection's outbox may have the sending half while there is nothing to write.
#[derive(Debug)]
pub(in crate::transport) struct Io {
    receiver: TokioIo<Receiver>,
    sender: Option<Sender>,
    _slot: Option<OwnedSemaphorePermit>,
}

/// A plain socket, or what a host's server has: it may be encrypted, or no socket at all.
type Receiver = Either<OwnedReadHalf, ReadHalf<TokioIo<Upgraded>>>;

impl Io {
    /// Takes over the connection on which there was HTTP, with what of the websocket was read already.
    pub(in crate::transport) fn new(upgraded: Upgraded) -> (Self, Bytes) {
        let upgraded = match upgraded.downcast::<ClientIo>() {
            Ok(parts) => {
                let (stream, slot) = parts.io.into_parts();
                return (Self::tcp(stream, Some(slot)), parts.read_buf);
            }
            Err(other) => other,
        };
        match upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => (Self::tcp(parts.io.into_inner(), None), parts.read_buf),
            Err(other) => (Self::other(other), Bytes::new()),
        }
    }

    fn tcp(stream: TcpStream, slot: Option<OwnedSemaphorePermit>) -> Self {
        let (receiver, sender) = stream.into_split();
        Self {
            receiver: TokioIo::new(Either::Left(receiver)),
            sender: Some(Sender::tcp(sender)),
            _slot: slot,
        }
    }

    fn other(upgraded: Upgraded) -> Self {
        let (receiver, sender) = tokio::io::split(TokioIo::new(upgraded));
        Self {
            receiver: TokioIo::new(Either::Right(receiver)),
            sender: Some(Sender::other(sender)),
            _slot: None,
        }
    }

    /// Returns the place of the sending half, for those who lend it.
    pub(super) fn sender_mut(&mut self) -> &mut Option<Sender> {
        &mut self.sender
    }

    /// Takes the sending half back if it is lent, and into `frames` what was begun with it.
    pub(super) fn reclaim(&mut self, caller: &Caller, frames: &mut Vec<Bytes>) {
        if self.sender.is_none() {
            self.sender = caller.reclaim(frames);
        }
    }

    /// Lets the kernel throw away what the client did not take: it would keep megabytes of a client that does not read, for as
    /// long as that lives.
    pub(super) fn give_up(&self) {
        if let Some(sender) = &self.sender {
            sender.give_up();
        }
    }

    /// Ends the connection of the client, as [`Caller::end`], and has the sending half back.
    pub(super) fn end(&mut self, caller: &mut Caller, reason: CloseReason) -> Vec<Bytes> {
        let mut begun = Vec::new();
        self.reclaim(caller, &mut begun);
        begun.extend(caller.end(reason));
        begun
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.receiver).poll_read(cx, buffer)
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        own(&mut self.sender)?.io().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sender = own(&mut self.sender)?.io();
        sender.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        own(&mut self.sender)?.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        own(&mut self.sender)?.io().poll_shutdown(cx)
    }
}

fn own(sender: &mut Option<Sender>) -> io::Result<&mut Sender> {
    let lent = || io::Error::other("the socket is lent to the outbox");
    sender.as_mut().ok_or_else(lent)
}
