use std::collections::VecDeque;

use super::time::Time;

/// The own events that own clients have not heard yet, in the order in which they happened.
///
/// Bounded by `Limits::log_entries`: above it the sequencer delivers the oldest without waiting for its echo.
#[derive(Debug)]
pub(crate) struct Slots<E> {
    waiting: VecDeque<Slot<E>>,
}

/// The place of one own event in that order.
#[derive(Debug)]
pub(crate) struct Slot<E> {
    pub(crate) event: E,
    /// `None` for an event that stays on this node. It takes a place all the same, so that it cannot overtake.
    pub(crate) seq: Option<u64>,
    pub(crate) since: Time,
    /// The service, if others hear the event as well.
    pub(crate) service: Option<usize>,
}

impl<E> Slots<E> {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, slot: Slot<E>) {
        self.waiting.push_back(slot);
    }

    pub(crate) fn head(&self) -> Option<&Slot<E>> {
        self.waiting.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Slot<E>> {
        self.waiting.pop_front()
    }

    /// Gives each event its new sequence; `None` for one whose echo is not awaited any more.
    pub(crate) fn renumber(&mut self, new: impl Fn(u64) -> Option<u64>) {
        for slot in &mut self.waiting {
            slot.seq = slot.seq.and_then(&new);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
