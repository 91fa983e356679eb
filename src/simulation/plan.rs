use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Everything that happens in a run, apart from the dice of the network, which roll from the same seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Whether the nodes are `ordered`; otherwise `local_first`.
    pub(super) is_ordered: bool,
    /// What happens, with its millisecond.
    pub(super) acts: Vec<(u64, Act)>,
}

/// Something that happens at one moment to one place: a process of the cluster, which may hold one node after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A call, or an event by hand.
    Emit(usize, What),
    /// A client connects.
    Client(usize),
    /// The broker, or the way to it, breaks and heals after some milliseconds.
    Hurt(Fault, u64),
    Heal(Fault),
    /// A node starts, unless the place has one.
    Build(usize),
    /// A node is dropped without a farewell.
    Kill(usize),
    /// A node shuts down in order.
    Close(usize),
}

/// What a node does to have events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// `create` of one record that foreign peers hear of too.
    Create,
    /// `create` of several.
    Bulk(u8),
    /// `create` with `sync(false)`.
    Local,
    /// `create` on a service that foreign peers do not know.
    Room,
    /// `patch` of the first record.
    Patch,
    /// A custom event by hand.
    Typing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The links of one place end, and it cannot connect.
    Cut(usize),
    /// One place hears nothing; some of its links get all of it when it heals, the others never.
    Deaf(usize),
    /// Nothing that one place publishes comes anywhere; some publishes succeed all the same, the others hang.
    Mute(usize),
    /// One place hears itself, and nobody else hears it: a demoted replica.
    Alone(usize),
    /// The broker ends and starts again.
    Down,
    /// The broker stops, and goes on with what it had, also for links that were dropped meanwhile.
    Freeze,
    /// One lane is slower than the other by some milliseconds.
    Lag { is_control: bool, by: u64 },
    /// The links of one place lose messages and say so.
    Lose(usize, u64),
    /// The broker refuses single elements, for the moment or for good.
    Refuse,
}

impl Plan {
    /// Three or four nodes, some forty events each; four of five seeds bring up to five faults in a quarter of a minute.
    pub(super) fn random(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut acts: Vec<(u64, Act)> = (0..3).map(|place| (0, Act::Build(place))).collect();
        let joins_at = rng.random_range(0..12_000);
        if rng.random() {
            acts.push((joins_at, Act::Build(PLACES - 1)));
        }
        for place in 0..PLACES {
            emits(&mut rng, place, &mut acts);
        }
        if !seed.is_multiple_of(5) {
            for _ in 0..rng.random_range(1..=5) {
                acts.push((rng.random_range(0..12_000), fault(&mut rng)));
            }
        }
        leave(&mut rng, &mut acts);
        acts.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            is_ordered: rng.random(),
            acts,
        }
    }

    /// The acts with the end of every fault.
    pub(super) fn timeline(&self) -> Vec<(u64, Act)> {
        let mut acts = self.acts.clone();
        for (at, act) in &self.acts {
            if let Act::Hurt(fault, span) = act {
                acts.push((at + span, Act::Heal(*fault)));
            }
        }
        acts.sort_by_key(|(at, _)| *at);
        acts
    }

    /// Whether the broker does its duty.
    pub(super) fn has_faults(&self) -> bool {
        let is_fault = |(_, act): &(u64, Act)| matches!(act, Act::Hurt(..));
        self.acts.iter().any(is_fault)
    }

    /// Leaves out what is not needed for `fails`, large pieces first.
    pub(super) fn shrink(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut size = self.acts.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.acts.len() {
                let mut smaller = self.clone();
                smaller.acts.drain(from..(from + size).min(self.acts.len()));
                if fails(&smaller) {
                    self = smaller;
                } else {
                    from += size;
                }
            }
            size /= 2;
        }
        self
    }
}

/// Bursts with pauses between them, and a client now and then.
fn emits(rng: &mut SmallRng, place: usize, acts: &mut Vec<(u64, Act)>) {
    let mut at = rng.random_range(0..2_000);
    for _ in 0..rng.random_range(3..8) {
        for _ in 0..rng.random_range(1..10) {
            acts.push((at, Act::Emit(place, what(rng))));
            at += rng.random_range(0..40);
        }
        if rng.random_bool(0.3) {
            acts.push((at, Act::Client(place)));
        }
        at += rng.random_range(0..4_000);
    }
}

fn what(rng: &mut SmallRng) -> What {
    match rng.random_range(0..100) {
        0..8 => What::Local,
        8..20 => What::Room,
        20..28 => What::Bulk(rng.random_range(2..6)),
        28..38 => What::Patch,
        38..48 => What::Typing,
        _ => What::Create,
    }
}

fn fault(rng: &mut SmallRng) -> Act {
    let place = rng.random_range(0..PLACES);
    let is_long = rng.random_bool(0.1);
    let span = rng.random_range(if is_long { 10_000..16_000 } else { 20..6_000 });
    let fault = match rng.random_range(0..100) {
        0..20 => Fault::Cut(place),
        20..32 => Fault::Deaf(place),
        32..44 => Fault::Mute(place),
        44..50 => Fault::Alone(place),
        50..66 => Fault::Down,
        66..80 => Fault::Freeze,
        80..88 => Fault::Lag {
            is_control: rng.random(),
            by: rng.random_range(1..400),
        },
        88..93 => Fault::Lose(place, rng.random_range(1..30)),
        _ => Fault::Refuse,
    };
    Act::Hurt(fault, span)
}

/// Sometimes a node is killed or shut down, and sometimes another one comes in its place.
fn leave(rng: &mut SmallRng, acts: &mut Vec<(u64, Act)>) {
    let place = rng.random_range(1..PLACES);
    let at = rng.random_range(1_000..14_000);
    match rng.random_range(0..10) {
        0..2 => acts.push((at, Act::Kill(place))),
        2..5 => acts.push((at, Act::Close(place))),
        _ => return,
    }
    if rng.random_bool(0.7) {
        acts.push((at + rng.random_range(200..4_000), Act::Build(place)));
    }
}

/// The moment of a millisecond of a plan, from its start.
pub(super) fn millis(at: u64) -> Duration {
    Duration::from_millis(at)
}

/// Processes of the cluster; the last one joins late or never.
pub(super) const PLACES: usize = 4;
