//! Two links and nothing above them: what the bytes alone cost.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use wingbeat_adapter::{Inbound, Incoming, Link, LinkOptions, Outbound, SyncAdapter};
use wingbeat_amqp::AmqpAdapter;
use wingbeat_nats::NatsAdapter;
use wingbeat_redis::RedisAdapter;

use crate::Outcome;
use crate::frame::event;
use crate::heard::Heard;
use crate::roles::{Source, receive, send};
use crate::tape::Tape;

/// Publishes what is on the tape in the batches of the tape, again and again, and reads its own echo.
pub(crate) async fn sender(link: Link, tape: &str) -> Outcome<()> {
    let (tape, heard) = open(tape)?;
    let Link {
        outbound, inbound, ..
    } = link;
    let mut player = Player {
        outbound,
        tape,
        place: (0, 0),
        seq: 0,
        batches: 0,
    };
    tokio::select! {
        ended = listen(inbound, &heard) => ended,
        ended = send(&mut player, &heard) => ended,
    }
}

/// Reads what the other publishes.
pub(crate) async fn receiver(link: Link, tape: &str) -> Outcome<()> {
    let (_, heard) = open(tape)?;
    // Without its outbound half the link would be over.
    let Link {
        outbound: _outbound,
        inbound,
        ..
    } = link;
    tokio::select! {
        ended = listen(inbound, &heard) => ended,
        ended = receive(&heard) => ended,
    }
}

/// Replays a tape.
struct Player {
    outbound: Box<dyn Outbound>,
    tape: Arc<Tape>,
    /// The batch, and the payload in it.
    place: (usize, usize),
    seq: u64,
    batches: u64,
}

impl Source for Player {
    /// Publishes what is left of a batch.
    async fn send(&mut self, n: u64) -> Outcome<u64> {
        let (batch, from) = self.place;
        let (lane, payloads) = &self.tape.batches[batch];
        let to = payloads.len().min(from.saturating_add(usize::try_from(n)?));
        let sent = (to - from) as u64;
        for seq in self.seq..self.seq + sent {
            black_box(event(seq));
        }
        let report = self.outbound.publish(*lane, &payloads[from..to]).await?;
        if let Some((_, error)) = report.failed.into_iter().next() {
            return Err(error.into());
        }
        self.place = match to == payloads.len() {
            true => ((batch + 1) % self.tape.batches.len(), 0),
            false => (batch, to),
        };
        self.seq += sent;
        self.batches += 1;
        Ok(sent)
    }

    fn batches(&mut self) -> u64 {
        std::mem::take(&mut self.batches)
    }
}

/// Opens a link of the adapter for a broker.
pub(crate) async fn link(uri: &str) -> Outcome<Link> {
    let options = LinkOptions::new(TOPIC);
    Ok(adapter(uri)?.connect(&options).await?)
}

/// Returns the adapter for a broker.
pub(crate) fn adapter(uri: &str) -> Outcome<Box<dyn SyncAdapter>> {
    Ok(match uri.split("://").next() {
        Some("redis") => Box::new(RedisAdapter::from_uri(uri)?),
        Some("amqp") => Box::new(AmqpAdapter::from_uri(uri)?),
        Some("nats") => Box::new(NatsAdapter::from_uri(uri)?),
        _ => return Err(format!("no adapter for {uri}").into()),
    })
}

async fn listen(mut inbound: Inbound, heard: &Heard) -> Outcome<()> {
    while let Some(incoming) = inbound.next().await {
        match incoming? {
            Incoming::Message { payload, .. } => heard.take(&payload),
            other => return Err(format!("the adapter says {other:?}").into()),
        }
    }
    Err("the link is over".into())
}

fn open(tape: &str) -> Outcome<(Arc<Tape>, Heard)> {
    let tape = Arc::new(Tape::read(Path::new(tape))?);
    let payloads: Vec<_> = tape.payloads().cloned().collect();
    if payloads.is_empty() {
        return Err("the tape is empty".into());
    }
    let n = payloads.len() as u64;
    let heard = Heard::new(move |seq, bytes| {
        let place = usize::try_from(seq % n).ok();
        place.is_some_and(|place| payloads[place] == bytes)
    });
    Ok((tape, heard))
}

pub(crate) const TOPIC: &str = "bare";
