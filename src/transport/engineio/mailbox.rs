//! Where the requests of a client that polls meet the task that serves it.
//!
//! A client has one poll and one post under way at most. A second one of either breaks the protocol, so a slot for each is all
//! the room that there is.

use std::sync::Arc;
use std::task::Context;

use futures_util::task::AtomicWaker;
use http::StatusCode;
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::connections::CloseReason;

/// One client's requests that wait for its task.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    slots: Mutex<Slots>,
    owner: AtomicWaker,
}

#[derive(Debug, Default)]
struct Slots {
    poll: Option<oneshot::Sender<Vec<u8>>>,
    post: Option<Post>,
    is_posting: bool,
    upgrade: Option<OnUpgrade>,
    is_upgrading: bool,
    /// What a request did that ends the session.
    fault: Option<CloseReason>,
    is_closed: bool,
}

/// The text of a post; its request is answered when the text is worked through.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) text: String,
    pub(super) done: oneshot::Sender<StatusCode>,
}

/// The one post that is under way. One that breaks off ends the session: nobody knows what it was to say.
#[derive(Debug)]
pub(super) struct Posting {
    mailbox: Arc<Mailbox>,
    fault: Option<CloseReason>,
}

impl Mailbox {
    /// Waits for a body; `None` when another poll does already. The sender is dropped when the session is over.
    pub(super) fn poll(&self) -> Option<oneshot::Receiver<Vec<u8>>> {
        let (sender, receiver) = oneshot::channel();
        self.visit(|slots| {
            if slots.poll.is_some() {
                slots.blame(CloseReason::Protocol);
                return None;
            }
            slots.poll = Some(sender).filter(|_| !slots.is_closed);
            Some(receiver)
        })
    }

    /// Begins a post; `None` when another one is under way.
    pub(super) fn post(self: &Arc<Self>) -> Option<Posting> {
        self.visit(|slots| {
            if slots.is_posting {
                slots.blame(CloseReason::Protocol);
                return None;
            }
            slots.is_posting = true;
            Some(Posting {
                mailbox: Arc::clone(self),
                fault: Some(CloseReason::Gone),
            })
        })
    }

    /// Leaves a websocket to be; false when another one is on its way.
    pub(super) fn upgrade(&self, upgrade: OnUpgrade) -> bool {
        self.visit(|slots| {
            let is_first = !slots.is_upgrading && !slots.is_closed;
            if is_first {
                (slots.upgrade, slots.is_upgrading) = (Some(upgrade), true);
            }
            is_first
        })
    }

    /// Wakes this task whenever a request comes.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.owner.register(cx.waker());
    }

    pub(super) fn fault(&self) -> Option<CloseReason> {
        self.slots.lock().fault
    }

    /// Tells whether a poll waits; `None` when its client went away, and with it whatever it was sent last.
    pub(super) fn is_polled(&self, cx: &mut Context<'_>) -> Option<bool> {
        match &mut self.slots.lock().poll {
            None => Some(false),
            Some(poll) => poll.poll_closed(cx).is_pending().then_some(true),
        }
    }

    /// Answers the poll that waits; false when there is none any more.
    pub(super) fn answer(&self, body: Vec<u8>) -> bool {
        let poll = self.slots.lock().poll.take();
        poll.is_some_and(|poll| poll.send(body).is_ok())
    }

    pub(super) fn take_post(&self) -> Option<Post> {
        self.slots.lock().post.take()
    }

    pub(super) fn take_upgrade(&self) -> Option<OnUpgrade> {
        self.slots.lock().upgrade.take()
    }

    /// Lets the client try another websocket.
    pub(super) fn end_upgrade(&self) {
        self.slots.lock().is_upgrading = false;
    }

    /// Turns away all that waits and whatever comes.
    pub(super) fn close(&self) {
        *self.slots.lock() = Slots {
            is_closed: true,
            ..Slots::default()
        };
    }

    fn visit<T>(&self, leave: impl FnOnce(&mut Slots) -> T) -> T {
        let left = leave(&mut self.slots.lock());
        self.owner.wake();
        left
    }
}

impl Slots {
    fn blame(&mut self, reason: CloseReason) {
        self.fault.get_or_insert(reason);
    }
}

impl Posting {
    /// Hands the text to the task; resolves to the answer, or `None` when the session is over before the text is worked through.
    pub(super) async fn deliver(mut self, text: String) -> Option<StatusCode> {
        self.fault = None;
        let (done, worked_through) = oneshot::channel();
        self.mailbox.visit(|slots| {
            slots.post = Some(Post { text, done }).filter(|_| !slots.is_closed);
        });
        worked_through.await.ok()
    }

    /// Ends the session.
    pub(super) fn fail(mut self, reason: CloseReason) {
        self.fault = Some(reason);
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        let fault = self.fault;
        self.mailbox.visit(|slots| {
            slots.is_posting = false;
            fault.into_iter().for_each(|reason| slots.blame(reason));
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker_ref;

    use super::*;

    fn is_polled(mailbox: &Mailbox) -> Option<bool> {
        mailbox.is_polled(&mut Context::from_waker(noop_waker_ref()))
    }

    #[tokio::test]
    async fn a_second_poll_or_post_is_turned_away_and_blamed() {
        let mailbox = Arc::new(Mailbox::default());
        let first = mailbox.poll().unwrap();
        assert!(mailbox.fault().is_none() && mailbox.poll().is_none());
        assert_eq!(mailbox.fault(), Some(CloseReason::Protocol));
        assert!(mailbox.answer(b"1".to_vec()));
        assert_eq!(first.await.unwrap(), b"1");
        let other = Arc::new(Mailbox::default());
        let _posting = other.post().unwrap();
        assert!(other.post().is_none());
        assert_eq!(other.fault(), Some(CloseReason::Protocol));
    }

    #[test]
    fn a_poll_or_post_that_breaks_off_is_noticed() {
        let mailbox = Arc::new(Mailbox::default());
        assert_eq!(is_polled(&mailbox), Some(false));
        let poll = mailbox.poll().unwrap();
        assert_eq!(is_polled(&mailbox), Some(true));
        drop(poll);
        assert_eq!(is_polled(&mailbox), None);
        assert!(!mailbox.answer(Vec::new()));
        drop(mailbox.post());
        assert_eq!(mailbox.fault(), Some(CloseReason::Gone));
    }

    #[tokio::test]
    async fn what_is_left_in_a_closed_mailbox_is_turned_away() {
        let mailbox = Arc::new(Mailbox::default());
        let (poll, post) = (mailbox.poll().unwrap(), mailbox.post().unwrap());
        mailbox.close();
        assert!(poll.await.is_err());
        assert!(post.deliver("40".to_owned()).await.is_none());
        assert!(mailbox.poll().unwrap().await.is_err());
    }
}
