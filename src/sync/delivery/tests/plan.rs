use std::fmt;
use std::time::Duration;

use super::super::{Config, Time};
use super::lie::Lie;

/// Everything that happens in a run, apart from the dice of the network.
#[derive(Clone)]
pub(super) struct Plan {
    /// Of the dice of the network: how long each message takes, what the broker refuses.
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) ordered: bool,
    pub(super) emits: Vec<(Time, usize, Kind)>,
    pub(super) faults: Vec<(Time, Fault)>,
    /// What somebody says who can publish and is none of the nodes.
    pub(super) lies: Vec<(Time, Lie)>,
    /// In whose name some of the lies are.
    pub(super) victim: Option<usize>,
    /// Whether the first two nodes have one id.
    pub(super) is_cloned: bool,
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
    /// One node hears itself only and is heard by itself only.
    Alone { place: usize, span: Duration },
    /// One node hears everybody and is heard by itself only: a demoted replica, which still gets what its master does.
    Demoted { place: usize, span: Duration },
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
    /// Three nodes to which nothing happens.
    pub(super) fn idle(seed: u64) -> Self {
        Self {
            seed,
            nodes: 3,
            ordered: true,
            emits: Vec::new(),
            faults: Vec::new(),
            lies: Vec::new(),
            victim: None,
            is_cloned: false,
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
        Self {
            nodes,
            emits: emits.collect(),
            ..Self::idle(seed)
        }
    }

    pub(super) fn with(mut self, at: u64, fault: Fault) -> Self {
        self.faults.push((ms(at), fault));
        self
    }

    pub(super) fn end(&self) -> Time {
        let emits = self.emits.iter().map(|(at, ..)| *at);
        let faults = self.faults.iter().map(|(at, fault)| *at + fault.lasts());
        let lies = self.lies.iter().map(|(at, _)| *at);
        emits.chain(faults).chain(lies).max().unwrap_or_default()
    }

    /// Whether what is heard of a place, or what it hears, need not be true.
    pub(super) fn is_doubtful(&self, place: usize) -> bool {
        self.victim == Some(place) || (self.is_cloned && place < 2)
    }

    /// Whether a node hears all, is heard by nobody and cannot know it for so long that it gives up what nobody brings it.
    pub(super) fn is_long_unheard(&self, place: usize) -> bool {
        let spans = self.faults.iter().filter_map(|(_, fault)| match fault {
            Fault::Demoted { place: at, span } if *at == place => Some(*span),
            _ => None,
        });
        spans.sum::<Duration>() >= Duration::from_secs(8)
    }

    /// Whether messages may come in that a node has to put into quarantine.
    pub(super) const fn is_hostile(&self) -> bool {
        self.is_cloned || !self.lies.is_empty()
    }
}

impl Fault {
    pub(super) fn lasts(self) -> Duration {
        match self {
            Self::Cut { span, .. }
            | Self::Deaf { span, .. }
            | Self::Mute { span, .. }
            | Self::Alone { span, .. }
            | Self::Demoted { span, .. }
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
            | Self::Demoted { place, .. }
            | Self::Stall { place, .. }
            | Self::Lose { place, .. }
            | Self::Restart { place } => place,
            Self::Kill { .. } | Self::Freeze { .. } | Self::Lag { .. } | Self::Refuse { .. } => 0,
        }
    }
}

/// As it stands in the report on a broken promise: what happens, line by line, each with its second.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            nodes,
            ordered,
            victim,
            is_cloned,
            ..
        } = self;
        writeln!(
            f,
            "{nodes} nodes, dice {seed}, ordered: {ordered}, victim: {victim:?}, cloned: {is_cloned}"
        )?;
        let emits = self.emits.iter();
        let emits = emits.map(|(at, node, kind)| (*at, format!("node {node} emits: {kind:?}")));
        let faults = self.faults.iter();
        let faults = faults.map(|(at, fault)| (*at, format!("{fault:?}")));
        let lies = self
            .lies
            .iter()
            .map(|(at, lie)| (*at, format!("forged: {lie:?}")));
        let mut lines: Vec<_> = emits.chain(faults).chain(lies).collect();
        lines.sort_by_key(|(at, _)| *at);
        lines.iter().try_for_each(|(at, line)| {
            let at = at.since(Time::default()).as_secs_f64();
            writeln!(f, "{at:9.3} s  {line}")
        })
    }
}

pub(super) fn ms(at: u64) -> Time {
    Time::at(Duration::from_millis(at))
}
