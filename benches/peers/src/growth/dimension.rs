//! What grows, and how far.

use std::fs;

use crate::Outcome;
use crate::broker::Kind;
use crate::figures::setting;
use crate::markdown::whole;
use crate::measure::Plan;
use crate::shape::{Audience, Shape};
use crate::system::{Setup, System};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    Connections,
    Channels,
    Payload,
    Nodes,
}

/// A line of points that are measured alike.
pub(super) struct Series {
    pub(super) label: &'static str,
    pub(super) xs: Vec<u32>,
    pub(super) setup: Box<dyn Fn(u32) -> Setup>,
}

/// How far the machine and the caller let things grow.
pub(super) struct Limits {
    most: u32,
    /// Open files that a process may have.
    descriptors: u32,
}

impl Dimension {
    pub(super) const ALL: [Self; 4] = [
        Self::Connections,
        Self::Channels,
        Self::Payload,
        Self::Nodes,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Channels => "channels",
            Self::Payload => "payload",
            Self::Nodes => "nodes",
        }
    }

    /// Returns what its axis is called.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Payload => "bytes of an event",
            Self::Connections | Self::Channels | Self::Nodes => self.name(),
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Connections => "Connections of one node without a broker, 300 bytes",
            Self::Channels => "Channels of one node without a broker, 300 bytes",
            Self::Payload => "Larger events, two nodes behind Redis",
            Self::Nodes => "Nodes behind one Redis, 300 bytes",
        }
    }

    pub(super) fn series(self, plan: &Plan, limits: &Limits) -> Vec<Series> {
        let connections = plan.connections;
        match self {
            Self::Connections => vec![Series::new("all connections", limits.connections(), |n| {
                System::Wingbeat.alone(n)
            })],
            Self::Channels => channels(limits),
            Self::Payload => vec![Series::new(
                "all connections",
                PAYLOADS.to_vec(),
                move |bytes| payload(bytes, connections),
            )],
            Self::Nodes => vec![Series::new(
                "all connections",
                NODES.to_vec(),
                move |nodes| Setup {
                    nodes: nodes as usize,
                    ..System::Wingbeat.setup(connections)
                },
            )],
        }
    }
}

/// An event goes to one of the channels, or to all of them.
fn channels(limits: &Limits) -> Vec<Series> {
    let connections = CHANNELS[CHANNELS.len() - 1].min(limits.allowed());
    let xs = || CHANNELS.into_iter().filter(|n| *n <= connections).collect();
    let with = move |audience| Setup {
        shape: Shape {
            audience,
            ..Shape::PLAIN
        },
        ..System::Wingbeat.alone(connections)
    };
    vec![
        Series::new("to one channel", xs(), move |n| {
            with(Audience::OneOf(n as usize))
        }),
        Series::new("to all channels", xs(), move |n| {
            with(Audience::AllOf(n as usize))
        }),
    ]
}

fn payload(bytes: u32, connections: u32) -> Setup {
    Setup {
        shape: Shape {
            bytes: bytes as usize,
            ..Shape::PLAIN
        },
        broker: Some(Kind::Redis),
        ..System::Wingbeat.setup(connections)
    }
}

impl Series {
    fn new(label: &'static str, xs: Vec<u32>, setup: impl Fn(u32) -> Setup + 'static) -> Self {
        let setup = Box::new(setup);
        Self { label, xs, setup }
    }
}

impl Limits {
    pub(super) fn find() -> Outcome<Self> {
        let limits = fs::read_to_string("/proc/self/limits")?;
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let hard = line.and_then(|line| line.split_whitespace().nth(1));
        let hard = hard.ok_or("no limit of open files in /proc/self/limits")?;
        Ok(Self {
            most: setting("WINGBEAT_BENCH_MOST", 50_000)?,
            descriptors: hard.parse().unwrap_or(u32::MAX),
        })
    }

    /// Returns the most connections that a node and the client may have, in thousands where those are many.
    fn allowed(&self) -> u32 {
        let free = self.descriptors.saturating_sub(SPARE);
        self.most.min(if free > 1_000 {
            free / 1_000 * 1_000
        } else {
            free
        })
    }

    fn connections(&self) -> Vec<u32> {
        let mut xs: Vec<u32> = CONNECTIONS
            .into_iter()
            .filter(|n| *n <= self.allowed())
            .collect();
        // The curve goes on as far as it may where the limit cuts it off.
        if self.is_cut() {
            xs.push(self.allowed());
        }
        xs.dedup();
        xs
    }

    fn is_cut(&self) -> bool {
        self.allowed() < self.most.min(CONNECTIONS[CONNECTIONS.len() - 1])
    }

    /// Says what was left out, if something was.
    pub(super) fn remark(&self, dimension: Dimension) -> Option<String> {
        let (allowed, descriptors) = (self.allowed(), self.descriptors);
        (dimension == Dimension::Connections && self.is_cut()).then(|| {
            format!(
                "no more than {} connections: a process may open {} files here (`ulimit -H -n`)",
                whole(f64::from(allowed)),
                whole(f64::from(descriptors)),
            )
        })
    }
}

const CONNECTIONS: [u32; 7] = [100, 300, 1_000, 3_000, 10_000, 30_000, 50_000];
const CHANNELS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
const PAYLOADS: [u32; 7] = [100, 300, 1_000, 3_000, 10_000, 30_000, 65_536];
const NODES: [u32; 5] = [2, 3, 4, 6, 8];
/// Files that are no connections.
const SPARE: u32 = 200;
