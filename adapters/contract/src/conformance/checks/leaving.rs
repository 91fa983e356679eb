//! Clauses 8 to 10: a link is closed, dropped, or left in the middle of something.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use crate::conformance::peer::{End, Peer, short};
use crate::conformance::trial::{
    GRACE, LANES, TICK, Trial, Verdict, cancelled_after, fail, numbered, require,
};
use crate::{ErrorKind, Lane, SyncAdapter};

pub(in crate::conformance) async fn clause_08_close_is_idempotent_and_ends_inbound(
    trial: &Trial,
) -> Verdict {
    let [mut peer, mut other] = trial.peers().await?;
    for time in ["first", "second", "third"] {
        if let Err(error) = peer.close().await? {
            return fail(format!("the {time} close fails: {error:?}"));
        }
    }
    match peer.is_over(trial.facts.patience).await? {
        End::Quiet => {}
        End::Error(error) => return fail(format!("a close looks like a loss: {error:?}")),
    }
    let heard = peer.ear.heard.messages.len();
    other.say(Lane::Events, &numbered("too late ", 3)).await?;
    peer.ear.linger(GRACE).await;
    require(heard == peer.ear.heard.messages.len(), || {
        "a closed link goes on to hear".to_owned()
    })
}

pub(in crate::conformance) async fn clause_08_a_publish_after_close_is_closed(
    trial: &Trial,
) -> Verdict {
    let [mut peer, mut other] = trial.peers().await?;
    peer.close().await?.ok();
    for lane in LANES {
        for batch in [&numbered("after close ", 2)[..], &[]] {
            match peer.try_publish(lane, batch).await? {
                Err(error) if error.kind() == ErrorKind::Closed => {}
                outcome => {
                    return fail(format!(
                        "a publish after close is not `Closed`: {outcome:?}"
                    ));
                }
            }
        }
    }
    other.ear.linger(GRACE).await;
    let heard = other.ear.heard.with_prefix("after close ").count();
    require(heard == 0, || {
        "what a closed link publishes is heard".to_owned()
    })
}

pub(in crate::conformance) async fn clause_08_close_releases_what_the_link_held(
    trial: &Trial,
) -> Verdict {
    let before = trial.holdings().await;
    let mut closed: [Peer; 3] = trial.peers().await?;
    for peer in &mut closed {
        peer.close().await?.ok();
    }
    trial.is_freed(before).await
}

pub(in crate::conformance) async fn clause_08_a_lost_link_can_be_closed(trial: &Trial) -> Verdict {
    let (mut peer, _proxy) = trial.lost().await?;
    // Whether the parting was clean is the adapter's to say.
    peer.close().await?.ok();
    peer.is_over(trial.facts.patience).await?;
    match peer.try_publish(Lane::Events, &numbered("x", 1)).await? {
        Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
        outcome => fail(format!(
            "a publish after close is not `Closed`: {outcome:?}"
        )),
    }
}

pub(in crate::conformance) async fn clause_09_a_hundred_dropped_links_leave_nothing_behind(
    trial: &Trial,
) -> Verdict {
    let adapter = trial.adapter()?;
    let before = trial.holdings().await;
    for _ in 0..10 {
        let mut peers = Vec::new();
        for _ in 0..10 {
            peers.push(trial.open(&adapter).await?);
        }
        require(trial.holdings().await > before, || {
            "the harness counts nothing of ten links, so nothing is proved".to_owned()
        })?;
        // Not read by anybody: what waits in a link must not keep it.
        peers[0].say(Lane::Events, &numbered("unread ", 10)).await?;
        for (n, Peer { outbound, ear, .. }) in peers.into_iter().enumerate() {
            if n % 2 == 0 {
                drop(outbound);
                drop(ear);
            } else {
                drop(ear);
                drop(outbound);
            }
        }
        trial.is_freed(before).await?;
    }
    Ok(())
}

pub(in crate::conformance) async fn clause_09_closed_links_leave_nothing_behind(
    trial: &Trial,
) -> Verdict {
    let adapter = trial.adapter()?;
    let before = trial.holdings().await;
    for _ in 0..10 {
        let mut peer = trial.open(&adapter).await?;
        peer.close().await?.ok();
    }
    trial.is_freed(before).await
}

pub(in crate::conformance) async fn clause_09_lost_links_leave_nothing_behind(
    trial: &Trial,
) -> Verdict {
    let (proxy, _) = trial.through_a_proxy()?;
    let before = trial.holdings().await;
    for _ in 0..5 {
        let adapter = trial.adapter_at(proxy.port())?;
        let mut lost = trial.open(&adapter).await?;
        proxy.cut();
        lost.ear.linger(TICK).await;
        drop(lost);
        proxy.heal();
    }
    // Whatever the adapter does about its loss, it has the time to.
    sleep(GRACE).await;
    trial.is_freed(before).await
}

pub(in crate::conformance) async fn clause_10_a_cancelled_publish_is_not_overtaken(
    trial: &Trial,
) -> Verdict {
    let [mut sender, mut peer] = trial.peers().await?;
    let mut rounds = 0;
    for after in AFTER {
        let cancelled = numbered(&format!("cancelled {rounds}: "), 50);
        let _ = cancelled_after(sender.outbound.publish(Lane::Events, &cancelled), after).await;
        let later = numbered(&format!("later {rounds}: "), 1);
        if sender.try_publish(Lane::Events, &later).await?.is_err() {
            sender.is_over(trial.facts.patience).await?;
            break;
        }
        peer.hears(&later).await?;
        rounds += 1;
    }
    peer.ear.linger(GRACE).await;
    (0..rounds).try_for_each(|round| not_overtaken(&peer, round))
}

/// The bytes of half a batch are on their way when nobody waits for the other half any more.
pub(in crate::conformance) async fn clause_10_a_publish_cancelled_in_a_stall_tears_nothing(
    trial: &Trial,
) -> Verdict {
    let mut split = trial.split().await?;
    let length = trial
        .facts
        .payload_limit
        .min(trial.options.max_payload)
        .min(256 * 1024);
    let batch = vec![Bytes::from(vec![b'x'; length]); FLOOD_BYTES / length];
    split.proxy.stall();
    let publish = split.behind.outbound.publish(Lane::Events, &batch);
    let _ = cancelled_after(publish, Duration::from_millis(200)).await;
    split.proxy.resume();

    let later = numbered("later ", 1);
    let outcome = split.behind.outbound.publish(Lane::Events, &later).await;
    if outcome.is_err() {
        split.behind.is_over(trial.facts.patience).await?;
        return Ok(());
    }
    split.direct.hears(&later).await?;
    let heard = &split.direct.ear.heard;
    let torn = heard
        .messages
        .iter()
        .find(|(_, p)| !batch[..1].contains(p) && !later.contains(p));
    require(torn.is_none(), || {
        format!(
            "{} was never published",
            torn.map(|(_, p)| short(p)).unwrap_or_default()
        )
    })
}

pub(in crate::conformance) async fn clause_10_a_cancelled_connect_leaves_nothing_behind(
    trial: &Trial,
) -> Verdict {
    let adapter = trial.adapter()?;
    let before = trial.holdings().await;
    cancel_connects(trial, &adapter, &AFTER).await?;
    trial.is_freed(before).await?;
    trial.open(&adapter).await.map(|_| ())
}

pub(in crate::conformance) async fn clause_10_a_connect_cancelled_on_a_slow_line_leaves_nothing_behind(
    trial: &Trial,
) -> Verdict {
    let (proxy, adapter) = trial.through_a_proxy()?;
    let before = trial.holdings().await;
    proxy.slow(Duration::from_millis(5));
    // A step of the handshake takes ten milliseconds, so every step is met.
    let after: Vec<Duration> = (0..20).map(|n| Duration::from_millis(4 * n)).collect();
    cancel_connects(trial, &adapter, &after).await?;
    proxy.resume();
    trial.is_freed(before).await?;
    trial.open(&adapter).await.map(|_| ())
}

pub(in crate::conformance) async fn clause_10_a_cancelled_close_can_be_repeated(
    trial: &Trial,
) -> Verdict {
    let adapter = trial.adapter()?;
    let mut plain = trial.open(&adapter).await?;
    plain.close().await?.ok();
    // Where not even a plain close does that, another clause is broken.
    let ends = plain.is_over(trial.facts.patience).await.is_ok();
    for after in AFTER {
        let mut peer = trial.open(&adapter).await?;
        peer.say(Lane::Events, &numbered("before ", 3)).await?;
        let _ = cancelled_after(peer.outbound.close(), after).await;
        peer.close().await?.ok();
        if ends {
            peer.is_over(trial.facts.patience).await?;
        }
    }
    Ok(())
}

/// Whatever of the cancelled batch is heard is heard before what was published later.
fn not_overtaken(peer: &Peer, round: usize) -> Verdict {
    let messages = &peer.ear.heard.messages;
    let place = |text: String| {
        messages
            .iter()
            .rposition(|(_, p)| p.starts_with(text.as_bytes()))
    };
    let cancelled = place(format!("cancelled {round}: "));
    let later = place(format!("later {round}: "));
    require(cancelled < later, || {
        format!("the batch after the cancelled one, in round {round}, overtakes it")
    })
}

async fn cancel_connects(
    trial: &Trial,
    adapter: &Arc<dyn SyncAdapter>,
    after: &[Duration],
) -> Verdict {
    for after in after {
        let connecting = adapter.connect(&trial.options);
        match cancelled_after(connecting, *after).await {
            None => {}
            // It was quicker; what becomes of a dropped link is another clause.
            Some(Ok(mut link)) => drop(link.outbound.close().await),
            Some(Err(error)) => return fail(format!("`connect` fails: {error:?}")),
        }
    }
    Ok(())
}

/// When futures are dropped: after the first poll, and at moments that fall into all that an adapter does by itself.
const AFTER: [Duration; 12] = [
    Duration::ZERO,
    Duration::from_micros(20),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(400),
    Duration::from_micros(800),
    Duration::from_micros(1_600),
    Duration::from_micros(3_200),
    Duration::from_micros(6_400),
    Duration::from_micros(12_800),
    Duration::from_micros(25_600),
];
/// More than the buffers of the operating system take on both sides of a proxy.
const FLOOD_BYTES: usize = 16 * 1024 * 1024;
