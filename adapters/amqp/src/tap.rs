use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lapin::message::{Delivery, DeliveryResult};
use lapin::options::BasicAckOptions;
use lapin::{Acker, ConsumerDelegate};
use wingbeat_adapter::InboxSender;

use crate::error;
use crate::topics::Topics;

/// The end of a subscription that the library owns: it feeds the inbox, and going away it says that the link is over.
///
/// The library calls it on the thread that reads the connection, message by message, and spawns what it returns.
pub(crate) struct Tap {
    topics: Arc<Topics>,
    inbox: InboxSender,
    acks: Arc<Acks>,
}

/// What the broker was not told yet that it has arrived.
#[derive(Default)]
struct Acks(Mutex<Due>);

#[derive(Default)]
struct Due {
    /// Acknowledges everything up to it.
    newest: Option<Acker>,
    messages: usize,
    bytes: usize,
    is_running: bool,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Tap {
    pub(crate) fn new(topics: Arc<Topics>, inbox: InboxSender) -> Self {
        Self {
            topics,
            inbox,
            acks: Arc::default(),
        }
    }

    fn take(&self, delivery: Delivery) -> Task {
        let length = delivery.data.len();
        match self.topics.lane_of(&delivery.exchange) {
            Some(lane) => self.inbox.send(lane, Bytes::from(delivery.data)),
            // Somebody put it into our queue by hand; whatever it is, it was not delivered, and that is said.
            None => self.inbox.lost(1),
        }
        if self.acks.note(delivery.acker, length) {
            Box::pin(Arc::clone(&self.acks).run())
        } else {
            Box::pin(ready(()))
        }
    }

    fn gone(&self, context: &str) {
        self.inbox.end(Some(error::unavailable(context)));
    }
}

impl ConsumerDelegate for Tap {
    fn on_new_delivery(&self, delivery: DeliveryResult) -> Task {
        match delivery {
            Ok(Some(delivery)) => return self.take(delivery),
            Ok(None) => self.gone("RabbitMQ cancelled the subscription: its queue is gone"),
            Err(error) => self.inbox.end(Some(error::line_failed(error))),
        }
        Box::pin(ready(()))
    }
}

/// A connection that the broker closes takes the tap away without a word; its drop is the one sign that always comes.
impl Drop for Tap {
    fn drop(&mut self) {
        self.gone("the connection to RabbitMQ is gone");
    }
}

impl Acks {
    /// Returns whether [`run`](Self::run) is to be started.
    fn note(&self, newest: Acker, length: usize) -> bool {
        let mut due = self.lock();
        due.newest = Some(newest);
        due.messages += 1;
        due.bytes += length;
        let is_to_run = due.is_enough() && !due.is_running;
        due.is_running |= is_to_run;
        is_to_run
    }

    /// One after the other: the library would send two that are under way in any order, and the broker closes the channel
    /// on whoever acknowledges a message again.
    async fn run(self: Arc<Self>) {
        let up_to_it = BasicAckOptions { multiple: true };
        while let Some(newest) = self.next() {
            // An error is of the channel, which ends the link.
            if newest.ack(up_to_it).await.is_err() {
                return;
            }
        }
    }

    fn next(&self) -> Option<Acker> {
        let mut due = self.lock();
        due.is_running = due.is_enough();
        if !due.is_running {
            return None;
        }
        (due.messages, due.bytes) = (0, 0);
        due.newest.take()
    }

    fn lock(&self) -> MutexGuard<'_, Due> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Due {
    fn is_enough(&self) -> bool {
        self.messages >= BATCH || self.bytes >= BATCH_BYTES
    }
}

/// Well below what may be under way.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use wingbeat_adapter::{InboxLimits, LinkOptions, inbox};

    use super::*;

    fn acker(tag: u64) -> Acker {
        Delivery::mock(tag, "k".into(), "".into(), false, Vec::new()).acker
    }

    #[test]
    fn acknowledgements_wait_for_a_batch_and_only_one_is_under_way() {
        let acks = Acks::default();
        let mut starts = (1..=200).map(|tag| acks.note(acker(tag), 10));
        assert_eq!(starts.position(|is_to_run| is_to_run), Some(BATCH - 1));
        assert!(starts.all(|is_to_run| !is_to_run));
        assert_eq!(acks.next(), Some(acker(200)));
        assert_eq!(acks.next(), None);
        assert!(acks.note(acker(201), BATCH_BYTES));
    }

    #[test]
    fn what_is_in_the_queue_by_hand_is_told_as_lost() {
        let topics = Topics::new(&LinkOptions::new("k"), &"0.0").unwrap();
        let (sender, mut inbox) = inbox(InboxLimits::default());
        let tap = Tap::new(Arc::new(topics), sender);
        for exchange in ["k.wb", ""] {
            let delivery = Delivery::mock(1, exchange.into(), "".into(), false, b"x".to_vec());
            drop(tap.on_new_delivery(Ok(Some(delivery))));
        }
        drop(tap);
        let mut seen = Vec::new();
        while let Some(Some(item)) =
            futures_util::FutureExt::now_or_never(futures_util::StreamExt::next(&mut inbox))
        {
            seen.push(format!("{item:?}"));
        }
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(
            seen[0].contains("Control") && seen[1].contains("Lost(1)"),
            "{seen:?}"
        );
        assert!(seen[2].contains("is gone"), "{seen:?}");
    }
}
