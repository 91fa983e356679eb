//! What is measured against what.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::broker::Broker;
use crate::process::Process;

/// A system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// One write for each frame and socket; one process and no broker.
    Floor,
    /// One write for all frames that wait for a socket; the same.
    CoalescingFloor,
    Wingbeat,
    ByHand,
    Socketioxide,
    SocketIo,
    Feathers,
}

/// The processes of a system, ready for clients.
pub(crate) struct Running {
    servers: Vec<Process>,
    broker: Option<Broker>,
    /// Where clients connect.
    pub(crate) ports: Vec<u64>,
    /// Where events are asked for.
    pub(crate) control: u64,
}

impl System {
    pub(crate) const ALL: [Self; 7] = [
        Self::Floor,
        Self::CoalescingFloor,
        Self::Wingbeat,
        Self::ByHand,
        Self::Socketioxide,
        Self::SocketIo,
        Self::Feathers,
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
        }
    }

    pub(crate) fn is_floor(self) -> bool {
        matches!(self, Self::Floor | Self::CoalescingFloor)
    }

    /// Returns what its clients speak.
    pub(crate) fn protocol(self) -> &'static str {
        if self.is_floor() { "bare" } else { "socketio" }
    }

    pub(crate) fn start(self, connections: u32) -> Outcome<Running> {
        let floor = |role| Running::floor(role, connections);
        match self {
            Self::Floor => floor("floor"),
            Self::CoalescingFloor => floor("coalescing-floor"),
            Self::Wingbeat => Running::nodes(|uri| Process::start("wingbeat", &[uri])),
            Self::ByHand => Running::nodes(|uri| Process::start("by-hand", &[uri])),
            Self::Socketioxide => Running::nodes(|uri| Process::start("socketioxide", &[uri])),
            Self::SocketIo => Running::nodes(|uri| node("peer-socketio.mjs", uri)),
            Self::Feathers => Running::nodes(|uri| node("peer-feathers.mjs", uri)),
        }
    }
}

impl Running {
    fn floor(role: &str, connections: u32) -> Outcome<Self> {
        let mut server = Process::start(role, &[&connections.to_string()])?;
        match *server.hear("listening")?.as_slice() {
            [port, control] => Ok(Self {
                servers: vec![server],
                broker: None,
                ports: vec![port],
                control,
            }),
            _ => Err("a floor without ports".into()),
        }
    }

    fn nodes(start: impl Fn(&str) -> Outcome<Process>) -> Outcome<Self> {
        let broker = Broker::start()?;
        let mut servers = vec![start(&broker.uri())?, start(&broker.uri())?];
        let ports = servers
            .iter_mut()
            .map(|server| Ok(*server.hear("listening")?.first().ok_or("no port")?))
            .collect::<Outcome<Vec<_>>>()?;
        Ok(Self {
            servers,
            broker: Some(broker),
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
}

fn node(script: &str, uri: &str) -> Outcome<Process> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/interop")
        .join(script);
    let mut command = Command::new("node");
    command.arg(script).arg(uri).env("NODE_ENV", "production");
    Process::run(&mut command)
}
