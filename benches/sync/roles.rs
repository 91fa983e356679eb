//! What senders and receivers have in common: they do what the parent process says, line by line.
//!
//! | command | sender | receiver |
//! |---|---|---|
//! | `load EVENTS` | sends them with a window; `done NANOS BATCHES` | `ready`, and when it has them `done` |
//! | `pace EVENTS MICROS` | sends one each so many µs; `times NANOS…` | `ready`, and then `times NANOS…` |
//! | `tape` | writes what it published so far, if it has a tape; `taped` | |
//! | `end` | ends | fails if there were more events than that |

use std::future::Future;
use std::io::stdin;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{MissedTickBehavior, interval};

use crate::Outcome;
use crate::heard::{Heard, now};
use crate::process::say;

/// Sends events, and hears them again through a [`Heard`].
pub(crate) trait Source {
    /// Sends at least one event and at most `n`; returns how many.
    fn send(&mut self, n: u64) -> impl Future<Output = Outcome<u64>> + Send;

    /// Returns in how many batches events went out since the last look.
    fn batches(&mut self) -> u64;

    /// Keeps what was sent so far for others to play; by default nobody wants it.
    fn write_tape(&mut self) -> Outcome<()> {
        Ok(())
    }
}

/// How many events are on their way back to their sender at most; half of them are sent in a row.
pub(crate) const WINDOW: u64 = 512;

/// Runs a role to its end, on the threads on which an app's own tasks run.
pub(crate) fn run(role: impl Future<Output = Outcome<()>> + Send + 'static) -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(runtime.spawn(role))?
}

/// Sends what is asked for.
pub(crate) async fn send(source: &mut impl Source, heard: &Heard) -> Outcome<()> {
    let mut commands = commands();
    say("open")?;
    while let Some(command) = commands.recv().await {
        match command.as_slice() {
            [word, n] if word == "load" => {
                let (time, batches) = load(source, heard, n.parse()?).await?;
                say(&format!("done {} {batches}", time.as_nanos()))?;
            }
            [word, n, micros] if word == "pace" => {
                let every = Duration::from_micros(micros.parse()?);
                say_times(&pace(source, heard, n.parse()?, every).await?)?;
            }
            [word] if word == "tape" => {
                source.write_tape()?;
                say("taped")?;
            }
            _ => break,
        }
    }
    Ok(())
}

/// Receives what is announced.
pub(crate) async fn receive(heard: &Heard) -> Outcome<()> {
    let mut commands = commands();
    let mut expected = 0;
    say("open")?;
    while let Some(command) = commands.recv().await {
        let [word, n, ..] = command.as_slice() else {
            break;
        };
        expected += n.parse::<u64>()?;
        if word == "pace" {
            heard.note_times();
        }
        say("ready")?;
        heard.until(expected).await?;
        match word.as_str() {
            "pace" => say_times(&heard.times())?,
            _ => say("done")?,
        }
    }
    match heard.n() - expected {
        0 => Ok(()),
        more => Err(format!("{more} events came that nobody sent").into()),
    }
}

async fn load(source: &mut impl Source, heard: &Heard, n: u64) -> Outcome<(Duration, u64)> {
    let (began, first) = (Instant::now(), heard.n());
    let mut sent = 0;
    while sent < n {
        sent += source.send(n - sent).await?;
        heard.until(first + sent.saturating_sub(WINDOW / 2)).await?;
    }
    heard.until(first + n).await?;
    Ok((began.elapsed(), source.batches()))
}

/// Returns when each event was sent.
async fn pace(
    source: &mut impl Source,
    heard: &Heard,
    n: u64,
    every: Duration,
) -> Outcome<Vec<u64>> {
    let end = heard.n() + n;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut times = Vec::new();
    for _ in 0..n {
        ticks.tick().await;
        times.push(now());
        source.send(1).await?;
    }
    heard.until(end).await?;
    Ok(times)
}

fn say_times(times: &[u64]) -> Outcome<()> {
    let times: Vec<String> = times.iter().map(u64::to_string).collect();
    say(&format!("times {}", times.join(" ")))
}

/// Reads commands beside the runtime; they end with the input.
fn commands() -> Receiver<Vec<String>> {
    let (sender, receiver) = channel(1);
    thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            let words = line.split(' ').map(str::to_owned).collect();
            if sender.blocking_send(words).is_err() {
                return;
            }
        }
    });
    receiver
}
