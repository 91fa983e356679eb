//! Clauses 1 and 2: everybody hears everything once, in its order.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use crate::Lane;
use crate::conformance::peer::{Ear, Heard, Peer, short};
use crate::conformance::trial::{GRACE, LANES, Split, Trial, Verdict, fail, numbered, require};

pub(in crate::conformance) async fn clause_01_every_link_hears_each_payload_once_the_sender_included(
    trial: &Trial,
) -> Verdict {
    let mut peers: [Peer; 3] = trial.peers().await?;
    let mut all = Vec::new();
    for (n, peer) in peers.iter_mut().enumerate() {
        for lane in LANES {
            let batch = numbered(&format!("{lane:?} of {n}: "), 3);
            peer.say(lane, &batch).await?;
            all.extend(batch);
        }
    }
    for peer in &mut peers {
        peer.hears(&all).await?;
        peer.ear.linger(GRACE).await;
        once_each(&peer.ear.heard, &all)?;
    }
    Ok(())
}

/// Whoever drops what looks like a duplicate drops events: two may be equal.
pub(in crate::conformance) async fn clause_01_equal_payloads_all_arrive(trial: &Trial) -> Verdict {
    let [mut sender, mut peer] = trial.peers().await?;
    let same = Bytes::from("same");
    let batch = [same.clone(), same.clone(), same.clone()];
    sender.say(Lane::Events, &batch).await?;
    sender.say(Lane::Events, &batch[..2]).await?;
    let count = |heard: &Heard| heard.count(&same);
    let patience = trial.facts.patience;
    peer.ear.until(patience, |heard| count(heard) >= 5).await;
    peer.ear.linger(GRACE).await;
    let n = count(&peer.ear.heard);
    require(n == 5, || {
        format!("of 5 equal payloads in two batches {n} arrive")
    })
}

pub(in crate::conformance) async fn clause_01_links_of_two_adapters_hear_each_other(
    trial: &Trial,
) -> Verdict {
    let mut here = trial.open(&trial.adapter()?).await?;
    let mut there = trial.open(&trial.adapter()?).await?;
    trial.warm_up(&mut [&mut here, &mut there]).await?;
    let (of_here, of_there) = (numbered("here ", 10), numbered("there ", 10));
    here.say(Lane::Events, &of_here).await?;
    there.say(Lane::Control, &of_there).await?;
    there.hears(&of_here).await?;
    here.hears(&of_there).await
}

pub(in crate::conformance) async fn clause_02_batches_of_all_sizes_keep_their_order(
    trial: &Trial,
) -> Verdict {
    let [mut sender, mut peer] = trial.peers().await?;
    let (events, control) = (numbered("e ", 1_000), numbered("c ", 300));
    let mut rest = (&events[..], &control[..]);
    for size in [1, 2, 63, 64, 65, 0, 128, 250].into_iter().cycle() {
        rest.0 = say_some(&mut sender, Lane::Events, rest.0, size).await?;
        rest.1 = say_some(&mut sender, Lane::Control, rest.1, size / 3).await?;
        if rest.0.is_empty() && rest.1.is_empty() {
            break;
        }
    }
    peer.hears(&events).await?;
    peer.hears(&control).await?;
    sender.ear.linger(GRACE).await;
    for ear in [&peer.ear, &sender.ear] {
        in_order(ear, "e ")?;
        in_order(ear, "c ")?;
    }
    Ok(())
}

pub(in crate::conformance) async fn clause_02_two_senders_each_keep_their_order(
    trial: &Trial,
) -> Verdict {
    let [mut one, mut two, mut peer] = trial.peers().await?;
    let (of_one, of_two) = (numbered("one ", 500), numbered("two ", 500));
    let (said_one, said_two) = tokio::join!(
        say_in_batches(&mut one, &of_one, 7),
        say_in_batches(&mut two, &of_two, 11),
    );
    said_one?;
    said_two?;
    peer.hears(&of_one).await?;
    peer.hears(&of_two).await?;
    in_order(&peer.ear, "one ")?;
    in_order(&peer.ear, "two ")
}

pub(in crate::conformance) async fn clause_02_what_waited_on_a_slow_and_stalled_line_keeps_its_order(
    trial: &Trial,
) -> Verdict {
    let mut split = trial.split().await?;
    let talked = talk_over_a_bad_line(trial, &mut split).await;
    // Not to survive that is against another clause; what came through is in order all the same.
    if split.behind.lives().await.is_ok() {
        talked?;
    }
    in_order(&split.direct.ear, "out ")?;
    in_order(&split.behind.ear, "back ")
}

async fn talk_over_a_bad_line(trial: &Trial, split: &mut Split) -> Verdict {
    let Split {
        proxy,
        behind,
        direct,
        ..
    } = split;
    let (out, back) = (numbered("out ", 100), numbered("back ", 100));
    proxy.slow(Duration::from_millis(2));
    say_in_batches(behind, &out[..50], 10).await?;
    say_in_batches(direct, &back[..50], 10).await?;
    proxy.stall();
    say_in_batches(direct, &back[50..], 10).await?;
    let short = GRACE.min(trial.facts.heartbeat / 4);
    let (said, ()) = tokio::join!(say_in_batches(behind, &out[50..], 5), async {
        sleep(short).await;
        proxy.resume();
    });
    said?;
    direct.hears(&out).await?;
    behind.hears(&back).await
}

fn once_each(heard: &Heard, all: &[Bytes]) -> Verdict {
    for payload in all {
        let n = heard.count(payload);
        require(n == 1, || format!("{} arrives {n} times", short(payload)))?;
    }
    Ok(())
}

async fn say_some<'a>(
    sender: &mut Peer,
    lane: Lane,
    rest: &'a [Bytes],
    size: usize,
) -> Verdict<&'a [Bytes]> {
    let (batch, later) = rest.split_at(size.min(rest.len()));
    sender.say(lane, batch).await?;
    Ok(later)
}

async fn say_in_batches(sender: &mut Peer, payloads: &[Bytes], size: usize) -> Verdict {
    for batch in payloads.chunks(size) {
        sender.say(Lane::Events, batch).await?;
    }
    Ok(())
}

/// The numbers behind the prefix never go back. That all are there, and once, is asked for elsewhere.
fn in_order(ear: &Ear, prefix: &str) -> Verdict {
    let mut highest = None;
    for payload in ear.heard.with_prefix(prefix) {
        let number: Option<usize> = std::str::from_utf8(&payload[prefix.len()..])
            .ok()
            .and_then(|number| number.parse().ok());
        if number < highest {
            return fail(format!("{} comes too late", short(payload)));
        }
        highest = number;
    }
    Ok(())
}
