//! What is measured: every system, under every workload, in fresh processes.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;
use crate::figures::setting;
use crate::process::Process;
use crate::system::{Running, Setup, System};

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Those of all nodes.
    pub(crate) connections: u32,
    pub(crate) idle: u32,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    pub(crate) chart: Option<PathBuf>,
    /// Words of which a label must have one.
    words: String,
    /// The letters of those that are measured.
    workloads: String,
}

/// What is asked of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// The next event when every client has the last one, so that nothing can be coalesced.
    Serial,
    /// Always 32 events on their way.
    Saturated,
    /// 20 events a second, or fewer to many clients.
    Paced,
    /// Nothing.
    Idle,
    /// Ten clients, always 32 events on their way.
    Few,
}

/// What one system did under one workload in one round, or why there are no figures.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) round: usize,
    pub(crate) system: System,
    pub(crate) workload: Workload,
    pub(crate) figures: Result<Figures, String>,
}

/// The figures that the tables show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Microseconds of CPU for a delivery or an event, milliseconds until half of the events were everywhere, or bytes.
    pub(crate) cost: f64,
    /// Deliveries or events a second, or the milliseconds until 99 of 100 events were everywhere.
    pub(crate) beside: f64,
    /// How much of a core the client used.
    pub(crate) client: f64,
    pub(crate) deliveries: f64,
}

/// A system that runs, and its client.
pub(crate) struct Trial {
    pub(crate) running: Running,
    client: Process,
    setup: Setup,
    /// Memory of an idle connection.
    pub(crate) idle_bytes: f64,
}

/// What came of asking for events for a while.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flown {
    pub(crate) events: f64,
    /// At all clients.
    pub(crate) deliveries: f64,
    pub(crate) seconds: f64,
    /// Milliseconds from asking for an event to its receipt at the last client.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Events that were not asked for, as too many were on their way.
    pub(crate) held: u64,
    /// Microseconds of CPU that the servers and the broker used.
    pub(crate) micros: f64,
    /// How much of a core the client used.
    pub(crate) client: f64,
}

/// Lets every system take its turn under every workload.
pub(crate) fn round(plan: &Plan, systems: &[System], round: usize) -> Vec<Measured> {
    let mut measured = Vec::new();
    for workload in plan.workloads() {
        let mut systems = plan.wanted(systems);
        systems.retain(|system| workload.is_for(*system));
        for system in systems {
            eprintln!("round {}, {workload:?}: {}", round + 1, system.label());
            let figures = workload.measure(plan, system);
            measured.push(Measured {
                round,
                system,
                workload,
                figures: figures.map_err(|error| error.to_string()),
            });
        }
    }
    measured
}

impl Plan {
    pub(crate) fn from_env() -> Outcome<Self> {
        Ok(Self {
            connections: setting("WINGBEAT_BENCH_CONNECTIONS", 1_000)?,
            idle: setting("WINGBEAT_BENCH_IDLE", 10_000)?,
            time: Duration::from_secs_f64(setting("WINGBEAT_BENCH_SECONDS", 4.0)?),
            rounds: setting("WINGBEAT_BENCH_ROUNDS", 3)?,
            chart: env::var_os("WINGBEAT_BENCH_CHART").map(PathBuf::from),
            words: env::var("WINGBEAT_BENCH_SYSTEMS").unwrap_or_default(),
            workloads: workloads()?,
        })
    }

    /// Returns how often B asks for an event: 20 times a second, and of more than 1,000 clients so much more rarely that the
    /// deliveries a second stay as they are. Otherwise it would measure a queue that grows.
    pub(crate) fn period(&self) -> Duration {
        PERIOD.mul_f64((f64::from(self.connections) / 1_000.0).max(1.0))
    }

    pub(crate) fn workloads(&self) -> impl Iterator<Item = Workload> {
        let is_wanted = |workload: &Workload| self.workloads.contains(workload.letter());
        Workload::ALL.into_iter().filter(is_wanted)
    }

    pub(crate) fn wanted(&self, systems: &[System]) -> Vec<System> {
        let is_wanted = |system: &&System| {
            let mut words = self.words.split(',');
            words.any(|word| system.label().contains(word))
        };
        systems.iter().filter(is_wanted).copied().collect()
    }
}

/// Reads the letters of the workloads that are wanted.
fn workloads() -> Outcome<String> {
    let letters = env::var("WINGBEAT_BENCH_WORKLOADS").unwrap_or("SABCD".into());
    let is_known = |letter: char| Workload::ALL.iter().any(|one| one.letter() == letter);
    match letters.chars().find(|letter| !is_known(*letter)) {
        Some(unknown) => {
            Err(format!("WINGBEAT_BENCH_WORKLOADS: no workload is called '{unknown}'").into())
        }
        None => Ok(letters),
    }
}

impl Workload {
    const ALL: [Self; 5] = [
        Self::Serial,
        Self::Saturated,
        Self::Paced,
        Self::Idle,
        Self::Few,
    ];

    fn letter(self) -> char {
        match self {
            Self::Serial => 'S',
            Self::Saturated => 'A',
            Self::Paced => 'B',
            Self::Idle => 'C',
            Self::Few => 'D',
        }
    }

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
        let mut trial = Trial::start(system.setup(self.connections(plan)))?;
        Ok(match self {
            Self::Serial => trial.load(1, plan.time)?.of_delivery(),
            Self::Saturated => trial.load(WINDOW, plan.time)?.of_delivery(),
            Self::Few => trial.load(WINDOW, plan.time)?.of_event(),
            Self::Paced => trial.pace(plan.period(), NO_LIMIT, plan.time)?.of_time(),
            Self::Idle => Figures {
                cost: trial.idle_bytes,
                beside: f64::NAN,
                client: f64::NAN,
                deliveries: 0.0,
            },
        })
    }
}

impl Trial {
    pub(crate) fn start(setup: Setup) -> Outcome<Self> {
        let running = setup.start()?;
        let before = running.resident()?;
        let client = setup.client(&running)?;
        let bytes = running.resident()? - before;
        Ok(Self {
            running,
            client,
            idle_bytes: bytes / f64::from(setup.connections),
            setup,
        })
    }

    /// Keeps so many events on their way; measures after a while in which Node compiles what it runs often.
    pub(crate) fn load(&mut self, window: u64, time: Duration) -> Outcome<Flown> {
        self.keep(window, time / 4)?;
        self.keep(window, time)
    }

    /// Keeps so many events on their way, from the first on.
    pub(crate) fn keep(&mut self, window: u64, time: Duration) -> Outcome<Flown> {
        self.fly(&format!("keep {window} {}", time.as_millis()))
    }

    /// Asks for an event in each period unless `limit` are on their way.
    pub(crate) fn pace(
        &mut self,
        period: Duration,
        limit: usize,
        time: Duration,
    ) -> Outcome<Flown> {
        let (millis, nanos) = (time.as_millis(), period.as_nanos());
        self.fly(&format!("pace {limit} {millis} {nanos}"))
    }

    fn fly(&mut self, command: &str) -> Outcome<Flown> {
        let before = (self.running.cpu()?, self.client_cpu()?);
        self.client.tell(command)?;
        let words = self.client.hear("flown")?;
        let after = (self.running.cpu()?, self.client_cpu()?);
        let [events, nanos, p50, p99, held] = *words.as_slice() else {
            return Err("a client without figures".into());
        };
        let seconds = nanos as f64 / 1e9;
        Ok(Flown {
            events: events as f64,
            deliveries: self.setup.deliveries(events),
            seconds,
            p50: p50 as f64 / 1e6,
            p99: p99 as f64 / 1e6,
            held,
            micros: (after.0 - before.0) * 1e6,
            client: (after.1 - before.1) / seconds,
        })
    }

    fn client_cpu(&self) -> Outcome<f64> {
        let cpu = self.client.cpu()?;
        Ok(cpu.user + cpu.system)
    }
}

impl Flown {
    pub(crate) fn of_delivery(&self) -> Figures {
        Figures {
            cost: self.micros / self.deliveries,
            beside: self.deliveries / self.seconds,
            client: self.client,
            deliveries: self.deliveries,
        }
    }

    pub(crate) fn of_event(&self) -> Figures {
        Figures {
            cost: self.micros / self.events,
            beside: self.events / self.seconds,
            ..self.of_delivery()
        }
    }

    fn of_time(&self) -> Figures {
        Figures {
            cost: self.p50,
            beside: self.p99,
            ..self.of_delivery()
        }
    }
}

/// How many events are on their way in A and D.
pub(crate) const WINDOW: u64 = 32;
const PERIOD: Duration = Duration::from_millis(50);
/// Of events on their way.
pub(crate) const NO_LIMIT: usize = usize::MAX;
