//! Clauses 6 and 7: a link that is lost says so, and another one can be opened.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Lane;
use crate::conformance::peer::Peer;
use crate::conformance::trial::{GRACE, TICK, Trial, Verdict, numbered, require};
use crate::conformance::{Direction, Fault, Proxy};

pub(in crate::conformance) async fn clause_06_an_idle_link_ends_when_the_broker_is_killed(
    trial: &Trial,
) -> Verdict {
    let mut peer = trial.open(&trial.adapter()?).await?;
    trial.inflict(Fault::Kill).await?;
    ends(trial, &mut peer).await
}

pub(in crate::conformance) async fn clause_06_an_idle_link_ends_when_its_line_is_cut(
    trial: &Trial,
) -> Verdict {
    let mut split = trial.split().await?;
    split.proxy.cut();
    ends(trial, &mut split.behind).await?;
    split.direct.lives().await
}

pub(in crate::conformance) async fn clause_06_a_busy_link_ends_when_its_line_is_cut(
    trial: &Trial,
) -> Verdict {
    let mut split = trial.split().await?;
    let batch = numbered("busy ", 10);
    for _ in 0..20 {
        split.behind.say(Lane::Events, &batch).await?;
    }
    split.proxy.cut();
    let deadline = Instant::now() + trial.facts.patience;
    while split
        .behind
        .try_publish(Lane::Events, &batch)
        .await?
        .is_ok()
    {
        require(Instant::now() < deadline, || {
            "publishes go on as if nothing had happened".to_owned()
        })?;
        sleep(TICK).await;
    }
    ends(trial, &mut split.behind).await
}

/// Half a link is no link: one that hears but cannot speak, or the other way round, is worse than none.
pub(in crate::conformance) async fn clause_06_a_link_ends_when_one_of_its_connections_is_cut(
    trial: &Trial,
) -> Verdict {
    let mut nth = 0;
    loop {
        let (proxy, adapter) = trial.through_a_proxy()?;
        let mut peer = trial.open(&adapter).await?;
        let connections = proxy.connections();
        require(!connections.is_empty(), || {
            "the adapter does not use the port that it was given".to_owned()
        })?;
        let Some(victim) = connections.get(nth) else {
            return Ok(());
        };
        proxy.cut_one(*victim);
        ends(trial, &mut peer).await?;
        nth += 1;
    }
}

pub(in crate::conformance) async fn clause_06_a_silent_line_ends_the_link_within_the_heartbeat(
    trial: &Trial,
) -> Verdict {
    silence_ends_it(trial, Proxy::stall).await
}

pub(in crate::conformance) async fn clause_06_a_deaf_link_ends_within_the_heartbeat(
    trial: &Trial,
) -> Verdict {
    silence_ends_it(trial, |proxy| proxy.half_open(Direction::FromBroker)).await
}

pub(in crate::conformance) async fn clause_06_a_mute_link_ends_within_the_heartbeat(
    trial: &Trial,
) -> Verdict {
    silence_ends_it(trial, |proxy| proxy.half_open(Direction::ToBroker)).await
}

pub(in crate::conformance) async fn clause_06_a_frozen_broker_ends_the_link_within_the_heartbeat(
    trial: &Trial,
) -> Verdict {
    let mut peer = trial.open(&trial.adapter()?).await?;
    trial.inflict(Fault::Freeze).await?;
    let ended = peer.is_over(trial.facts.heartbeat + LEEWAY).await;
    trial.inflict(Fault::Thaw).await?;
    ended.map(|_| ())
}

/// A link that is dropped and dialled again at each delay never carries anything.
pub(in crate::conformance) async fn clause_06_a_slow_line_is_not_taken_for_dead(
    trial: &Trial,
) -> Verdict {
    let mut split = trial.split().await?;
    let delay = Duration::from_millis(100).min(trial.facts.heartbeat / 20);
    split.proxy.slow(delay);
    // Longer than a heartbeat, or one would not know.
    let end = Instant::now() + trial.facts.heartbeat + LEEWAY / 2;
    let mut said = 0;
    while Instant::now() < end {
        let batch = numbered(&format!("{said} "), 1);
        split.direct.say(Lane::Events, &batch).await?;
        split.behind.hears(&batch).await?;
        split.behind.ear.linger(GRACE).await;
        split.behind.lives().await?;
        said += 1;
    }
    let batch = numbered("still there ", 1);
    split.behind.say(Lane::Events, &batch).await?;
    split.direct.hears(&batch).await
}

/// The line was silent for less than a heartbeat, and what was said meanwhile is only late.
pub(in crate::conformance) async fn clause_06_a_short_stall_is_waited_out(
    trial: &Trial,
) -> Verdict {
    let mut split = trial.split().await?;
    let batches = ["before ", "during ", "after "].map(|prefix| numbered(prefix, 20));
    split.direct.say(Lane::Events, &batches[0]).await?;
    split.proxy.stall();
    split.direct.say(Lane::Events, &batches[1]).await?;
    let short = Duration::from_millis(300).min(trial.facts.heartbeat / 4);
    split.behind.ear.linger(short).await;
    split.proxy.resume();
    split.direct.say(Lane::Events, &batches[2]).await?;
    split.behind.hears(&batches.concat()).await?;
    split.behind.lives().await
}

pub(in crate::conformance) async fn clause_07_connect_works_after_each_of_five_cuts(
    trial: &Trial,
) -> Verdict {
    let mut split = trial.split().await?;
    for round in 0..5 {
        split.proxy.cut();
        split.proxy.heal();
        // What is lost is held on to, as by a supervisor that has not noticed yet.
        let again = trial.open_again(&split.adapter).await?;
        let _lost = std::mem::replace(&mut split.behind, again);
        trial
            .warm_up(&mut [&mut split.behind, &mut split.direct])
            .await?;
        let batch = numbered(&format!("after cut {round}: "), 3);
        split.behind.say(Lane::Events, &batch).await?;
        split.direct.hears(&batch).await?;
        split.direct.say(Lane::Control, &batch).await?;
        split.behind.hears(&batch).await?;
    }
    Ok(())
}

pub(in crate::conformance) async fn clause_07_connect_works_after_the_broker_was_killed(
    trial: &Trial,
) -> Verdict {
    let adapter = trial.adapter()?;
    let _lost = trial.open(&adapter).await?;
    trial.inflict(Fault::Kill).await?;
    let while_down = trial.try_open(&adapter, &trial.options).await?;
    require(while_down.is_err(), || {
        "`connect` resolves though the broker is gone".to_owned()
    })?;
    trial.inflict(Fault::Start).await?;
    let mut one = trial.open_again(&adapter).await?;
    let mut two = trial.open_again(&adapter).await?;
    trial.warm_up(&mut [&mut one, &mut two]).await?;
    let batch = numbered("after the restart ", 3);
    one.say(Lane::Events, &batch).await?;
    two.hears(&batch).await
}

/// What happens to one link is nothing to the other, even where both are of one adapter.
pub(in crate::conformance) async fn clause_07_links_live_side_by_side(trial: &Trial) -> Verdict {
    let [mut closed, dropped, mut one, mut two] = trial.peers().await?;
    closed.close().await?.ok();
    drop(dropped);
    for (sender, peer) in [(0, 1), (1, 0)] {
        let batch = numbered(&format!("from {sender} "), 5);
        let both = [&mut one, &mut two];
        both[sender].say(Lane::Events, &batch).await?;
        both[peer].hears(&batch).await?;
    }
    one.lives().await?;
    two.lives().await
}

/// By an error or without one; what is published then must not hang, whatever comes of it.
async fn ends(trial: &Trial, peer: &mut Peer) -> Verdict {
    peer.is_over(trial.facts.patience).await?;
    let outcome = peer.try_publish(Lane::Events, &numbered("x", 1)).await?;
    drop(outcome);
    Ok(())
}

async fn silence_ends_it(trial: &Trial, silence: impl Fn(&Proxy)) -> Verdict {
    let mut split = trial.split().await?;
    silence(&split.proxy);
    split.behind.is_over(trial.facts.heartbeat + LEEWAY).await?;
    split.direct.lives().await
}

/// What a heartbeat may be late on a machine that is busy with other tests.
const LEEWAY: Duration = Duration::from_secs(2);
