//! The queue between the sequencer and this node's own clients.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::event::Event;
use crate::tasks;

/// Events in the order in which this node's own clients are to hear them.
///
/// The queue itself never refuses: whoever feeds it waits for [`Dispatch::room`] first (calls before they answer, sync-in
/// before it reads on), which bounds it to [`Dispatch::LIMIT`] events plus what those waiting hold.
#[derive(Clone)]
pub(crate) struct Dispatch(Arc<Inner>);

struct Inner {
    queue: Mutex<Queue>,
    filled: Notify,
    heard: watch::Sender<u64>,
    peak: AtomicU64,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    pushed: u64,
}

impl Dispatch {
    /// How many events may wait before those who feed the queue have to.
    pub(crate) const LIMIT: u64 = 16_384;

    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            queue: Mutex::default(),
            filled: Notify::new(),
            heard: watch::Sender::new(0),
            peak: AtomicU64::new(0),
        }))
    }

    /// Appends an event and returns its position for [`Dispatch::heard`].
    pub(crate) fn push(&self, event: Event) -> u64 {
        let mut queue = self.0.queue.lock();
        queue.events.push_back(event);
        queue.pushed += 1;
        self.0
            .peak
            .fetch_max(queue.events.len() as u64, Ordering::Relaxed);
        self.0.filled.notify_one();
        queue.pushed
    }

    /// Waits until the event at a position went to its listeners and clients.
    pub(crate) async fn heard(&self, position: u64) {
        let _ = self
            .0
            .heard
            .subscribe()
            .wait_for(|heard| *heard >= position)
            .await;
    }

    /// Tells whether the queue has room.
    pub(crate) fn has_room(&self) -> bool {
        self.0.queue.lock().events.len() as u64 <= Self::LIMIT
    }

    /// Waits until the queue has room.
    pub(crate) async fn room(&self) {
        let pushed = self.0.queue.lock().pushed;
        self.heard(pushed.saturating_sub(Self::LIMIT)).await;
    }

    /// Hands what waits to `hear`, in order, for as long as it is polled.
    pub(crate) async fn run<F: Future<Output = ()>>(&self, hear: impl Fn(Vec<Event>) -> F) {
        loop {
            self.0.filled.notified().await;
            while let Some(batch) = self.next_batch() {
                let (n, began) = (batch.len() as u64, Instant::now());
                hear(batch).await;
                self.0.heard.send_modify(|heard| *heard += n);
                rest(n, began.elapsed()).await;
                tasks::give_way().await;
            }
        }
    }

    /// Returns the largest number of events that ever waited.
    pub(crate) fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// Takes a bounded piece, so that one long queue does not keep the executor from other work.
    fn next_batch(&self) -> Option<Vec<Event>> {
        let mut queue = self.0.queue.lock();
        let n = queue.events.len().min(BATCH);
        (n > 0).then(|| queue.events.drain(..n).collect())
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("peak", &self.peak())
            .finish_non_exhaustive()
    }
}

/// Lets events gather under load: a few milliseconds for clients, and a system call less for each of them.
///
/// Not when an event came alone, and not when the clients were so few that they had it in no time.
async fn rest(n: u64, took: Duration) {
    if n > 1 && took >= LEAST_REST {
        tokio::time::sleep(took.min(LONGEST_REST)).await;
    }
}

const BATCH: usize = 64;
/// What timers can tell from nothing.
const LEAST_REST: Duration = Duration::from_millis(1);
const LONGEST_REST: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::event::{Inner, Json, Origin};

    fn event() -> Event {
        let data = Json::from(serde_json::Value::Null);
        Event::new(Inner {
            place: 0,
            path: "p".into(),
            name: "n".into(),
            public: data.clone(),
            data,
            context: None,
            origin: Origin::Local,
            happened: None,
            trace: None,
        })
    }

    /// Hears events for 10 ms, each batch in so many milliseconds; returns when the batches began and how many they were.
    async fn heard(dispatch: &Dispatch, millis: u64) -> Vec<(u64, usize)> {
        let began = Instant::now();
        let batches = Mutex::new(Vec::new());
        let hearing = dispatch.run(async |batch| {
            let at = u64::try_from(began.elapsed().as_millis()).unwrap();
            batches.lock().push((at, batch.len()));
            // What comes meanwhile.
            if batches.lock().len() < 3 {
                dispatch.push(event());
            }
            sleep(Duration::from_millis(millis)).await;
        });
        let _ = tokio::time::timeout(Duration::from_millis(10), hearing).await;
        batches.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn under_load_events_gather_and_one_that_comes_alone_does_not_wait() {
        for (millis, expected) in [(3, [(0, 2), (5, 1), (8, 1)]), (0, [(0, 2), (0, 1), (0, 1)])] {
            let dispatch = Dispatch::new();
            let positions = [dispatch.push(event()), dispatch.push(event())];
            assert_eq!(positions, [1, 2]);
            assert_eq!(heard(&dispatch, millis).await, expected);
        }
    }
}
