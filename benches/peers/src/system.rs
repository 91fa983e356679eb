//! What is measured against what.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::broker::{Broker, Kind};
use crate::client::Protocol;
use crate::guard::Guard;
use crate::process::Process;
use crate::shape::{Audience, Shape};

/// A system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// One write for each frame and socket; one process and no broker.
    Floor,
    /// One write for all frames that wait for a socket; the same.
    CoalescingFloor,
    /// Over Redis, with clients of Socket.IO.
    Wingbeat,
    ByHand,
    Socketioxide,
    SocketIo,
    Feathers,
    /// wingbeat over another broker.
    RabbitMq,
    Nats,
    /// wingbeat over Redis with other clients.
    Websocket,
    Events,
    /// wingbeat with a publisher that gives each third of the clients other data.
    Variants,
}

/// How a system stands: what is sent to whom, and over what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) system: System,
    pub(crate) shape: Shape,
    pub(crate) connections: u32,
    /// How many of them never read once they are connected.
    pub(crate) stalled: u32,
    pub(crate) nodes: usize,
    pub(crate) broker: Option<Kind>,
}

/// The processes of a system, ready for clients.
pub(crate) struct Running {
    /// They go before what they guard.
    #[expect(dead_code, reason = "they wait for their end")]
    guards: Vec<Guard>,
    pub(crate) servers: Vec<Process>,
    broker: Option<Broker>,
    /// Where clients connect.
    pub(crate) ports: Vec<u64>,
    /// Where events are asked for.
    pub(crate) control: u64,
}

impl System {
    pub(crate) const PEERS: [Self; 7] = [
        Self::Floor,
        Self::CoalescingFloor,
        Self::Wingbeat,
        Self::ByHand,
        Self::Socketioxide,
        Self::SocketIo,
        Self::Feathers,
    ];

    pub(crate) const WAYS: [Self; 8] = [
        Self::Floor,
        Self::CoalescingFloor,
        Self::Wingbeat,
        Self::RabbitMq,
        Self::Nats,
        Self::Websocket,
        Self::Events,
        Self::Variants,
    ];

    /// Returns how the table calls it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Floor => "floor: one write per frame, one process, no broker",
            Self::CoalescingFloor => "floor: pending frames in one write",
            Self::Wingbeat => "wingbeat",
            Self::ByHand => "axum websocket + redis by hand, 4 KiB read buffer",
            Self::Socketioxide => "socketioxide + redis",
            Self::SocketIo => "Socket.IO 4 + redis adapter (Node)",
            Self::Feathers => "Feathers 5 + feathers-sync (Node)",
            Self::RabbitMq => "wingbeat over RabbitMQ",
            Self::Nats => "wingbeat over NATS",
            Self::Websocket => "wingbeat, plain websockets",
            Self::Events => "wingbeat, server-sent events",
            Self::Variants => "wingbeat, three variants of each event",
        }
    }

    pub(crate) fn is_floor(self) -> bool {
        matches!(self, Self::Floor | Self::CoalescingFloor)
    }

    pub(crate) fn is_peer(self) -> bool {
        use System::{ByHand, Feathers, SocketIo, Socketioxide};
        matches!(self, ByHand | Socketioxide | SocketIo | Feathers)
    }

    /// Returns how it stands in the tables: two nodes and a broker, but for floors.
    pub(crate) fn setup(self, connections: u32) -> Setup {
        let audience = if self == Self::Variants {
            Audience::Variants
        } else {
            Audience::Everybody
        };
        Setup {
            system: self,
            shape: Shape {
                audience,
                ..Shape::PLAIN
            },
            connections,
            stalled: 0,
            nodes: if self.is_floor() { 1 } else { 2 },
            broker: match self {
                Self::Floor | Self::CoalescingFloor => None,
                Self::RabbitMq => Some(Kind::RabbitMq),
                Self::Nats => Some(Kind::Nats),
                _ => Some(Kind::Redis),
            },
        }
    }

    /// Returns how one node of it stands, with nothing between it and others.
    pub(crate) fn alone(self, connections: u32) -> Setup {
        Setup {
            nodes: 1,
            broker: None,
            ..self.setup(connections)
        }
    }

    /// Returns what its clients speak.
    fn protocol(self) -> Protocol {
        match self {
            Self::Floor | Self::CoalescingFloor => Protocol::Bare,
            Self::Websocket => Protocol::Websocket,
            Self::Events => Protocol::Events,
            _ => Protocol::SocketIo,
        }
    }

    fn start(self, uri: &str, shape: &str) -> Outcome<Process> {
        match self {
            Self::ByHand => Process::start("by-hand", &[uri]),
            Self::Socketioxide => Process::start("socketioxide", &[uri]),
            Self::SocketIo => node("peer-socketio.mjs", uri),
            Self::Feathers => node("peer-feathers.mjs", uri),
            _ => Process::start("wingbeat", &[uri, shape]),
        }
    }
}

impl Setup {
    pub(crate) fn start(&self) -> Outcome<Running> {
        match self.system {
            System::Floor => Running::floor("floor", self.connections),
            System::CoalescingFloor => Running::floor("coalescing-floor", self.connections),
            _ => Running::nodes(self),
        }
    }

    /// Returns how many deliveries so many events make; on average, if they go to one channel of many.
    pub(crate) fn deliveries(&self, events: u64) -> f64 {
        let of_each = match self.shape.audience {
            Audience::OneOf(channels) => f64::from(self.reading()) / channels as f64,
            _ => f64::from(self.reading()),
        };
        events as f64 * of_each
    }

    fn reading(&self) -> u32 {
        self.connections - self.stalled
    }

    /// Starts the client, which opens all connections.
    pub(crate) fn client(&self, running: &Running) -> Outcome<Process> {
        let mut args = vec![
            self.system.protocol().name().to_owned(),
            self.shape.to_string(),
            self.reading().to_string(),
            self.stalled.to_string(),
            running.control.to_string(),
        ];
        args.extend(running.ports.iter().map(u64::to_string));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut client = Process::start("client", &args)?;
        client.hear("open")?;
        Ok(client)
    }
}

impl Running {
    fn floor(role: &str, connections: u32) -> Outcome<Self> {
        let mut server = Process::start(role, &[&connections.to_string()])?;
        match *server.hear("listening")?.as_slice() {
            [port, control] => Ok(Self {
                guards: Vec::new(),
                servers: vec![server],
                broker: None,
                ports: vec![port],
                control,
            }),
            _ => Err("a floor without ports".into()),
        }
    }

    fn nodes(setup: &Setup) -> Outcome<Self> {
        let broker = setup.broker.map(Broker::start).transpose()?;
        let uri = broker
            .as_ref()
            .map_or_else(|| NO_BROKER.to_owned(), Broker::uri);
        let shape = setup.shape.to_string();
        let servers = (0..setup.nodes).map(|_| setup.system.start(&uri, &shape));
        let mut servers = servers.collect::<Outcome<Vec<_>>>()?;
        let guards = servers.iter().map(|server| Guard::of(server.id()));
        let guards = guards.collect::<Outcome<_>>()?;
        let ports = servers
            .iter_mut()
            .map(|server| Ok(*server.hear("listening")?.first().ok_or("no port")?))
            .collect::<Outcome<Vec<_>>>()?;
        Ok(Self {
            guards,
            servers,
            broker,
            control: ports[0],
            ports,
        })
    }

    /// Returns the seconds of CPU that the servers and the broker have used.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        let broker = self.broker.iter().map(Broker::cpu);
        let all = self.servers.iter().map(Process::cpu).chain(broker);
        all.map(|cpu| cpu.map(|cpu| cpu.user + cpu.system)).sum()
    }

    /// Returns the resident memory of the servers in bytes.
    pub(crate) fn resident(&self) -> Outcome<f64> {
        self.servers.iter().map(Process::resident).sum()
    }

    /// Returns the most that it has been.
    pub(crate) fn most_resident(&self) -> Outcome<f64> {
        let servers = self.servers.iter();
        servers.map(|server| server.memory("VmHWM:")).sum()
    }
}

fn node(script: &str, uri: &str) -> Outcome<Process> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/interop")
        .join(script);
    let mut command = Command::new("node");
    command.arg(script).arg(uri).env("NODE_ENV", "production");
    Process::run(&mut command)
}

/// How many bytes stand for one in tables of memory.
pub(crate) const MIB: f64 = (1 << 20) as f64;
/// The URI for a node that is alone.
pub(crate) const NO_BROKER: &str = "none";
