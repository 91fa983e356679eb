//! A body that goes to its client, and whose bytes are kept beside it.

use std::convert::identity;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures_util::task::noop_waker_ref;
use hyper::body::{Frame, SizeHint};

use super::counters::Fate;
use super::watch::Pending;

/// The body of a response that becomes an event when it has ended.
#[derive(Debug)]
pub(super) struct ObservedBody {
    inner: Body,
    /// `None` once it is decided what becomes of the response.
    pending: Option<Pending>,
    kept: Vec<Bytes>,
    n_kept: usize,
}

type Polled = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

impl ObservedBody {
    pub(super) fn new(inner: Body, pending: Pending) -> Self {
        let mut body = Self {
            inner,
            pending: Some(pending),
            kept: Vec::new(),
            n_kept: 0,
        };
        body.end_if_over();
        body
    }

    /// Keeps what a poll brought.
    fn note(&mut self, polled: &Polled) {
        match polled {
            Poll::Pending => {}
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Err(_))) => self.lose(Fate::CutOff),
            Poll::Ready(Some(Ok(frame))) => {
                frame
                    .data_ref()
                    .into_iter()
                    .for_each(|data| self.keep(data));
                self.end_if_over();
            }
        }
    }

    fn keep(&mut self, data: &Bytes) {
        let Some(pending) = &self.pending else {
            return;
        };
        self.n_kept = self.n_kept.saturating_add(data.len());
        if self.n_kept > pending.max_body() {
            return self.lose(Fate::TooLarge);
        }
        self.kept.push(data.clone());
    }

    /// Servers do not ask for more once a body says that it is over.
    fn end_if_over(&mut self) {
        if self.inner.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.ended(joined(mem::take(&mut self.kept)));
        }
    }

    fn lose(&mut self, fate: Fate) {
        self.kept = Vec::new();
        if let Some(pending) = self.pending.take() {
            pending.lost(fate);
        }
    }

    /// Reads what is there without waiting, for an event that must not depend on whether the client reads to the end.
    fn finish(&mut self) {
        let mut cx = Context::from_waker(noop_waker_ref());
        for _ in 0..MAX_FRAMES {
            let polled = Pin::new(&mut self.inner).poll_frame(&mut cx);
            self.note(&polled);
            if polled.is_pending() || self.pending.is_none() {
                break;
            }
        }
        self.lose(Fate::CutOff);
    }
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ObservedBody {
    fn drop(&mut self) {
        if self.pending.is_some() && !std::thread::panicking() {
            // The body is the host's own code.
            let finished = catch_unwind(AssertUnwindSafe(|| self.finish()));
            finished.map_or_else(|_| self.lose(Fate::CutOff), identity);
        }
    }
}

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.remove(0);
    }
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces
        .iter()
        .for_each(|piece| joined.extend_from_slice(piece));
    joined.freeze()
}

/// A body that has more than this at once is no answer but a stream.
const MAX_FRAMES: usize = 4_096;
