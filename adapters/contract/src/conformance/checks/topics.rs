//! Clause 4: a link hears its own two topics and no other.

use bytes::Bytes;
use tokio::time::sleep;

use crate::conformance::peer::{Peer, short};
use crate::conformance::trial::{GRACE, LANES, TICK, Trial, Verdict, fail, numbered, require};
use crate::{ErrorKind, Lane, LinkOptions};

pub(in crate::conformance) async fn clause_04_lanes_are_told_apart(trial: &Trial) -> Verdict {
    let [mut sender, mut peer] = trial.peers().await?;
    let mut all = Vec::new();
    for n in 0..10 {
        for lane in LANES {
            let batch = numbered(&format!("{lane:?} {n}"), 2);
            sender.say(lane, &batch).await?;
            all.extend(batch);
        }
    }
    peer.hears(&all).await?;
    for (lane, payload) in &peer.ear.heard.messages {
        let is_right = payload.starts_with(format!("{lane:?}").as_bytes());
        require(is_right, || {
            format!("{} arrives on lane {lane:?}", short(payload))
        })?;
    }
    Ok(())
}

pub(in crate::conformance) async fn clause_04_other_topics_are_not_heard(trial: &Trial) -> Verdict {
    let adapter = trial.adapter()?;
    let topic = &trial.options.topic;
    let mut others = Vec::new();
    // A longer name, a shorter one, another case, and a control topic of another name.
    for other in [
        format!("{topic}x"),
        topic[..topic.len() - 1].to_owned(),
        topic.to_uppercase(),
        format!("{topic}.wb.wb"),
    ] {
        let options = renamed(&trial.options, other);
        others.push(trial.open_as(&adapter, &options).await?);
    }
    let mut peers: [Peer; 2] = trial.peers().await?;
    for (n, other) in others.iter_mut().enumerate() {
        for lane in LANES {
            let batch = numbered(&format!("foreign {n} {lane:?} "), 2);
            other.say(lane, &batch).await?;
        }
    }
    for lane in LANES {
        peers[0].say(lane, &numbered("own ", 2)).await?;
    }
    peers[1].hears(&numbered("own ", 2)).await?;
    sleep(GRACE).await;
    for peer in peers.iter_mut().chain(&mut others) {
        peer.ear.linger(TICK).await;
    }
    for peer in &peers {
        nothing_foreign(peer, "foreign ")?;
    }
    others
        .iter()
        .try_for_each(|other| nothing_foreign(other, "own "))
}

/// Brokers have patterns, and a topic is none: it is taken by the letter, or refused.
pub(in crate::conformance) async fn clause_04_a_topic_is_no_pattern(trial: &Trial) -> Verdict {
    let adapter = trial.adapter()?;
    let mut curious = Vec::new();
    for pattern in ["*", "?", "#", ">", "%", "_", "[a-z0-9]"] {
        let topic = &trial.options.topic;
        let options = renamed(
            &trial.options,
            format!("{}{pattern}", &topic[..topic.len() - 1]),
        );
        match trial.try_open(&adapter, &options).await? {
            Ok(peer) => curious.push(peer),
            Err(error) if error.kind() == ErrorKind::Config => {}
            Err(error) => {
                return fail(format!(
                    "a topic that ends in {pattern} is neither taken nor a Config error: {error:?}"
                ));
            }
        }
    }
    let [mut sender, mut peer] = trial.peers().await?;
    let batch = [Bytes::from("own 1"), Bytes::from("own 2")];
    sender.say(Lane::Events, &batch).await?;
    sender.say(Lane::Control, &batch).await?;
    peer.hears(&batch).await?;
    sleep(GRACE).await;
    for peer in &mut curious {
        peer.ear.linger(TICK).await;
        nothing_foreign(peer, "own ")?;
    }
    Ok(())
}

fn renamed(options: &LinkOptions, topic: String) -> LinkOptions {
    let mut renamed = options.clone();
    renamed.control_topic = format!("{topic}.wb");
    renamed.topic = topic;
    renamed
}

fn nothing_foreign(peer: &Peer, prefix: &str) -> Verdict {
    match peer.ear.heard.with_prefix(prefix).next() {
        None => Ok(()),
        Some(payload) => fail(format!("{}, of another topic, is heard", short(payload))),
    }
}
