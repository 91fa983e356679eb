//! Clause 5: from the moment that `connect` resolves, nothing is missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use crate::conformance::peer::{Peer, short};
use crate::conformance::trial::{GRACE, LANES, Trial, Verdict, numbered, require};
use crate::{Lane, SyncAdapter};

pub(in crate::conformance) async fn clause_05_what_follows_connect_is_heard(
    trial: &Trial,
) -> Verdict {
    let adapter = trial.adapter()?;
    let talker = trial.open(&adapter).await?;
    join_and_listen(trial, talker, &adapter, 10).await
}

/// An adapter that does not wait for the broker's confirmation gets away with it where the broker is near.
pub(in crate::conformance) async fn clause_05_what_follows_connect_is_heard_on_a_slow_line(
    trial: &Trial,
) -> Verdict {
    let (proxy, adapter) = trial.through_a_proxy()?;
    proxy.slow(Duration::from_millis(25));
    let talker = trial.open(&trial.adapter()?).await?;
    join_and_listen(trial, talker, &adapter, 3).await
}

pub(in crate::conformance) async fn clause_05_who_joins_a_busy_topic_misses_nothing(
    trial: &Trial,
) -> Verdict {
    let adapter = trial.adapter()?;
    let mut talker = trial.open(&adapter).await?;
    let topic = Busy::default();
    let (joined, said) = tokio::join!(topic.join(trial, &adapter), topic.talk(&mut talker));
    said?;
    let last = topic.begun.load(Ordering::SeqCst);
    for (first, mut peer) in joined? {
        let due: Vec<Bytes> = (first..last).map(Busy::payload).collect();
        peer.hears(&due).await?;
        peer.ear.linger(GRACE / 5).await;
        at_most_once(&peer)?;
    }
    Ok(())
}

/// Links are opened one after the other, and the first word after each is for the new one.
async fn join_and_listen(
    trial: &Trial,
    mut talker: Peer,
    adapter: &Arc<dyn SyncAdapter>,
    rounds: usize,
) -> Verdict {
    for round in 0..rounds {
        let mut peer = trial.open(adapter).await?;
        let mut due = Vec::new();
        for lane in LANES {
            let batch = numbered(&format!("{round} {lane:?} "), 3);
            talker.say(lane, &batch).await?;
            due.extend(batch);
        }
        peer.hears(&due).await?;
    }
    Ok(())
}

fn at_most_once(peer: &Peer) -> Verdict {
    for (_, payload) in &peer.ear.heard.messages {
        let n = peer.ear.heard.count(payload);
        require(n == 1, || format!("{} arrives {n} times", short(payload)))?;
    }
    Ok(())
}

/// A topic on which somebody talks without a pause while others join.
#[derive(Default)]
struct Busy {
    /// How many publishes were begun.
    begun: AtomicUsize,
    all_are_here: AtomicBool,
}

impl Busy {
    fn payload(number: usize) -> Bytes {
        Bytes::from(format!("busy {number}"))
    }

    async fn talk(&self, talker: &mut Peer) -> Verdict {
        let mut left = AFTERWARDS;
        while left > 0 {
            if self.all_are_here.load(Ordering::SeqCst) {
                left -= 1;
            }
            let number = self.begun.fetch_add(1, Ordering::SeqCst);
            talker.say(Lane::Events, &[Self::payload(number)]).await?;
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Returns each link with the first message that was published after its `connect` had resolved.
    async fn join(
        &self,
        trial: &Trial,
        adapter: &Arc<dyn SyncAdapter>,
    ) -> Verdict<Vec<(usize, Peer)>> {
        let joined = self.join_each(trial, adapter).await;
        // Also after a failure: the talker waits for it.
        self.all_are_here.store(true, Ordering::SeqCst);
        joined
    }

    async fn join_each(
        &self,
        trial: &Trial,
        adapter: &Arc<dyn SyncAdapter>,
    ) -> Verdict<Vec<(usize, Peer)>> {
        let mut joined = Vec::new();
        for _ in 0..5 {
            let peer = trial.open(adapter).await?;
            joined.push((self.begun.load(Ordering::SeqCst), peer));
            sleep(Duration::from_millis(10)).await;
        }
        Ok(joined)
    }
}

/// How much is said after the last one joined.
const AFTERWARDS: usize = 20;
