//! What is measured: every system once per round, under both workloads.

use std::time::Duration;

use crate::Outcome;
use crate::figures::setting;
use crate::process::Process;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: u32,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
}

/// What is measured against what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// One write for each frame and socket.
    Floor,
    /// One write for all frames that wait for a socket.
    CoalescingFloor,
    /// A wingbeat node.
    Node,
}

/// How many events are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// The next event when every client has the last one, so that nothing can be coalesced.
    Serial,
    /// Always 32 events.
    Saturated,
}

/// What one system did in one round.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) system: System,
    /// Memory of one idle connection.
    pub(crate) idle_bytes: f64,
    pub(crate) loads: Vec<Load>,
}

/// What one workload came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) workload: Workload,
    pub(crate) deliveries: f64,
    pub(crate) seconds: f64,
    /// Seconds of CPU.
    pub(crate) user: f64,
    pub(crate) system: f64,
}

/// Lets every system take its turn, each in a fresh process.
pub(crate) fn round(plan: &Plan) -> Outcome<Vec<Measured>> {
    System::ALL
        .iter()
        .map(|system| system.measure(plan))
        .collect()
}

impl Plan {
    /// Reads the plan of a bench.
    pub(crate) fn from_env() -> Outcome<Self> {
        Ok(Self {
            connections: setting("WINGBEAT_BENCH_CONNECTIONS", 1000)?,
            time: Duration::from_secs_f64(setting("WINGBEAT_BENCH_SECONDS", 4.0)?),
            rounds: setting("WINGBEAT_BENCH_ROUNDS", 3)?,
        })
    }

    /// Returns the plan of a test, which wants deliveries and no figures.
    pub(crate) fn short() -> Self {
        Self {
            connections: 50,
            time: Duration::from_millis(200),
            rounds: 1,
        }
    }
}

impl System {
    pub(crate) const ALL: [Self; 3] = [Self::Floor, Self::CoalescingFloor, Self::Node];

    /// Returns how the table calls it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Floor => "floor: one write per frame",
            Self::CoalescingFloor => "floor: pending frames in one write",
            Self::Node => "wingbeat",
        }
    }

    fn role(self) -> (&'static str, &'static str) {
        match self {
            Self::Floor => ("floor", "bare"),
            Self::CoalescingFloor => ("coalescing-floor", "bare"),
            Self::Node => ("node", "socketio"),
        }
    }

    /// One event alone leaves nothing to coalesce.
    fn workloads(self) -> &'static [Workload] {
        match self {
            Self::CoalescingFloor => &[Workload::Saturated],
            Self::Floor | Self::Node => &Workload::ALL,
        }
    }

    fn measure(self, plan: &Plan) -> Outcome<Measured> {
        let (role, protocol) = self.role();
        let connections = plan.connections.to_string();
        let mut server = Process::start(role, &[&connections])?;
        let ports = server.hear("listening")?;
        let [port, control] = ports.as_slice() else {
            return Err("a server without ports".into());
        };
        let before = server.resident()?;
        let (port, control) = (port.to_string(), control.to_string());
        let mut client = Process::start("client", &[protocol, &connections, &port, &control])?;
        client.hear("open")?;
        let idle_bytes = (server.resident()? - before) / f64::from(plan.connections);
        let loads = self.workloads().iter();
        let loads = loads
            .map(|workload| workload.measure(plan, &server, &mut client))
            .collect::<Outcome<_>>()?;
        client.tell("end")?;
        client.hear("ended")?;
        server.finish()?;
        client.finish()?;
        Ok(Measured {
            system: self,
            idle_bytes,
            loads,
        })
    }
}

impl Workload {
    pub(crate) const ALL: [Self; 2] = [Self::Serial, Self::Saturated];

    /// Returns how the table calls it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Serial => "S, serial: the next event when every client has the last one",
            Self::Saturated => "A, saturated: 32 events in flight",
        }
    }

    fn window(self) -> u64 {
        match self {
            Self::Serial => 1,
            Self::Saturated => 32,
        }
    }

    fn measure(self, plan: &Plan, server: &Process, client: &mut Process) -> Outcome<Load> {
        self.run(client, plan.time / 10)?;
        let before = server.cpu()?;
        let (events, seconds) = self.run(client, plan.time)?;
        let after = server.cpu()?;
        Ok(Load {
            workload: self,
            deliveries: events * f64::from(plan.connections),
            seconds,
            user: after.user - before.user,
            system: after.system - before.system,
        })
    }

    /// Returns how many events every client got, and in how many seconds.
    fn run(self, client: &mut Process, time: Duration) -> Outcome<(f64, f64)> {
        client.tell(&format!("run {} {}", self.window(), time.as_millis()))?;
        match *client.hear("done")?.as_slice() {
            [events, nanos] => Ok((events as f64, nanos as f64 / 1e9)),
            _ => Err("a client without figures".into()),
        }
    }
}

impl Load {
    /// Returns the microseconds of CPU that a delivery took, from the seconds that all took.
    pub(crate) fn per_delivery(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.deliveries
    }

    pub(crate) fn cpu(&self) -> f64 {
        self.per_delivery(self.user + self.system)
    }
}
