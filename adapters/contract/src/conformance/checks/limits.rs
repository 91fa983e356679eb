//! Clause 11: what had to be dropped is counted.

use std::collections::HashSet;

use bytes::Bytes;

use crate::Lane;
use crate::conformance::peer::{Ear, Heard, Peer};
use crate::conformance::trial::{GRACE, Trial, Verdict, fail, require};

/// The link of a reader that has stopped either tells how many messages it dropped, at their place, or ends.
pub(in crate::conformance) async fn clause_11_a_reader_that_stops_is_told_what_it_lost(
    trial: &Trial,
) -> Verdict {
    let [mut sender, mut pace, mut idle] = trial.peers().await?;
    idle.ear.linger(GRACE).await;
    let flood = flood(trial);
    // Nobody is to drop anything but the link that is not read, so the others set the pace.
    let batch = (FLOOD_BATCH / flood[0].len()).clamp(1, 500);
    for batch in flood.chunks(batch) {
        sender.say(Lane::Events, batch).await?;
        keep_up(trial, &mut pace.ear, batch.len()).await?;
        sender.ear.skip();
    }
    accounts_for_all(trial, &mut sender, &mut idle, flood.len() as u64).await
}

/// A quarter more than may wait, by number or by bytes, whichever is quicker to send: a small message is work for about
/// a kibibyte.
fn flood(trial: &Trial) -> Vec<Bytes> {
    let waiting = trial.facts.waiting;
    let (waiting, length) = if waiting.messages <= waiting.bytes / 1024 {
        (waiting.messages, 0)
    } else {
        let length = trial.facts.payload_limit.min(64 * 1024);
        (waiting.bytes / length, length)
    };
    let count = waiting / 4 * 5 + 5;
    let padded = |n: usize| {
        let mut payload = format!("{n:<8}").into_bytes();
        payload.resize(length.max(8), b'x');
        Bytes::from(payload)
    };
    (0..count).map(padded).collect()
}

async fn keep_up(trial: &Trial, ear: &mut Ear, count: usize) -> Verdict {
    let mut tally = Tally::default();
    let patience = trial.facts.patience;
    ear.until(patience, |heard| tally.count(heard) >= count)
        .await;
    require(tally.count(&ear.heard) >= count, || {
        let heard = &ear.heard;
        format!("a reader that keeps up misses messages; heard were {heard}")
    })?;
    ear.heard.messages.clear();
    Ok(())
}

/// Counts different messages, because hearing one twice is another clause.
#[derive(Default)]
struct Tally {
    seen: usize,
    numbers: HashSet<Bytes>,
}

impl Tally {
    fn count(&mut self, heard: &Heard) -> usize {
        for (_, payload) in &heard.messages[self.seen..] {
            let number = payload.slice(..payload.len().min(8));
            self.numbers.insert(number);
        }
        self.seen = heard.messages.len();
        self.numbers.len()
    }
}

async fn accounts_for_all(
    trial: &Trial,
    sender: &mut Peer,
    idle: &mut Peer,
    total: u64,
) -> Verdict {
    let mut tally = Tally::default();
    let mut accounted = |heard: &Heard| tally.count(heard) as u64 + heard.lost;
    let patience = trial.facts.patience;
    idle.ear
        .until(patience, |heard| accounted(heard) >= total)
        .await;
    let heard = &idle.ear.heard;
    if heard.end.is_some() {
        return Ok(());
    }
    let (now, lost) = (accounted(heard), heard.lost);
    if now != total {
        return fail(format!(
            "{total} messages were published while nobody read; {now} are accounted for, {lost} of them as lost"
        ));
    }
    let after = [Bytes::from("after the flood")];
    sender.say(Lane::Events, &after).await?;
    idle.hears(&after).await?;
    require(idle.ear.heard.lost == lost, || {
        "messages are lost though the reader reads again".to_owned()
    })
}

const FLOOD_BATCH: usize = 1024 * 1024;
