//! What is measured: all servers in turn, for every transport and method.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::exchange::{Method, Transport, rows};
use crate::figures::setting;
use crate::process::Process;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: u32,
    pub(crate) in_flight: u32,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
}

/// What one server did with one kind of request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Seconds of CPU.
    pub(crate) user: f64,
    pub(crate) system: f64,
}

/// What all did with one kind of request in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) transport: Transport,
    pub(crate) method: Method,
    pub(crate) wingbeat: Load,
    pub(crate) feathers: Load,
    pub(crate) floor: Load,
}

/// Lets all servers take their turn with every kind of request, in fresh processes.
pub(crate) fn round(plan: &Plan) -> Outcome<Vec<Measured>> {
    let rows = rows().to_string();
    let wingbeat = Server::started(Process::start("node", &[&rows])?)?;
    let feathers = Server::started(Process::run(&mut feathers(&rows))?)?;
    let floor = Server::started(Process::start("floor", &[&rows])?)?;
    let mut measured = Vec::new();
    for transport in Transport::ALL {
        for method in Method::ALL {
            measured.push(Measured {
                transport,
                method,
                wingbeat: wingbeat.measure(plan, transport, method)?,
                feathers: feathers.measure(plan, transport, method)?,
                floor: floor.measure(plan, transport, method)?,
            });
        }
    }
    Ok(measured)
}

impl Plan {
    /// Reads the plans of a bench.
    pub(crate) fn from_env() -> Outcome<Vec<Self>> {
        let in_flight: String = setting("WINGBEAT_BENCH_IN_FLIGHT", "1,2,16".to_owned())?;
        in_flight.split(',').map(Self::with).collect()
    }

    fn with(in_flight: &str) -> Outcome<Self> {
        let in_flight = in_flight.trim().parse();
        Ok(Self {
            connections: setting("WINGBEAT_BENCH_CONNECTIONS", 32)?,
            in_flight: in_flight.map_err(|_| "WINGBEAT_BENCH_IN_FLIGHT is no list of numbers")?,
            time: Duration::from_secs_f64(setting("WINGBEAT_BENCH_SECONDS", 2.0)?),
            rounds: setting("WINGBEAT_BENCH_ROUNDS", 3)?,
        })
    }

    /// Returns the plan of a test, which wants answers and no figures.
    pub(crate) fn short() -> Self {
        Self {
            connections: 4,
            in_flight: 2,
            time: Duration::from_millis(200),
            rounds: 1,
        }
    }
}

/// A server that listens.
struct Server {
    process: Process,
    port: u64,
}

impl Server {
    fn started(mut process: Process) -> Outcome<Self> {
        match *process.hear("listening")?.as_slice() {
            [port] => Ok(Self { process, port }),
            _ => Err("a server without a port".into()),
        }
    }

    /// Measures after a while in which Node compiles what it runs often.
    fn measure(&self, plan: &Plan, transport: Transport, method: Method) -> Outcome<Load> {
        let numbers = [plan.connections, plan.in_flight].map(|number| number.to_string());
        let [connections, in_flight] = &numbers;
        let (transport, method) = (transport.label(), method.label());
        let port = self.port.to_string();
        let args = [transport, method, connections, in_flight, &port];
        let mut client = Process::start("client", &args)?;
        client.hear("open")?;
        run(&mut client, plan.time / 2)?;
        let before = self.process.cpu()?;
        let (requests, seconds) = run(&mut client, plan.time)?;
        let after = self.process.cpu()?;
        Ok(Load {
            requests,
            seconds,
            user: after.user - before.user,
            system: after.system - before.system,
        })
    }
}

impl Load {
    /// Returns the microseconds of CPU that a request took, from the seconds that all took.
    pub(crate) fn per_request(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.requests
    }

    pub(crate) fn cpu(&self) -> f64 {
        self.per_request(self.user + self.system)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.requests / self.seconds
    }
}

impl Measured {
    /// Returns how many requests a server answers with the CPU time that Feathers takes for one.
    pub(crate) fn ratio(&self, server: Load) -> f64 {
        self.feathers.cpu() / server.cpu()
    }

    /// The same without the time that the kernel takes for sockets.
    pub(crate) fn user_ratio(&self, server: Load) -> f64 {
        self.feathers.per_request(self.feathers.user) / server.per_request(server.user)
    }
}

/// Returns how many answers came, and in how many seconds.
fn run(client: &mut Process, time: Duration) -> Outcome<(f64, f64)> {
    client.tell(&format!("run {}", time.as_millis()))?;
    match *client.hear("done")?.as_slice() {
        [requests, nanos] => Ok((requests as f64, nanos as f64 / 1e9)),
        _ => Err("a client without figures".into()),
    }
}

fn feathers(rows: &str) -> Command {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/requests-server.mjs");
    let mut command = Command::new("node");
    command.arg(server).arg(rows).env("NODE_ENV", "production");
    command
}
