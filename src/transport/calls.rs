//! The calls of one client that are not answered.

use std::fmt;
use std::mem;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

/// Resolves to the frame that answers a call, if the client asked for one.
pub(super) type Answer = BoxFuture<'static, Option<Bytes>>;

/// Mostly there is none, and mostly one alone: it needs no list.
#[derive(Default)]
pub(super) enum Calls {
    #[default]
    None,
    One(Answer),
    Many(FuturesUnordered<Answer>),
}

impl Calls {
    pub(super) fn push(&mut self, call: Answer) {
        *self = match mem::take(self) {
            Self::None => Self::One(call),
            Self::One(first) => Self::Many([first, call].into_iter().collect()),
            Self::Many(calls) => {
                calls.push(call);
                Self::Many(calls)
            }
        };
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(calls) => calls.len(),
        }
    }

    /// Resolves to the answer of a call that is done; `Pending` also when there is none.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let answer = match self {
            Self::None => return Poll::Pending,
            Self::One(call) => ready!(call.poll_unpin(cx)),
            Self::Many(calls) => ready!(calls.poll_next_unpin(cx)).flatten(),
        };
        if !matches!(self, Self::Many(calls) if !calls.is_empty()) {
            *self = Self::None;
        }
        Poll::Ready(answer)
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker_ref;
    use tokio::sync::oneshot::{self, Sender};

    use super::*;

    fn call() -> (Sender<u8>, Answer) {
        let (done, is_done) = oneshot::channel();
        let answer = async move { is_done.await.ok().map(|n| vec![n].into()) };
        (done, answer.boxed())
    }

    #[test]
    fn each_is_answered_once_in_whatever_order_they_are_done() {
        let mut cx = Context::from_waker(noop_waker_ref());
        let mut calls = Calls::default();
        let (waits, calls_on_their_way): (Vec<_>, Vec<_>) = (0..3).map(|_| call()).unzip();
        for call in calls_on_their_way {
            calls.push(call);
            assert!(calls.poll_answer(&mut cx).is_pending());
        }
        assert_eq!(calls.len(), 3);
        for (n, done) in (0..3).zip(waits).rev() {
            done.send(n).unwrap();
            let answer = Some(vec![n].into());
            assert_eq!(calls.poll_answer(&mut cx), Poll::Ready(answer));
            assert!(calls.poll_answer(&mut cx).is_pending());
            assert_eq!(calls.len(), usize::from(n));
        }
        let (done, alone) = call();
        calls.push(alone);
        drop(done);
        assert_eq!(calls.poll_answer(&mut cx), Poll::Ready(None));
        assert_eq!(calls.len(), 0);
    }
}
