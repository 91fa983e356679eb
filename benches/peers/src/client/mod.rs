//! The load client: its connections are spread over the nodes; it checks every delivery on every connection.
//!
//! It reads commands from its input: `keep WINDOW MILLISECONDS` keeps so many events on their way, and
//! `pace LIMIT MILLISECONDS PERIOD` asks for one in each period, which is in nanoseconds, unless so many are on their way.
//! It answers each with `flown EVENTS TIME P50 P99 HELD`: times in nanoseconds, the quantiles those of the time from asking for
//! an event to its receipt at the last connection, and how many events it held back at the limit.
//!
//! One thread does it all: a connection costs no task, and what has come is read by one call into one buffer.

mod chunks;
mod flight;
pub(crate) mod prober;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;
pub(crate) mod visitors;
mod wire;

use std::cell::{Cell, RefCell};
use std::io::{BufRead, stdin};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt, TryStreamExt, iter};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::{interval, sleep, timeout};

use crate::Outcome;
use crate::process::say;
use flight::{Flight, Script};
use receiver::Receiver;
use sender::Sender;
pub(crate) use wire::Protocol;
use wire::Target;

/// Opens connections and does what the parent process says.
pub(crate) fn main(args: &[&str]) -> Outcome<()> {
    let [protocol, shape, connections, stalled, control, ports @ ..] = args else {
        return Err(
            "a client needs a protocol, a shape, two numbers of connections and ports".into(),
        );
    };
    let script = Script {
        protocol: Protocol::named(protocol)?,
        shape: shape.parse()?,
        connections: connections.parse()?,
        stalled: stalled.parse()?,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let opening = Client::open(script, control.parse()?, ports_of(ports)?);
    let mut client = runtime.block_on(opening)?;
    say("open")?;
    for line in stdin().lock().lines() {
        let Some(load) = Load::of(&line?)? else { break };
        say(&runtime.block_on(client.fly(load))?)?;
    }
    runtime.block_on(client.sender.end());
    Ok(())
}

fn ports_of(words: &[&str]) -> Outcome<Vec<u16>> {
    Ok(words
        .iter()
        .map(|port| port.parse())
        .collect::<Result<_, _>>()?)
}

struct Client {
    script: Script,
    receivers: Vec<Receiver>,
    #[expect(dead_code, reason = "they are open, and nobody reads them")]
    stalled: Vec<TcpStream>,
    sender: Sender,
    /// What one connection at a time reads into.
    buffer: RefCell<Vec<u8>>,
}

/// How many events are asked for, and for how long.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// How many are on their way, at most.
    window: usize,
    time: Duration,
    /// An event is asked for in each; without it, whenever one has come.
    period: Option<Duration>,
}

/// What flies, and what to do whenever something lands.
struct Air<'a> {
    load: Load,
    began: Instant,
    flight: RefCell<Flight>,
    sender: &'a Sender,
    is_empty: Notify,
    /// How many events were not asked for because too many were on their way.
    held: Cell<u64>,
}

impl Load {
    fn of(line: &str) -> Outcome<Option<Self>> {
        let words: Vec<&str> = line.split(' ').collect();
        let (window, millis, period) = match words.as_slice() {
            ["keep", window, millis] => (window, millis, None),
            ["pace", limit, millis, period] => (limit, millis, Some(period.parse()?)),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            window: window.parse()?,
            time: Duration::from_millis(millis.parse()?),
            period: period.map(Duration::from_nanos),
        }))
    }
}

impl Client {
    async fn open(script: Script, control: u16, ports: Vec<u16>) -> Outcome<Self> {
        // They come first, so that they are before the others wherever that matters.
        let stalled = (0..script.stalled).map(async |at| {
            let target = Target {
                receive_buffer: Some(STALLED_BUFFER),
                ..script.target(script.connections + at, &ports)
            };
            Ok(script.protocol.open(target).await?.0)
        });
        let stalled = all(stalled).await?;
        let receivers = (0..script.connections).map(async |at| {
            let opened = script.protocol.open(script.target(at, &ports)).await?;
            Receiver::new(&script, at, opened)
        });
        Ok(Self {
            script,
            receivers: all(receivers).await?,
            stalled,
            sender: Sender::open(script.protocol, script.shape, control).await?,
            buffer: RefCell::new(vec![0; BUFFER]),
        })
    }

    /// Asks for events for a while, then waits for those that are on their way.
    async fn fly(&mut self, load: Load) -> Outcome<String> {
        let first = self.sender.seq();
        let air = Air {
            load,
            began: Instant::now(),
            flight: RefCell::new(Flight::new(self.script, first)),
            sender: &self.sender,
            is_empty: Notify::new(),
            held: Cell::new(0),
        };
        let flown = timeout(load.time + PATIENCE, async {
            tokio::select! {
                failed = receive(&mut self.receivers, &self.buffer, &air) => failed.map(|()| Duration::ZERO),
                failed = self.sender.run() => failed.map(|()| Duration::ZERO),
                flown = air.fly() => flown,
            }
        });
        let time = match flown.await {
            Ok(Ok(time)) => time,
            Ok(Err(error)) => return Err(air.failed(&error.to_string())),
            Err(_) => return Err(air.failed("time is over")),
        };
        let took = air.flight.borrow().took();
        let (n, held) = (took.len(), air.held.get());
        let [p50, p99] = [0.5, 0.99].map(|of| quantile(&took, of));
        Ok(format!("flown {n} {} {p50} {p99} {held}", time.as_nanos()))
    }
}

impl Air<'_> {
    /// Returns when nothing is on its way any more, and how long that took.
    async fn fly(&self) -> Outcome<Duration> {
        match self.load.period {
            None => self.launch(self.load.window)?,
            Some(period) => self.pace(period).await?,
        }
        while !self.flight.borrow().is_empty() {
            self.is_empty.notified().await;
        }
        let time = self.began.elapsed();
        // An event that comes twice has its second time here.
        sleep(AFTERWARDS).await;
        Ok(time)
    }

    async fn pace(&self, period: Duration) -> Outcome<()> {
        let mut ticks = interval(period);
        while self.began.elapsed() < self.load.time {
            ticks.tick().await;
            if self.flight.borrow().len() < self.load.window {
                self.launch(1)?;
            } else {
                self.held.set(self.held.get() + 1);
            }
        }
        Ok(())
    }

    fn launch(&self, n: usize) -> Outcome<()> {
        self.flight.borrow_mut().launch(n);
        self.sender.ask(n)
    }

    fn on_receipt(&self) -> Outcome<()> {
        let landed = self.flight.borrow_mut().land();
        if landed > 0 && self.load.period.is_none() && self.began.elapsed() < self.load.time {
            self.launch(landed)?;
        }
        if landed > 0 && self.flight.borrow().is_empty() {
            self.is_empty.notify_one();
        }
        Ok(())
    }

    fn failed(&self, why: &str) -> Box<dyn std::error::Error> {
        format!("{why}; {}", self.flight.borrow().describe()).into()
    }
}

/// Opens connections, some at a time.
async fn all<T>(
    opening: impl Iterator<Item = impl Future<Output = Outcome<T>>>,
) -> Outcome<Vec<T>> {
    iter(opening)
        .buffer_unordered(HANDSHAKES_AT_ONCE)
        .try_collect()
        .await
}

/// Receives on all connections until something goes wrong.
async fn receive(
    receivers: &mut [Receiver],
    buffer: &RefCell<Vec<u8>>,
    air: &Air<'_>,
) -> Outcome<()> {
    let receiving = receivers.iter_mut().map(async |receiver| {
        loop {
            receiver.receive(buffer, &air.flight).await?;
            air.on_receipt()?;
            if receiver.is_closed() {
                return Err::<(), _>("the server closed a connection".into());
            }
        }
    });
    // Whichever fails first; what waits for all in order would see the others fail when the first is done.
    let mut receiving: FuturesUnordered<_> = receiving.collect();
    receiving.try_next().await.map(|_| ())
}

/// Returns the figure below which such a share of them is; they are in order, and there is at least one.
fn quantile(figures: &[u64], share: f64) -> u64 {
    figures[((figures.len() - 1) as f64 * share).round() as usize]
}

/// More than a large event and the half of another one.
const BUFFER: usize = 256 << 10;
/// What the kernel may keep for a client that does not read; it takes twice that.
const STALLED_BUFFER: u32 = 4_096;
const HANDSHAKES_AT_ONCE: usize = 64;
/// How long the client waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it listens for what must not.
const AFTERWARDS: Duration = Duration::from_millis(20);
