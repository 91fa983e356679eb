//! Clause 3: payloads are opaque.

use bytes::Bytes;

use crate::conformance::peer::Peer;
use crate::conformance::trial::{Trial, Verdict, numbered, require};
use crate::{ErrorKind, Lane, Report};

pub(in crate::conformance) async fn clause_03_bytes_of_all_values_arrive_unchanged(
    trial: &Trial,
) -> Verdict {
    let [mut sender, mut peer] = trial.peers().await?;
    let every_value: Vec<u8> = (0..=255).collect();
    let backwards: Vec<u8> = (0..=255).rev().collect();
    let payloads = [
        Bytes::from(every_value),
        Bytes::from(backwards),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"\r\n$-1\r\n*0\r\n"),
        Bytes::from_static(b" 'quoted' \"quoted\" \\ $1 %s {} \x1a "),
        Bytes::from_static(b"\xff\xfe\xc3\x28 is no UTF-8"),
        Bytes::from("größer als ASCII, ✓, 🐦"),
    ];
    sender.say(Lane::Events, &payloads).await?;
    peer.hears(&payloads).await
}

pub(in crate::conformance) async fn clause_03_the_empty_payload_arrives(trial: &Trial) -> Verdict {
    let [mut sender, mut peer] = trial.peers().await?;
    let batch = [Bytes::from("before"), Bytes::new(), Bytes::from("after")];
    sender.say(Lane::Events, &batch).await?;
    peer.hears(&batch).await
}

pub(in crate::conformance) async fn clause_03_the_longest_payload_arrives_and_a_longer_one_fails_alone(
    trial: &Trial,
) -> Verdict {
    let limit = trial.facts.payload_limit.min(trial.options.max_payload);
    let [mut sender, mut peer] = trial.peers().await?;
    only_longer_ones_fail(&mut sender, &mut peer, limit).await
}

pub(in crate::conformance) async fn clause_03_a_lower_limit_of_the_options_stands(
    trial: &Trial,
) -> Verdict {
    let mut options = trial.options.clone();
    options.max_payload = 100;
    let adapter = trial.adapter()?;
    let mut sender = trial.open_as(&adapter, &options).await?;
    let mut peer = trial.open_as(&adapter, &options).await?;
    trial.warm_up(&mut [&mut sender, &mut peer]).await?;
    only_longer_ones_fail(&mut sender, &mut peer, 100).await
}

async fn only_longer_ones_fail(sender: &mut Peer, peer: &mut Peer, limit: usize) -> Verdict {
    let of_length = |length: usize| Bytes::from(vec![b'x'; length]);
    let batch = [
        Bytes::from("first"),
        of_length(limit + 1),
        of_length(limit),
        of_length(2 * limit),
        Bytes::from("last"),
    ];
    let report = sender.publish(Lane::Events, &batch).await?;
    too_large(&report, &[1, 3])?;
    let alone = sender.publish(Lane::Events, &batch[1..2]).await?;
    too_large(&alone, &[0])?;
    let kept = [batch[0].clone(), batch[2].clone(), batch[4].clone()];
    peer.hears(&kept).await?;
    let after = numbered("the link lives on ", 1);
    sender.say(Lane::Events, &after).await?;
    peer.hears(&after).await?;
    let longest = peer.ear.heard.messages.iter().map(|(_, p)| p.len()).max();
    require(longest <= Some(limit), || {
        "a refused payload arrives all the same".to_owned()
    })
}

fn too_large(report: &Report, due: &[usize]) -> Verdict {
    let failed: Vec<usize> = report.failed.iter().map(|(index, _)| *index).collect();
    let is_kind = |kind| kind == ErrorKind::PayloadTooLarge;
    let kinds_fit = report.failed.iter().all(|(_, error)| is_kind(error.kind()));
    require(failed == due && kinds_fit, || {
        format!("elements {due:?} are too large, and the report says {report:?}")
    })
}
