//! Clients that come, hear some events and leave; each checks that it hears one event after the other, unaltered.
//!
//! The process reads commands from its input, `visit RATE MILLISECONDS` with the rate a second, and answers with `visited VISITORS EVENTS`
//! when all have left.

use std::io::{BufRead, stdin};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::{interval, timeout};

use super::ports_of;
use super::wire::{Protocol, Target};
use crate::Outcome;
use crate::frame::{Frame, masked};
use crate::process::say;
use crate::shape::Shape;

/// Visits the nodes as the parent process says.
pub(crate) fn main(args: &[&str]) -> Outcome<()> {
    let ports = ports_of(args)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut first = 0;
    for line in stdin().lock().lines() {
        let line = line?;
        let Some((rate, millis)) = line
            .strip_prefix("visit ")
            .and_then(|rest| rest.split_once(' '))
        else {
            break;
        };
        let period = Duration::from_secs_f64(1.0 / rate.parse::<f64>()?);
        let time = Duration::from_millis(millis.parse()?);
        let (visitors, events) = runtime.block_on(visits(&ports, first, period, time))?;
        first += visitors;
        say(&format!("visited {visitors} {events}"))?;
    }
    Ok(())
}

/// Lets a visitor come in each period for a while; returns how many came, and how many events they heard.
async fn visits(
    ports: &[u16],
    first: usize,
    period: Duration,
    time: Duration,
) -> Outcome<(usize, u64)> {
    let (began, mut ticks) = (Instant::now(), interval(period));
    let mut inside = FuturesUnordered::new();
    let (mut visitors, mut events) = (0, 0);
    loop {
        let is_open = began.elapsed() < time;
        tokio::select! {
            _ = ticks.tick(), if is_open => {
                inside.push(timeout(PATIENCE, visit(ports, first + visitors)));
                visitors += 1;
            }
            Some(left) = inside.next() => {
                events += left.map_err(|_| "a visitor waits too long for its events")??;
            }
            else => return Ok((visitors, events)),
        }
    }
}

/// Every other one says that it leaves.
async fn visit(ports: &[u16], visitor: usize) -> Outcome<u64> {
    let target = Target {
        port: ports[visitor % ports.len()],
        // Ports stay in use for a minute after a connection: it comes from another address than the steady clients.
        connection: FIRST_CONNECTION + visitor,
        ..Target::default()
    };
    let (mut stream, received) = Protocol::SocketIo.open(target).await?;
    let heard = hear(&mut stream, received).await?;
    if visitor.is_multiple_of(2) {
        stream.write_all(&masked("41")).await?;
        stream.write_all(&CLOSE).await?;
        while stream.read(&mut [0; 4096]).await? > 0 {}
    }
    Ok(heard)
}

async fn hear(stream: &mut TcpStream, mut received: Vec<u8>) -> Outcome<u64> {
    let (mut next, mut heard) = (None, 0);
    while heard < EVENTS {
        let Some((frame, rest)) = Frame::split(&received) else {
            if stream.read_buf(&mut received).await? == 0 {
                return Err("a node closed the connection of a visitor".into());
            }
            continue;
        };
        if frame.payload == b"2" {
            stream.write_all(&masked("3")).await?;
        } else {
            let seq = next.map_or_else(|| seq_of(&frame), Ok)?;
            let expected = Protocol::SocketIo.encode(&Shape::PLAIN.event(seq));
            if !received.starts_with(&expected) {
                return Err(
                    format!("instead of event {seq} a visitor got {}", frame.describe()).into(),
                );
            }
            (next, heard) = (Some(seq + 1), heard + 1);
        }
        received = rest.to_vec();
    }
    Ok(heard)
}

fn seq_of(frame: &Frame<'_>) -> Outcome<u64> {
    let text = std::str::from_utf8(frame.payload)?;
    let digits = text
        .split_once(r#""seq":""#)
        .and_then(|(_, rest)| rest.get(..10));
    let digits = digits.ok_or_else(|| format!("a visitor got {}", frame.describe()))?;
    Ok(digits.parse()?)
}

/// How many events a visitor stays for.
const EVENTS: u64 = 20;
const FIRST_CONNECTION: usize = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(20);
/// A masked close frame without a code.
const CLOSE: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];
