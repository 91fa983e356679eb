use std::sync::Arc;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use tokio::task::JoinSet;
use wingbeat_adapter::{InboxSender, Lane};

use crate::signs::Signs;

/// The subscriptions of a link, which the library fills up to a number of messages, whatever their size.
pub(crate) struct Pump {
    pub(crate) events: Subscriber,
    pub(crate) control: Subscriber,
    pub(crate) inbox: InboxSender,
    pub(crate) signs: Arc<Signs>,
}

impl Pump {
    /// Moves what arrives into the inbox, which also bounds bytes, in a task that goes when the link does.
    pub(crate) fn start(self) {
        let inbox = self.inbox.clone();
        let mut owner = JoinSet::new();
        owner.spawn(self.run());
        inbox.hold(owner);
    }

    async fn run(mut self) {
        loop {
            tokio::select! {
                Some(message) = self.events.next() => self.take(Lane::Events, message),
                Some(message) = self.control.next() => self.take(Lane::Control, message),
                // The library's connection task is gone, and what it had read has been moved.
                else => break,
            }
        }
        self.inbox.end(Some(self.signs.loss()));
    }

    fn take(&self, lane: Lane, message: Message) {
        self.inbox.send(lane, message.payload);
    }
}
