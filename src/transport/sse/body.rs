//! The body of the answer, fed by the task of its connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// Takes batches of frames for a body; one may wait.
pub(super) type Sender = mpsc::Sender<Vec<Bytes>>;

/// A body of frames, each as it is shared with other connections.
#[derive(Debug)]
pub(super) struct Stream {
    batches: mpsc::Receiver<Vec<Bytes>>,
    batch: vec::IntoIter<Bytes>,
}

/// Makes a body and what feeds it. The body ends with its sender, and the other way round.
pub(super) fn pipe() -> (Sender, Stream) {
    let (sender, batches) = mpsc::channel(1);
    let batch = Vec::new().into_iter();
    (sender, Stream { batches, batch })
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(frame) = self.batch.next() {
                return Poll::Ready(Some(Ok(Frame::data(frame))));
            }
            match ready!(self.batches.poll_recv(cx)) {
                Some(batch) => self.batch = batch.into_iter(),
                None => return Poll::Ready(None),
            }
        }
    }
}
