//! What is measured: every system, under every workload, in fresh processes.

use std::env;
use std::time::Duration;

use crate::Outcome;
use crate::figures::setting;
use crate::process::Process;
use crate::system::{Running, System};

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: u32,
    pub(crate) idle: u32,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    systems: String,
}

/// What is asked of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// The next event when every client has the last one, so that nothing can be coalesced.
    Serial,
    /// Always 32 events on their way.
    Saturated,
    /// 20 events a second.
    Paced,
    /// Nothing.
    Idle,
    /// Ten clients, always 32 events on their way.
    Few,
}

/// What one system did under one workload, or why there are no figures.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) system: System,
    pub(crate) workload: Workload,
    pub(crate) figures: Result<Figures, String>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Figures {
    Load {
        /// Microseconds of CPU.
        per_event: f64,
        per_delivery: f64,
        events_per_second: f64,
        deliveries_per_second: f64,
    },
    /// Milliseconds from asking for an event to its receipt at the last client.
    Latency { p50: f64, p99: f64 },
    /// Bytes of a connection.
    Memory(f64),
}

/// Lets every system take its turn under every workload.
pub(crate) fn round(plan: &Plan) -> Outcome<Vec<Measured>> {
    let mut measured = Vec::new();
    for workload in Workload::ALL {
        for system in plan.systems().filter(|system| workload.is_for(*system)) {
            let figures = workload.measure(plan, system);
            measured.push(Measured {
                system,
                workload,
                figures: figures.map_err(|error| error.to_string()),
            });
        }
    }
    Ok(measured)
}

impl Plan {
    pub(crate) fn from_env() -> Outcome<Self> {
        Ok(Self {
            connections: setting("WINGBEAT_BENCH_CONNECTIONS", 1_000)?,
            idle: setting("WINGBEAT_BENCH_IDLE", 10_000)?,
            time: Duration::from_secs_f64(setting("WINGBEAT_BENCH_SECONDS", 4.0)?),
            rounds: setting("WINGBEAT_BENCH_ROUNDS", 3)?,
            systems: env::var("WINGBEAT_BENCH_SYSTEMS").unwrap_or_default(),
        })
    }

    pub(crate) fn systems(&self) -> impl Iterator<Item = System> {
        let is_wanted = |system: &System| {
            let mut words = self.systems.split(',');
            words.any(|word| system.label().contains(word))
        };
        System::ALL.into_iter().filter(is_wanted)
    }
}

impl Workload {
    pub(crate) const ALL: [Self; 5] = [
        Self::Serial,
        Self::Saturated,
        Self::Paced,
        Self::Idle,
        Self::Few,
    ];

    /// What one write for all that waits could save is there in A and D alone.
    fn is_for(self, system: System) -> bool {
        system != System::CoalescingFloor || matches!(self, Self::Saturated | Self::Few)
    }

    pub(crate) fn connections(self, plan: &Plan) -> u32 {
        match self {
            Self::Serial | Self::Saturated | Self::Paced => plan.connections,
            Self::Idle => plan.idle,
            Self::Few => 10,
        }
    }

    fn measure(self, plan: &Plan, system: System) -> Outcome<Figures> {
        let connections = self.connections(plan);
        let running = system.start(connections)?;
        let before = running.resident()?;
        let mut client = client(system, connections, &running)?;
        client.hear("open")?;
        match self {
            Self::Idle => {
                let bytes = running.resident()? - before;
                Ok(Figures::Memory(bytes / f64::from(connections)))
            }
            Self::Paced => paced(plan, &mut client),
            Self::Serial => load(plan, 1, connections, &running, &mut client),
            Self::Saturated | Self::Few => load(plan, 32, connections, &running, &mut client),
        }
    }
}

fn client(system: System, connections: u32, running: &Running) -> Outcome<Process> {
    let mut args = vec![
        system.protocol().to_owned(),
        connections.to_string(),
        running.control.to_string(),
    ];
    args.extend(running.ports.iter().map(u64::to_string));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Process::start("client", &args)
}

/// Measures after a while in which Node compiles what it runs often.
fn load(
    plan: &Plan,
    window: u64,
    connections: u32,
    running: &Running,
    client: &mut Process,
) -> Outcome<Figures> {
    run(client, window, plan.time / 4)?;
    let before = running.cpu()?;
    let (events, seconds) = run(client, window, plan.time)?;
    let after = running.cpu()?;
    let micros = (after - before) * 1e6;
    let deliveries = events * f64::from(connections);
    Ok(Figures::Load {
        per_event: micros / events,
        per_delivery: micros / deliveries,
        events_per_second: events / seconds,
        deliveries_per_second: deliveries / seconds,
    })
}

/// Returns how many events every client got, and in how many seconds.
fn run(client: &mut Process, window: u64, time: Duration) -> Outcome<(f64, f64)> {
    client.tell(&format!("run {window} {}", time.as_millis()))?;
    match *client.hear("done")?.as_slice() {
        [events, nanos] => Ok((events as f64, nanos as f64 / 1e9)),
        _ => Err("a client without figures".into()),
    }
}

fn paced(plan: &Plan, client: &mut Process) -> Outcome<Figures> {
    client.tell(&format!("pace {PERIOD_MICROS} {}", plan.time.as_millis()))?;
    match *client.hear("paced")?.as_slice() {
        [p50, p99] => Ok(Figures::Latency {
            p50: p50 as f64 / 1e6,
            p99: p99 as f64 / 1e6,
        }),
        _ => Err("a client without figures".into()),
    }
}

const PERIOD_MICROS: u32 = 50_000;
