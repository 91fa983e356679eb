//! The load client: keeps some events in flight and checks every delivery on every connection.
//!
//! It reads commands from its input: `run WINDOW MILLISECONDS` and `end`. Its answers are lines, too.

use std::cell::RefCell;
use std::io::{BufRead, stdin};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, StreamExt, TryStreamExt, iter};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::Outcome;
use crate::flight::{Flight, Nothing};
use crate::handshake::{Protocol, open};
use crate::process::say;
use crate::receiver::Receiver;

/// Opens connections to a server and does what the parent process says.
pub(crate) fn main(args: &[&str]) -> Outcome<()> {
    let [protocol, connections, port, control] = args else {
        return Err("a client needs a protocol, a number of connections and two ports".into());
    };
    let protocol = match *protocol {
        "socketio" => Protocol::SocketIo,
        _ => Protocol::Bare,
    };
    let ports = [port.parse()?, control.parse()?];
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut client = runtime.block_on(Client::open(protocol, connections.parse()?, ports))?;
    say("open")?;
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let ["run", window, millis] = words.as_slice() else {
            break;
        };
        let time = Duration::from_millis(millis.parse()?);
        let done = runtime.block_on(client.run(window.parse()?, time))?;
        say(&format!("done {} {}", done.events, done.time.as_nanos()))?;
    }
    runtime.block_on(client.end())?;
    say("ended")
}

struct Client {
    receivers: Vec<Receiver>,
    /// Each byte on it asks the server for one event.
    control: TcpStream,
    /// What one connection at a time reads into.
    buffer: RefCell<Vec<u8>>,
}

/// What a run came to.
struct Done {
    events: u64,
    time: Duration,
}

impl Client {
    async fn open(
        protocol: Protocol,
        connections: usize,
        [port, control]: [u16; 2],
    ) -> Outcome<Self> {
        let receivers = iter(0..connections)
            .map(|_| open(port, protocol))
            .buffer_unordered(HANDSHAKES_AT_ONCE)
            .map_ok(|(stream, tail)| Receiver::new(stream, tail))
            .try_collect()
            .await?;
        let control = TcpStream::connect(("127.0.0.1", control)).await?;
        control.set_nodelay(true)?;
        Ok(Self {
            receivers,
            control,
            buffer: RefCell::new(vec![0; BUFFER]),
        })
    }

    /// Keeps `window` events in flight for `time`, then waits for those that are.
    async fn run(&mut self, window: usize, time: Duration) -> Outcome<Done> {
        let first = self.receivers.first().map_or(0, Receiver::next);
        let flight = RefCell::new(Flight::new(first, window, self.receivers.len()));
        let began = Instant::now();
        let ended = timeout(time + PATIENCE, self.fly(&flight, window, began + time)).await;
        let flight = flight.into_inner();
        match ended {
            Ok(Ok(())) => Ok(Done {
                events: flight.oldest() - first,
                time: began.elapsed(),
            }),
            Ok(Err(error)) => Err(format!("{error}; {}", flight.describe()).into()),
            Err(_) => Err(flight.describe().into()),
        }
    }

    async fn fly(
        &mut self,
        flight: &RefCell<Flight>,
        window: usize,
        until: Instant,
    ) -> Outcome<()> {
        let (buffer, control, over) = (&self.buffer, &self.control, Notify::new());
        // Whichever fails first; what waits for all in order would see the others fail when the first is done.
        let receiving = self.receivers.iter_mut().map(async |receiver| {
            loop {
                receiver.receive(buffer, flight).await?;
                let mut flight = flight.borrow_mut();
                ask(control, flight.renew(Instant::now() < until))?;
                if flight.is_over() {
                    over.notify_one();
                }
                if receiver.is_closed() {
                    return Err::<(), _>("the server closed a connection".into());
                }
            }
        });
        let mut receiving: FuturesUnordered<_> = receiving.collect();
        ask(control, window)?;
        tokio::select! {
            closed = receiving.try_next() => closed.map(|_| ()),
            () = over.notified() => Ok(()),
        }
    }

    /// Ends the server and reads every connection to its end, to see that no event comes twice.
    async fn end(self) -> Outcome<()> {
        let Self {
            mut receivers,
            control,
            buffer,
        } = self;
        drop(control);
        let nothing = RefCell::new(Nothing);
        let reading = try_join_all(receivers.iter_mut().map(async |receiver| {
            while !receiver.is_closed() {
                receiver.receive(&buffer, &nothing).await?;
            }
            Outcome::Ok(())
        }));
        timeout(PATIENCE, reading)
            .await
            .map_err(|_| "the server does not end")??;
        Ok(())
    }
}

fn ask(control: &TcpStream, events: usize) -> Outcome<()> {
    if events > 0 {
        control.try_write(&vec![0; events])?;
    }
    Ok(())
}

const BUFFER: usize = 256 << 10;
const HANDSHAKES_AT_ONCE: usize = 64;
/// How long the client waits for what must come.
const PATIENCE: Duration = Duration::from_secs(15);
