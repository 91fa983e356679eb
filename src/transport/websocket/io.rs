//! The socket below a websocket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::OwnedSemaphorePermit;

use crate::connections::CloseReason;
use crate::transport::caller::Caller;
use crate::transport::serve::ClientIo;

/// A client's socket, of which the connection's outbox may have the sending half while there is nothing to write.
#[derive(Debug)]
pub(in crate::transport) enum Io {
    /// One that our own server accepted, or `axum::serve`.
    Tcp {
        receiver: TokioIo<OwnedReadHalf>,
        sender: Option<OwnedWriteHalf>,
        _slot: Option<OwnedSemaphorePermit>,
    },
    /// What a host's server has: it may be encrypted, or no socket at all.
    Other(Upgraded),
}

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
            Err(other) => (Self::Other(other), Bytes::new()),
        }
    }

    fn tcp(stream: TcpStream, slot: Option<OwnedSemaphorePermit>) -> Self {
        let (receiver, sender) = stream.into_split();
        Self::Tcp {
            receiver: TokioIo::new(receiver),
            sender: Some(sender),
            _slot: slot,
        }
    }

    /// Returns the place of the sending half, for those who lend it.
    pub(super) fn sender_mut(&mut self) -> Option<&mut Option<OwnedWriteHalf>> {
        match self {
            Self::Tcp { sender, .. } => Some(sender),
            Self::Other(_) => None,
        }
    }

    /// Takes the sending half back if it is lent, and into `frames` what was begun with it.
    pub(super) fn reclaim(&mut self, caller: &Caller, frames: &mut Vec<Bytes>) {
        if let Some(sender @ None) = self.sender_mut() {
            *sender = caller.reclaim(frames);
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
        match &mut *self {
            Self::Tcp { receiver, .. } => Pin::new(receiver).poll_read(cx, buffer),
            Self::Other(other) => Pin::new(other).poll_read(cx, buffer),
        }
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp { sender, .. } => own(sender)?.poll_write(cx, bytes),
            Self::Other(other) => Pin::new(other).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp { sender, .. } => own(sender)?.poll_write_vectored(cx, slices),
            Self::Other(other) => Pin::new(other).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp { .. } => true,
            Self::Other(other) => other.is_write_vectored(),
        }
    }

    /// TCP holds nothing back.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp { .. } => Poll::Ready(Ok(())),
            Self::Other(other) => Pin::new(other).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp { sender, .. } => own(sender)?.poll_shutdown(cx),
            Self::Other(other) => Pin::new(other).poll_shutdown(cx),
        }
    }
}

fn own(sender: &mut Option<OwnedWriteHalf>) -> io::Result<Pin<&mut OwnedWriteHalf>> {
    let lent = || io::Error::other("the socket is lent to the outbox");
    sender.as_mut().map(Pin::new).ok_or_else(lent)
}
