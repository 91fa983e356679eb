use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::super::{Config, Time};
use super::world::{Verdict, World};

/// Everything that happens in a run, apart from the dice of the network, which roll from the same seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) ordered: bool,
    pub(super) emits: Vec<(Time, usize, Kind)>,
    pub(super) faults: Vec<(Time, Fault)>,
    pub(super) limits: fn(&mut Config),
    /// Whether events may be given up: a bound is so low that it is hit.
    pub(super) bounds_are_hit: bool,
}

/// Where an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `sync(false)`.
    Local,
    Events,
    Control,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The link of one node ends, and it cannot dial.
    Cut { place: usize, span: Duration },
    /// One node hears nothing and publishes.
    Deaf { place: usize, span: Duration },
    /// One node hears and publishes nothing.
    Mute {
        place: usize,
        span: Duration,
        hangs: bool,
    },
    /// One node hears itself and is heard by itself: a demoted replica.
    Alone { place: usize, span: Duration },
    /// The broker ends and starts again.
    Kill { span: Duration },
    /// The broker stops and goes on with what it had, also for links that were dropped meanwhile.
    Freeze { span: Duration },
    /// The shell of one node gets no processor.
    Stall { place: usize, span: Duration },
    /// One lane is slower than the other.
    Lag {
        control: bool,
        by: Duration,
        span: Duration,
    },
    /// The adapter of one node loses messages and says so.
    Lose { place: usize, n: u64 },
    /// The broker refuses single elements, for the moment or for good.
    Refuse { span: Duration },
    /// One node is killed and a new one is built in its place.
    Restart { place: usize },
}

impl Plan {
    /// Three nodes, some forty events each, and up to five faults in a quarter of a minute.
    pub(super) fn random(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let emits = (0..3).flat_map(|node| emits(&mut rng, node)).collect();
        let faults = (0..rng.random_range(0..=5))
            .map(|_| (ms(rng.random_range(0..12_000)), fault(&mut rng)))
            .collect();
        Self {
            seed,
            nodes: 3,
            ordered: rng.random(),
            emits,
            faults,
            limits: |_| {},
            bounds_are_hit: false,
        }
    }

    /// Steady events from each node, in a span of whole seconds.
    pub(super) fn steady(seed: u64, nodes: usize, per_second: u64, seconds: u64) -> Self {
        let every = 1_000_000 / per_second;
        let at =
            |n: u64, node: usize| Time::at(Duration::from_micros(n * every + node as u64 * 37));
        let kind = |n: u64| {
            [Kind::Events, Kind::Events, Kind::Control, Kind::Local]
                [usize::from(n % 20 == 7) * 2 + usize::from(n % 20 == 3) * 3]
        };
        let emits = (0..nodes)
            .flat_map(|node| (0..per_second * seconds).map(move |n| (at(n, node), node, kind(n))));
        let emits = emits.collect();
        Self {
            seed,
            nodes,
            ordered: true,
            emits,
            faults: Vec::new(),
            limits: |_| {},
            bounds_are_hit: false,
        }
    }

    pub(super) fn with(mut self, at: u64, fault: Fault) -> Self {
        self.faults.push((ms(at), fault));
        self
    }

    pub(super) fn end(&self) -> Time {
        let emits = self.emits.iter().map(|(at, ..)| *at);
        let faults = self.faults.iter().map(|(at, fault)| *at + fault.lasts());
        emits.chain(faults).max().unwrap_or_default()
    }

    /// Leaves out what is not needed for the failure, halves first.
    pub(super) fn shrink(&self) -> (Self, Verdict) {
        let (mut best, mut verdict) = (self.clone(), World::run(self));
        while verdict.is_err() {
            let smaller = best.smaller().find_map(|plan| {
                Some(World::run(&plan))
                    .filter(Result::is_err)
                    .map(|v| (plan, v))
            });
            let Some((plan, broken)) = smaller else { break };
            (best, verdict) = (plan, broken);
        }
        (best, verdict)
    }

    fn smaller(&self) -> impl Iterator<Item = Self> {
        let fewer_faults = (0..self.faults.len()).map(|out| {
            let mut plan = self.clone();
            plan.faults.remove(out);
            plan
        });
        let sizes = std::iter::successors(Some(self.emits.len().div_ceil(2)), |size| {
            (*size > 1).then(|| size.div_ceil(2))
        });
        let fewer_emits = sizes.flat_map(move |size| {
            (0..self.emits.len()).step_by(size.max(1)).map(move |from| {
                let mut plan = self.clone();
                plan.emits.drain(from..(from + size).min(self.emits.len()));
                plan
            })
        });
        fewer_faults.chain(fewer_emits)
    }
}

impl Fault {
    pub(super) fn lasts(self) -> Duration {
        match self {
            Self::Cut { span, .. }
            | Self::Deaf { span, .. }
            | Self::Mute { span, .. }
            | Self::Alone { span, .. }
            | Self::Kill { span }
            | Self::Freeze { span }
            | Self::Stall { span, .. }
            | Self::Lag { span, .. }
            | Self::Refuse { span } => span,
            Self::Lose { .. } | Self::Restart { .. } => Duration::ZERO,
        }
    }

    /// The node that it hits; the first one if it hits the broker.
    pub(super) fn place(self) -> usize {
        match self {
            Self::Cut { place, .. }
            | Self::Deaf { place, .. }
            | Self::Mute { place, .. }
            | Self::Alone { place, .. }
            | Self::Stall { place, .. }
            | Self::Lose { place, .. }
            | Self::Restart { place } => place,
            Self::Kill { .. } | Self::Freeze { .. } | Self::Lag { .. } | Self::Refuse { .. } => 0,
        }
    }
}

/// Bursts with pauses between them.
fn emits(rng: &mut SmallRng, node: usize) -> Vec<(Time, usize, Kind)> {
    let mut at = rng.random_range(0..2_000);
    let mut emits = Vec::new();
    for _ in 0..rng.random_range(3..8) {
        for _ in 0..rng.random_range(1..12) {
            let kind = match rng.random_range(0..100) {
                0..5 => Kind::Local,
                5..30 => Kind::Control,
                _ => Kind::Events,
            };
            emits.push((Time::at(Duration::from_millis(at)), node, kind));
            at += rng.random_range(0..40);
        }
        at += rng.random_range(0..5_000);
    }
    emits
}

fn fault(rng: &mut SmallRng) -> Fault {
    let place = rng.random_range(0..3);
    let span = Duration::from_millis(if rng.random_bool(0.1) {
        rng.random_range(10_000..16_000)
    } else {
        rng.random_range(20..6_000)
    });
    match rng.random_range(0..100) {
        0..18 => Fault::Cut { place, span },
        18..28 => Fault::Deaf { place, span },
        28..40 => Fault::Mute {
            place,
            span,
            hangs: rng.random(),
        },
        40..46 => Fault::Alone { place, span },
        46..60 => Fault::Kill { span },
        60..72 => Fault::Freeze { span },
        72..80 => Fault::Stall {
            place,
            span: span.min(Duration::from_secs(5)),
        },
        80..86 => Fault::Lag {
            control: rng.random(),
            by: Duration::from_millis(rng.random_range(1..400)),
            span,
        },
        86..91 => Fault::Lose {
            place,
            n: rng.random_range(1..30),
        },
        91..97 => Fault::Refuse { span },
        _ => Fault::Restart { place },
    }
}

fn ms(at: u64) -> Time {
    Time::at(Duration::from_millis(at))
}
