//! What is measured: every system once per round.

use std::env::temp_dir;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::broker::Broker;
use crate::figures::setting;
use crate::process::{Cpu, Process, cpu_of};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Events of each measurement of CPU.
    pub(crate) events: u64,
    /// Events of each measurement of latency.
    pub(crate) paced: u64,
    pub(crate) rounds: usize,
}

/// What is measured against what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Two apps.
    Wingbeat,
    /// Two links of the adapter.
    Adapter,
    /// Two links by the broker's own client library.
    Client,
}

/// What one system did in one round.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) events_per_second: f64,
    /// Microseconds of CPU per event.
    pub(crate) sender: f64,
    pub(crate) receiver: f64,
    pub(crate) broker: f64,
    /// Events per batch.
    pub(crate) batch: f64,
    /// Microseconds from emit to listener when paced, sorted.
    pub(crate) latencies: Vec<f64>,
}

/// What all did in one round.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) wingbeat: Measured,
    pub(crate) adapter: Measured,
    pub(crate) client: Measured,
}

/// Lets all systems take their turn, each in fresh processes; the others play what wingbeat published.
pub(crate) fn round(plan: &Plan, broker: &impl Broker) -> Outcome<Round> {
    let tape = TapeFile::new();
    Ok(Round {
        wingbeat: System::Wingbeat.measure(plan, broker, &tape)?,
        adapter: System::Adapter.measure(plan, broker, &tape)?,
        client: System::Client.measure(plan, broker, &tape)?,
    })
}

impl Round {
    pub(crate) fn of(&self, system: System) -> &Measured {
        match system {
            System::Wingbeat => &self.wingbeat,
            System::Adapter => &self.adapter,
            System::Client => &self.client,
        }
    }
}

impl Plan {
    /// Reads the plan of a bench.
    pub(crate) fn from_env() -> Outcome<Self> {
        let seconds = Duration::from_secs_f64(setting("WINGBEAT_BENCH_SECONDS", 2.0)?);
        Ok(Self {
            events: setting("WINGBEAT_BENCH_EVENTS", 100_000)?,
            paced: u64::try_from(seconds.as_micros() / PACE.as_micros())?.max(1),
            rounds: setting("WINGBEAT_BENCH_ROUNDS", 5)?,
        })
    }

    /// Returns the plan of a test, which wants events and no figures.
    pub(crate) fn short() -> Self {
        Self {
            events: 5_000,
            paced: 20,
            rounds: 1,
        }
    }
}

impl System {
    /// Returns how the table calls it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Wingbeat => "wingbeat",
            Self::Adapter => "bare adapter",
            Self::Client => "bare client",
        }
    }

    fn roles(self) -> (&'static str, &'static str) {
        match self {
            Self::Wingbeat => ("node-a", "node-b"),
            Self::Adapter => ("adapter-a", "adapter-b"),
            Self::Client => ("client-a", "client-b"),
        }
    }

    fn measure(self, plan: &Plan, broker: &impl Broker, tape: &TapeFile) -> Outcome<Measured> {
        let (sender, receiver) = self.roles();
        let (uri, tape) = (broker.uri(), tape.0.to_string_lossy());
        let mut pair = Pair {
            receiver: started(receiver, &uri, &tape)?,
            sender: started(sender, &uri, &tape)?,
        };
        pair.load(plan.events)?;
        pair.tape()?;
        let before = pair.cpu(broker)?;
        let (seconds, batches) = pair.load(plan.events)?;
        let after = pair.cpu(broker)?;
        let latencies = pair.pace(plan.paced)?;
        pair.end()?;
        let events = plan.events as f64;
        let cpu = |at: usize| (total(after[at]) - total(before[at])) * 1e6 / events;
        Ok(Measured {
            events_per_second: events / seconds,
            sender: cpu(0),
            receiver: cpu(1),
            broker: cpu(2),
            batch: events / batches as f64,
            latencies,
        })
    }
}

impl Measured {
    pub(crate) fn both(&self) -> f64 {
        self.sender + self.receiver
    }

    /// Returns the latency that a share of the events did not exceed.
    pub(crate) fn latency(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round();
        let at = (0..=last).find(|place| *place as f64 >= at);
        at.and_then(|at| self.latencies.get(at).copied())
            .unwrap_or(f64::NAN)
    }
}

/// The processes of one system.
struct Pair {
    sender: Process,
    receiver: Process,
}

impl Pair {
    /// Returns how many seconds it took until all events had come, and in how many batches they went.
    ///
    /// The sender's window does not see a receiver that falls behind, so that has to catch up after every slice.
    fn load(&mut self, events: u64) -> Outcome<(f64, u64)> {
        let (mut seconds, mut batches, mut left) = (0.0, 0, events);
        while left > 0 {
            let slice = self.load_slice(left.min(SLICE))?;
            left -= left.min(SLICE);
            seconds += slice.0;
            batches += slice.1;
        }
        Ok((seconds, batches))
    }

    fn load_slice(&mut self, events: u64) -> Outcome<(f64, u64)> {
        self.receiver.tell(&format!("load {events}"))?;
        self.receiver.hear("ready")?;
        let began = Instant::now();
        self.sender.tell(&format!("load {events}"))?;
        let done = self.sender.hear("done")?;
        self.receiver.hear("done")?;
        let seconds = began.elapsed().as_secs_f64();
        match *done.as_slice() {
            [_, batches] => Ok((seconds, batches)),
            _ => Err("a sender without figures".into()),
        }
    }

    fn tape(&mut self) -> Outcome<()> {
        self.sender.tell("tape")?;
        self.sender.hear("taped").map(|_| ())
    }

    fn pace(&mut self, events: u64) -> Outcome<Vec<f64>> {
        self.receiver.tell(&format!("pace {events}"))?;
        self.receiver.hear("ready")?;
        let micros = PACE.as_micros();
        self.sender.tell(&format!("pace {events} {micros}"))?;
        let (sent, heard) = (self.sender.hear("times")?, self.receiver.hear("times")?);
        let latency = |(sent, heard): (u64, u64)| (heard as f64 - sent as f64) / 1e3;
        let mut latencies: Vec<f64> = sent.into_iter().zip(heard).map(latency).collect();
        latencies.sort_by(f64::total_cmp);
        Ok(latencies)
    }

    /// Returns the CPU time of the sender, the receiver and the broker.
    fn cpu(&self, broker: &impl Broker) -> Outcome<[Cpu; 3]> {
        let broker = cpu_of(broker.pid())?;
        Ok([self.sender.cpu()?, self.receiver.cpu()?, broker])
    }

    fn end(mut self) -> Outcome<()> {
        self.sender.tell("end")?;
        self.sender.finish()?;
        self.receiver.tell("end")?;
        self.receiver.finish()
    }
}

/// Where a tape is kept while a round needs it.
struct TapeFile(PathBuf);

impl TapeFile {
    fn new() -> Self {
        Self(temp_dir().join(format!("wingbeat-sync-{}.tape", process::id())))
    }
}

impl Drop for TapeFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn started(role: &str, uri: &str, tape: &str) -> Outcome<Process> {
    let mut process = Process::start(role, &[uri, tape])?;
    process.hear("open")?;
    Ok(process)
}

fn total(cpu: Cpu) -> f64 {
    cpu.user + cpu.system
}

/// Fewer events than a node's log holds, so that a receiver that loses its link for a moment can be given all of them again.
const SLICE: u64 = 8_000;
/// From one event to the next when latency is measured: 200 a second.
const PACE: Duration = Duration::from_millis(5);
