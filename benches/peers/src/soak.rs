//! Whether two nodes behind Redis stay as they are: under load for long, with clients that come and go.

use std::fs;
use std::time::Duration;

use crate::Outcome;
use crate::figures::{median, setting};
use crate::markdown::{Table, figure, whole};
use crate::measure::{Flown, Plan, Trial, WINDOW};
use crate::process::Process;
use crate::system::{MIB, System};

/// What one minute came to.
struct Minute {
    steady: Flown,
    visitors: u64,
    heard: u64,
    nodes: Vec<Node>,
}

/// What a node holds at the end of a minute, when all visitors have left.
#[derive(Clone, Copy)]
struct Node {
    resident: f64,
    descriptors: f64,
}

/// Measures how much goes through, then asks for most of that for a while.
pub(crate) fn main() -> Outcome<()> {
    let plan = Plan::from_env()?;
    let n_minutes: usize = setting("WINGBEAT_BENCH_SOAK_MINUTES", 30)?;
    let mut trial = Trial::start(System::Wingbeat.setup(plan.connections))?;
    let saturated = trial.load(WINDOW, plan.time)?;
    let rate = saturated.events / saturated.seconds * SHARE;
    println!(
        "{} events a second, which is {:.0} % of what two nodes behind Redis send to {} clients; beside these, {VISITORS} clients a second \
         come, hear 20 events and leave.\n",
        whole(rate),
        SHARE * 100.0,
        whole(f64::from(plan.connections)),
    );
    let ports: Vec<String> = trial.running.ports.iter().map(u64::to_string).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    let mut visitors = Process::start("visitors", &ports)?;
    let mut minutes = Vec::new();
    let lasted = last(n_minutes, &mut minutes, || {
        minute(&mut trial, &mut visitors, rate)
    });
    table(&minutes).print();
    lasted.and_then(|()| grown(&minutes))
}

/// Goes on to the end, or to the first minute that fails; those before it stay.
fn last(
    n_minutes: usize,
    minutes: &mut Vec<Minute>,
    mut minute: impl FnMut() -> Outcome<Minute>,
) -> Outcome<()> {
    for at in 1..=n_minutes {
        let minute = minute()?;
        eprintln!("minute {at}: {}", minute.describe());
        minutes.push(minute);
    }
    Ok(())
}

/// The visitors leave before the events end, for which they would wait.
fn minute(trial: &mut Trial, visitors: &mut Process, rate: f64) -> Outcome<Minute> {
    let visits = (MINUTE - LEAVING).as_millis();
    visitors.tell(&format!("visit {VISITORS} {visits}"))?;
    let steady = trial.pace(Duration::from_secs_f64(1.0 / rate), LIMIT, MINUTE)?;
    let visited = visitors.hear("visited")?;
    let [visitors, heard] = *visited.as_slice() else {
        return Err("visitors without figures".into());
    };
    let nodes = trial.running.servers.iter().map(Node::of);
    Ok(Minute {
        steady,
        visitors,
        heard,
        nodes: nodes.collect::<Outcome<_>>()?,
    })
}

impl Node {
    fn of(process: &Process) -> Outcome<Self> {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", process.id()))?;
        Ok(Self {
            resident: process.resident()?,
            descriptors: descriptors.count() as f64,
        })
    }
}

impl Minute {
    fn describe(&self) -> String {
        let nodes = self.nodes.iter().map(|node| {
            let mib = figure(node.resident / MIB);
            format!("{mib} MiB and {} descriptors", node.descriptors)
        });
        let nodes: Vec<String> = nodes.collect();
        format!(
            "{} events, {} visitors; {}",
            self.steady.events,
            self.visitors,
            nodes.join(", ")
        )
    }

    fn cells(&self) -> [String; 5] {
        let steady = &self.steady;
        [
            whole(steady.events / steady.seconds),
            whole(steady.held as f64),
            format!("{} / {}", figure(steady.p50), figure(steady.p99)),
            whole(self.visitors as f64),
            whole(self.heard as f64),
        ]
    }
}

fn table(minutes: &[Minute]) -> Table {
    let head = [
        "minute",
        "events/s",
        "held back",
        "p50 / p99 ms",
        "visitors",
        "events they heard",
    ];
    let mut head: Vec<String> = head.map(str::to_owned).to_vec();
    let n_nodes = minutes.first().map_or(0, |minute| minute.nodes.len());
    for at in 1..=n_nodes {
        head.extend([
            format!("node {at}: RSS MiB"),
            format!("node {at}: descriptors"),
        ]);
    }
    let mut table = Table::new(head);
    for (at, minute) in minutes.iter().enumerate() {
        let mut row = vec![(at + 1).to_string()];
        row.extend(minute.cells());
        for node in &minute.nodes {
            row.extend([figure(node.resident / MIB), whole(node.descriptors)]);
        }
        table.row(row);
    }
    table
}

/// Fails when the last third of the time holds more than its beginning did, once that was warm.
fn grown(minutes: &[Minute]) -> Outcome<()> {
    let n = minutes.len();
    if n < LEAST_MINUTES {
        println!(
            "\ntoo short to say whether anything grows: {LEAST_MINUTES} minutes are the least"
        );
        return Ok(());
    }
    let (warm, late) = if n >= 15 {
        (4..10, n - n / 3..n)
    } else {
        (1..n / 2 + 1, n - n / 3..n)
    };
    println!();
    let mut has_grown = Vec::new();
    for (at, _) in minutes[0].nodes.iter().enumerate() {
        for (name, held) in HELD {
            let of =
                |minutes: &[Minute]| median(minutes.iter().map(|minute| held(&minute.nodes[at])));
            let (warm, late) = (of(&minutes[warm.clone()]), of(&minutes[late.clone()]));
            let line = format!(
                "node {}: {name} {} → {}",
                at + 1,
                figure(warm),
                figure(late)
            );
            println!("- {line}");
            if late > warm * MOST_GROWTH {
                has_grown.push(line);
            }
        }
    }
    if has_grown.is_empty() {
        return Ok(());
    }
    Err(format!("it grows: {}", has_grown.join("; ")).into())
}

type Held = (&'static str, fn(&Node) -> f64);

const HELD: [Held; 2] = [
    ("RSS in MiB", |node| node.resident / MIB),
    ("descriptors", |node| node.descriptors),
];
/// How much of the saturated rate is asked for.
const SHARE: f64 = 0.7;
/// Clients a second.
const VISITORS: u32 = 200;
const MINUTE: Duration = Duration::from_secs(60);
const LEAVING: Duration = Duration::from_secs(2);
/// Events on their way at most: far fewer than fill a client's outbox.
const LIMIT: usize = 256;
const LEAST_MINUTES: usize = 4;
const MOST_GROWTH: f64 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes whose first node holds what `held` says and whose second one stays as it is.
    fn minutes(n: usize, held: impl Fn(usize) -> Node) -> Vec<Minute> {
        let minute = |at| Minute {
            steady: Flown::default(),
            visitors: 0,
            heard: 0,
            nodes: vec![held(at), node(50.0, 500.0)],
        };
        (1..=n).map(minute).collect()
    }

    fn node(mib: f64, descriptors: f64) -> Node {
        Node {
            resident: mib * MIB,
            descriptors,
        }
    }

    #[test]
    fn what_grows_is_noticed() {
        let memory = minutes(30, |at| node(50.0 + at as f64 / 5.0, 500.0));
        let error = grown(&memory).unwrap_err().to_string();
        assert!(
            error.contains("node 1: RSS") && !error.contains("node 2"),
            "{error}"
        );
        let descriptors = minutes(6, |at| node(50.0, 500.0 + 20.0 * at as f64));
        let error = grown(&descriptors).unwrap_err().to_string();
        assert!(error.contains("node 1: descriptors"), "{error}");
    }

    #[test]
    fn what_grows_before_it_is_warm_does_not_count() {
        let warming = minutes(30, |at| node(50.0 + 10.0 * at.min(4) as f64, 500.0));
        assert!(grown(&warming).is_ok());
    }
}
