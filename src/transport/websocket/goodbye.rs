//! How a websocket ends: what waits is written, and what the client still sends is read.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, Write};

use super::Io;
use super::socket::UNREAD;
use super::writer::Writer;

/// Writes what waits and ends the websocket, within a bound; false if the client did not take it.
pub(in crate::transport) async fn goodbye(io: &mut Io, writer: &mut Writer) -> bool {
    let end = poll_fn(|cx| poll_end(io, writer, cx));
    let taken = tokio::time::timeout(GOODBYE, end).await.is_ok();
    if !taken {
        tracing::debug!("a client did not take its goodbye");
    }
    taken
}

/// Reads on until the client has closed as well: closing a socket with unread bytes resets it, and the client might lose the
/// close frame.
fn poll_end(io: &mut Io, writer: &mut Writer, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    ready!(writer.poll_write(io, cx))?;
    ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
    loop {
        let mut memory = UNREAD;
        let mut buffer = ReadBuf::uninit(&mut memory);
        ready!(Pin::new(&mut *io).poll_read(cx, buffer.unfilled()))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
    }
}

/// Time that a client has to take what it is told last.
pub(in crate::transport) const GOODBYE: Duration = Duration::from_secs(2);
