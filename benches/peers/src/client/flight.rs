//! The events that are on their way.

use std::collections::VecDeque;
use std::time::Instant;

use super::wire::{Protocol, Target};
use crate::shape::{Audience, Shape};

/// What the client knows before the first event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    pub(super) protocol: Protocol,
    pub(super) shape: Shape,
    /// Those that read.
    pub(super) connections: usize,
    /// Those that never do, once they are connected.
    pub(super) stalled: usize,
}

impl Script {
    /// Returns where the connection with a number goes.
    pub(super) fn target(&self, at: usize, ports: &[u16]) -> Target {
        let audience = self.shape.audience;
        Target {
            port: ports[at % ports.len()],
            connection: at,
            channel: (audience != Audience::Everybody).then(|| audience.channel_of(at)),
            receive_buffer: None,
        }
    }
}

/// The events that were asked for and that some connection still lacks, the oldest first.
#[derive(Debug)]
pub(super) struct Flight {
    script: Script,
    airborne: VecDeque<Airborne>,
    /// The number of the first of them.
    oldest: u64,
    /// Nanoseconds from asking for an event until the last connection had it.
    took: Vec<u64>,
}

#[derive(Debug)]
struct Airborne {
    /// What connections receive, by variant.
    frames: Vec<Vec<u8>>,
    /// How many connections lack it.
    lacking: usize,
    since: Instant,
}

impl Flight {
    /// Begins with nothing on its way; the first event has a number.
    pub(super) fn new(script: Script, first: u64) -> Self {
        Self {
            script,
            airborne: VecDeque::new(),
            oldest: first,
            took: Vec::new(),
        }
    }

    pub(super) fn launch(&mut self, n: usize) {
        (0..n).for_each(|_| self.add());
    }

    fn add(&mut self) {
        let Script {
            protocol,
            shape,
            connections,
            ..
        } = self.script;
        let seq = self.oldest + self.airborne.len() as u64;
        let frames = shape.variants(seq).map(|data| protocol.encode(&data));
        self.airborne.push_back(Airborne {
            frames: frames.collect(),
            lacking: shape.hearers(seq, connections),
            since: Instant::now(),
        });
    }

    /// Takes off those events that every connection has, up to the first that one lacks; returns how many.
    pub(super) fn land(&mut self) -> usize {
        let mut n = 0;
        while let Some(event) = self.airborne.front().filter(|event| event.lacking == 0) {
            self.took.push(event.since.elapsed().as_nanos() as u64);
            self.airborne.pop_front();
            self.oldest += 1;
            n += 1;
        }
        n
    }

    pub(super) fn len(&self) -> usize {
        self.airborne.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.airborne.is_empty()
    }

    /// Returns how long the events took that have landed, the shortest time first.
    pub(super) fn took(&self) -> Vec<u64> {
        let mut took = self.took.clone();
        took.sort_unstable();
        took
    }

    /// Says what has not come, for the message of a failed run.
    pub(super) fn describe(&self) -> String {
        let lacking: usize = self.airborne.iter().map(|event| event.lacking).sum();
        let (n, oldest) = (self.airborne.len(), self.oldest);
        format!("{lacking} deliveries of {n} events from number {oldest} on had not come")
    }

    /// Returns what a connection receives of an event; `None` when that is not on its way.
    pub(super) fn frame(&self, seq: u64, variant: usize) -> Option<&[u8]> {
        let event = self.airborne.get(self.place(seq)?)?;
        event.frames.get(variant).map(Vec::as_slice)
    }

    /// Notes that one more connection has an event.
    pub(super) fn received(&mut self, seq: u64) {
        if let Some(event) = self.place(seq).and_then(|at| self.airborne.get_mut(at)) {
            event.lacking -= 1;
        }
    }

    fn place(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.oldest)?).ok()
    }
}
