//! The load client: half of its connections are on each node; it checks every delivery on every connection.
//!
//! It reads commands from its input, `run WINDOW MILLISECONDS` and `pace PERIOD MILLISECONDS` with the period in
//! microseconds, and answers with lines: `done EVENTS NANOSECONDS`, or `paced P50 P99` in nanoseconds.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, stdin};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::{interval, timeout};

use crate::Outcome;
use crate::flight::Flight;
use crate::handshake::{Protocol, open};
use crate::process::say;
use crate::receiver::Receiver;
use crate::sender::Sender;

/// Opens connections and does what the parent process says.
pub(crate) fn main(args: &[&str]) -> Outcome<()> {
    let [protocol, connections, control, ports @ ..] = args else {
        return Err("a client needs a protocol, a number of connections and ports".into());
    };
    let protocol = match *protocol {
        "socketio" => Protocol::SocketIo,
        _ => Protocol::Bare,
    };
    let ports = ports
        .iter()
        .map(|port| port.parse())
        .collect::<Result<Vec<u16>, _>>()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let opening = Client::open(protocol, connections.parse()?, control.parse()?, &ports);
    let mut client = runtime.block_on(opening)?;
    say("open")?;
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [command, figure, millis] = words.as_slice() else {
            break;
        };
        let time = Duration::from_millis(millis.parse()?);
        let answer = match *command {
            "run" => runtime.block_on(client.run(figure.parse()?, time))?,
            _ => runtime.block_on(client.pace(Duration::from_micros(figure.parse()?), time))?,
        };
        say(&answer)?;
    }
    runtime.block_on(client.sender.end());
    Ok(())
}

struct Client {
    receivers: Vec<Receiver>,
    sender: Sender,
    /// What one connection at a time reads into.
    buffer: RefCell<Vec<u8>>,
}

impl Client {
    async fn open(
        protocol: Protocol,
        connections: usize,
        control: u16,
        ports: &[u16],
    ) -> Outcome<Self> {
        let receivers = iter(0..connections)
            .map(|at| open(ports[at % ports.len()], protocol))
            .buffer_unordered(HANDSHAKES_AT_ONCE)
            .map_ok(|(stream, tail)| Receiver::new(stream, tail))
            .try_collect()
            .await?;
        Ok(Self {
            receivers,
            sender: Sender::open(protocol, control).await?,
            buffer: RefCell::new(vec![0; BUFFER]),
        })
    }

    fn first(&self) -> u64 {
        self.receivers.first().map_or(0, Receiver::next)
    }

    /// Keeps `window` events in flight for `time`, then waits for those that are.
    async fn run(&mut self, window: usize, time: Duration) -> Outcome<String> {
        let first = self.first();
        let flight = RefCell::new(Flight::new(first, window, self.receivers.len()));
        let (began, over) = (Instant::now(), Notify::new());
        let on_receipt = |sender: &Sender| {
            let mut flight = flight.borrow_mut();
            sender.ask(flight.renew(began.elapsed() < time))?;
            if flight.is_over() {
                over.notify_one();
            }
            Ok(())
        };
        self.sender.ask(window)?;
        let fly = self.fly(&flight, on_receipt, over.notified());
        let ended = timeout(time + PATIENCE, fly).await;
        settled(ended, &flight)?;
        let n_events = flight.borrow().oldest() - first;
        Ok(format!("done {n_events} {}", began.elapsed().as_nanos()))
    }

    /// Asks for an event in each period and measures how long it takes until the last connection has it.
    async fn pace(&mut self, period: Duration, time: Duration) -> Outcome<String> {
        let n_events = time.div_duration_f64(period).ceil() as usize;
        let first = self.first();
        let flight = RefCell::new(Flight::new(first, n_events, self.receivers.len()));
        let (sent, took) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let (n_heard, over) = (Cell::new(0), Notify::new());
        let on_receipt = |_: &Sender| {
            flight.borrow_mut().renew(false);
            n_heard.set((flight.borrow().oldest() - first) as usize);
            let mut took = took.borrow_mut();
            while took.len() < n_heard.get() {
                let at: Instant = sent.borrow()[took.len()];
                took.push(at.elapsed().as_nanos());
            }
            if flight.borrow().is_over() {
                over.notify_one();
            }
            Ok(())
        };
        let sending = async |sender: &Sender| {
            let mut ticks = interval(period);
            for _ in 0..n_events {
                ticks.tick().await;
                sent.borrow_mut().push(Instant::now());
                sender.ask(1)?;
            }
            over.notified().await;
            Outcome::Ok(())
        };
        let sender = &self.sender;
        let receivers = &mut self.receivers;
        let fly = fly(receivers, sender, &self.buffer, &flight, on_receipt);
        let ended = timeout(time + PATIENCE, async {
            tokio::select! {
                sent = sending(sender) => sent,
                failed = fly => failed,
            }
        });
        let ended = ended.await;
        settled(ended, &flight)?;
        let mut took = took.into_inner();
        took.sort_unstable();
        let quantile = |of: f64| took[((took.len() - 1) as f64 * of).round() as usize];
        Ok(format!("paced {} {}", quantile(0.5), quantile(0.99)))
    }

    async fn fly(
        &mut self,
        flight: &RefCell<Flight>,
        on_receipt: impl Fn(&Sender) -> Outcome<()>,
        over: impl Future<Output = ()>,
    ) -> Outcome<()> {
        tokio::select! {
            failed = fly(&mut self.receivers, &self.sender, &self.buffer, flight, on_receipt) => failed,
            () = over => Ok(()),
        }
    }
}

/// Receives on all connections until something goes wrong.
async fn fly(
    receivers: &mut [Receiver],
    sender: &Sender,
    buffer: &RefCell<Vec<u8>>,
    flight: &RefCell<Flight>,
    on_receipt: impl Fn(&Sender) -> Outcome<()>,
) -> Outcome<()> {
    let receiving = try_join_all(receivers.iter_mut().map(async |receiver| {
        loop {
            receiver.receive(buffer, flight).await?;
            on_receipt(sender)?;
            if receiver.is_closed() {
                return Err::<(), _>("the server closed a connection".into());
            }
        }
    }));
    tokio::select! {
        failed = receiving => failed.map(|_| ()),
        failed = sender.run() => failed,
    }
}

fn settled<E>(ended: Result<Outcome<()>, E>, flight: &RefCell<Flight>) -> Outcome<()> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{error}; {}", flight.borrow().describe()).into()),
        Err(_) => Err(flight.borrow().describe().into()),
    }
}

const BUFFER: usize = 256 << 10;
const HANDSHAKES_AT_ONCE: usize = 64;
/// How long the client waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);
