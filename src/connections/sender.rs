//! The sending half of a client's socket.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::task::noop_waker_ref;
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;
use tokio_util::either::Either;

/// What an outbox writes into: a plain socket, or what a host's server has, as TLS.
pub(crate) struct Sender(Io);

type Io = Either<OwnedWriteHalf, Pin<Box<dyn AsyncWrite + Send>>>;

impl Sender {
    pub(crate) fn tcp(half: OwnedWriteHalf) -> Self {
        Self(Either::Left(half))
    }

    pub(crate) fn other(half: impl AsyncWrite + Send + 'static) -> Self {
        Self(Either::Right(Box::pin(half)))
    }

    /// Returns what its owner writes into.
    pub(crate) fn io(&mut self) -> Pin<&mut impl AsyncWrite> {
        Pin::new(&mut self.0)
    }

    /// Resets a plain socket when it is closed.
    pub(crate) fn give_up(&self) {
        if let Either::Left(half) = &self.0 {
            // The kernel keeps what it has then.
            let _ = half.as_ref().set_zero_linger();
        }
    }

    /// Returns how many bytes were taken at once; `None` when there is no room, or something is wrong, which its owner will see.
    pub(super) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> Option<usize> {
        let written = match (&mut self.0, slices) {
            // A plain write is cheaper in the kernel than a vectored one of one piece.
            (Either::Left(half), [slice]) => half.try_write(slice),
            (Either::Left(half), slices) => half.try_write_vectored(slices),
            (Either::Right(half), slices) => {
                at_once(|cx| half.as_mut().poll_write_vectored(cx, slices))
            }
        };
        written.ok().filter(|n| *n > 0)
    }

    /// Returns whether all that was written is on its way.
    pub(super) fn try_flush(&mut self) -> bool {
        match &mut self.0 {
            Either::Left(_) => true,
            Either::Right(half) => at_once(|cx| half.as_mut().poll_flush(cx)).is_ok(),
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// Wakes nobody when there is room again: its owner is woken, and asks anew.
fn at_once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<T> {
    match poll(&mut Context::from_waker(noop_waker_ref())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
