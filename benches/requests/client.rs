//! The load client: each of its connections asks, checks the answer and asks again.
//!
//! It reads commands from its input: `run MILLISECONDS`. Its answers are lines, too.

use std::io::{BufRead, stdin};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::Outcome;
use crate::exchange::{Exchange, Method, Transport};
use crate::handshake::{Protocol, open};
use crate::process::say;

/// Opens connections to a server and does what the parent process says.
pub(crate) fn main(args: &[&str]) -> Outcome<()> {
    let [transport, method, connections, in_flight, port] = args else {
        return Err(
            "a client needs a transport, a method, numbers of connections and of requests in flight, and a port".into(),
        );
    };
    let transport = Transport::ALL
        .into_iter()
        .find(|known| known.label() == *transport);
    let method = Method::ALL
        .into_iter()
        .find(|known| known.label() == *method);
    let (transport, method) = transport
        .zip(method)
        .ok_or("an unknown transport or method")?;
    let (connections, in_flight) = (connections.parse::<usize>()?, in_flight.parse()?);
    let port = port.parse()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let opening = (0..connections).map(|at| Asker::open(transport, method, port, at));
    let mut askers = runtime.block_on(try_join_all(opening))?;
    say("open")?;
    for line in stdin().lock().lines() {
        let line = line?;
        let Some(("run", millis)) = line.split_once(' ') else {
            break;
        };
        let time = Duration::from_millis(millis.parse()?);
        let began = Instant::now();
        let n = runtime.block_on(run(&mut askers, in_flight, began + time))?;
        say(&format!("done {n} {}", began.elapsed().as_nanos()))?;
    }
    Ok(())
}

/// Returns how many answers came.
async fn run(askers: &mut [Asker], in_flight: usize, until: Instant) -> Outcome<usize> {
    let asking = try_join_all(
        askers
            .iter_mut()
            .map(|asker| asker.ask_again(in_flight, until)),
    );
    let late = until.saturating_duration_since(Instant::now()) + PATIENCE;
    Ok(timeout(late, asking)
        .await
        .map_err(|_| "an answer is missing")??
        .iter()
        .sum())
}

/// One connection.
struct Asker {
    stream: TcpStream,
    transport: Transport,
    /// What is asked in turn.
    exchanges: Vec<Exchange>,
    received: Vec<u8>,
}

impl Asker {
    async fn open(transport: Transport, method: Method, port: u16, at: usize) -> Outcome<Self> {
        let protocol = match transport {
            Transport::Rest => Protocol::Bare,
            Transport::Socket => Protocol::SocketIo,
        };
        let (stream, received) = open(port, protocol).await?;
        let exchange = |turn| Exchange::new(transport, method, at * TURNS + turn + 1);
        Ok(Self {
            stream,
            transport,
            exchanges: (0..TURNS).map(exchange).collect(),
            received,
        })
    }

    /// Asks again and again, so many requests at once; returns how many answers came.
    async fn ask_again(&mut self, in_flight: usize, until: Instant) -> Outcome<usize> {
        let mut n = 0;
        while Instant::now() < until {
            let turns = (n..n + in_flight).map(|turn| turn % TURNS);
            n += in_flight;
            self.ask(turns).await?;
        }
        Ok(n)
    }

    /// Sends requests in one piece, and waits for their answers, which come in order.
    async fn ask(&mut self, turns: impl Iterator<Item = usize> + Clone) -> Outcome<()> {
        let asked = turns.map(|turn| &self.exchanges[turn]);
        let requests: Vec<&[u8]> = asked.clone().map(|asked| &*asked.request).collect();
        self.stream.write_all(&requests.concat()).await?;
        for exchange in asked {
            while !exchange.answered(self.transport, &mut self.received)? {
                if self.stream.read_buf(&mut self.received).await? == 0 {
                    return Err("the server closed a connection".into());
                }
            }
        }
        Ok(())
    }
}

/// Different requests of each connection.
const TURNS: usize = 32;
/// How long the client waits for what must come.
const PATIENCE: Duration = Duration::from_secs(15);
