//! What a node published, kept so that the bare client can publish the very same.

use std::fs;
use std::mem::take;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use parking_lot::Mutex;
use wingbeat_adapter::{
    BoxFuture, Lane, Link, LinkOptions, Outbound, Report, SyncAdapter, SyncError,
};

use crate::Outcome;

/// Batches of envelopes in the order in which they were published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    pub(crate) batches: Vec<(Lane, Vec<Bytes>)>,
}

/// Counts the batches of events that go through a [`Recording`] and, while it is started, keeps them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    batches: u64,
    tape: Option<Tape>,
}

/// Another adapter whose batches a recorder sees.
#[derive(Debug)]
pub(crate) struct Recording {
    adapter: Box<dyn SyncAdapter>,
    recorder: Recorder,
}

#[derive(Debug)]
struct RecordingOutbound {
    outbound: Box<dyn Outbound>,
    recorder: Recorder,
}

impl Tape {
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &Bytes> {
        self.batches.iter().flat_map(|(_, payloads)| payloads)
    }

    /// Writes the tape: for each batch the lane and the number of payloads, for each payload its length and itself.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let mut text = Vec::new();
        for (lane, payloads) in &self.batches {
            text.put_u8(u8::from(*lane == Lane::Events));
            text.put_u64(payloads.len() as u64);
            for payload in payloads {
                text.put_u64(payload.len() as u64);
                text.put_slice(payload);
            }
        }
        Ok(fs::write(path, text)?)
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let mut text = Bytes::from(fs::read(path)?);
        let mut batches = Vec::new();
        while text.has_remaining() {
            let lane = match text.try_get_u8()? {
                0 => Lane::Control,
                _ => Lane::Events,
            };
            let payloads = (0..text.try_get_u64()?)
                .map(|_| payload(&mut text))
                .collect::<Outcome<_>>()?;
            batches.push((lane, payloads));
        }
        Ok(Self { batches })
    }
}

impl Recorder {
    /// Begins to keep what is published.
    pub(crate) fn start(&self) {
        self.0.lock().tape = Some(Tape::default());
    }

    /// Returns what was published, and keeps no more.
    pub(crate) fn stop(&self) -> Tape {
        take(&mut self.0.lock().tape).unwrap_or_default()
    }

    /// Returns how many batches of events were published since the last look.
    pub(crate) fn batches(&self) -> u64 {
        take(&mut self.0.lock().batches)
    }

    /// Batches hold either events or what nodes tell each other now and then, which is not replayed.
    fn note(&self, lane: Lane, batch: &[Bytes]) {
        if !batch.iter().all(|payload| payload.starts_with(EVENT)) {
            return;
        }
        let mut recorded = self.0.lock();
        recorded.batches += 1;
        if let Some(tape) = &mut recorded.tape {
            tape.batches.push((lane, batch.to_vec()));
        }
    }
}

impl Recording {
    pub(crate) fn new(adapter: Box<dyn SyncAdapter>, recorder: &Recorder) -> Self {
        Self {
            adapter,
            recorder: recorder.clone(),
        }
    }
}

impl SyncAdapter for Recording {
    fn name(&self) -> &'static str {
        self.adapter.name()
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(async move {
            let Link {
                outbound, inbound, ..
            } = self.adapter.connect(options).await?;
            let outbound = RecordingOutbound {
                outbound,
                recorder: self.recorder.clone(),
            };
            Ok(Link::new(Box::new(outbound), inbound))
        })
    }
}

impl Outbound for RecordingOutbound {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        self.recorder.note(lane, batch);
        self.outbound.publish(lane, batch)
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        self.outbound.close()
    }
}

fn payload(text: &mut Bytes) -> Outcome<Bytes> {
    let length = usize::try_from(text.try_get_u64()?)?;
    if length > text.remaining() {
        return Err("the tape is torn".into());
    }
    // A payload of its own, as the node's are, and not a piece of one large block.
    Ok(Bytes::copy_from_slice(&text.split_to(length)))
}

const EVENT: &[u8] = br#"{"event":"#;
