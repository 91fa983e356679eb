//! The events that are on their way.

use std::collections::VecDeque;

use crate::frame::frame;
use crate::receiver::Expect;

/// The events that were asked for and that some connection still lacks, the oldest first.
#[derive(Debug)]
pub(crate) struct Flight {
    airborne: VecDeque<Airborne>,
    /// The number of the first of them.
    oldest: u64,
    connections: usize,
}

/// No event is on its way: every frame of one is a fault.
#[derive(Debug)]
pub(crate) struct Nothing;

#[derive(Debug)]
struct Airborne {
    frame: Vec<u8>,
    /// How many connections lack it.
    lacking: usize,
}

impl Flight {
    /// Begins with `n` events from number `first` on.
    pub(crate) fn new(first: u64, n: usize, connections: usize) -> Self {
        let mut flight = Self {
            airborne: VecDeque::with_capacity(n),
            oldest: first,
            connections,
        };
        (0..n).for_each(|_| flight.add());
        flight
    }

    /// Puts new events in the place of those that every connection has, if it `goes_on`; returns how many.
    pub(crate) fn renew(&mut self, goes_on: bool) -> usize {
        let mut n = 0;
        while self
            .airborne
            .front()
            .is_some_and(|event| event.lacking == 0)
        {
            self.airborne.pop_front();
            self.oldest += 1;
            if goes_on {
                self.add();
                n += 1;
            }
        }
        n
    }

    /// Returns the number of the first event that is not at every connection.
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest
    }

    pub(crate) fn is_over(&self) -> bool {
        self.airborne.is_empty()
    }

    /// Says what has not come, for the message of a failed run.
    pub(crate) fn describe(&self) -> String {
        let lacking: usize = self.airborne.iter().map(|event| event.lacking).sum();
        let (n, oldest) = (self.airborne.len(), self.oldest);
        format!("{lacking} deliveries of {n} events from number {oldest} on had not come")
    }

    fn add(&mut self) {
        let seq = self.oldest + self.airborne.len() as u64;
        self.airborne.push_back(Airborne {
            frame: frame(seq),
            lacking: self.connections,
        });
    }

    fn place(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.oldest)?).ok()
    }
}

impl Expect for Flight {
    fn frame(&self, seq: u64) -> Option<&[u8]> {
        let event = self.airborne.get(self.place(seq)?)?;
        Some(&event.frame)
    }

    fn received(&mut self, seq: u64) {
        if let Some(event) = self.place(seq).and_then(|at| self.airborne.get_mut(at)) {
            event.lacking -= 1;
        }
    }
}

impl Expect for Nothing {
    fn frame(&self, _seq: u64) -> Option<&[u8]> {
        None
    }

    fn received(&mut self, _seq: u64) {}
}
