//! How long events take to clients that read, when others do not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Outcome;
use crate::figures::median;
use crate::markdown::{Table, figure, spread, whole};
use crate::measure::{Flown, NO_LIMIT, Plan, Trial};
use crate::report::machine;
use crate::shape::Shape;
use crate::system::{MIB, Setup, System};

/// What came of one round.
struct Measured {
    stalled: u32,
    flown: Flown,
    /// How many clients the node closed as slow.
    closed: f64,
    /// Resident bytes of the node before the first event, at most, and after the last one.
    memory: [f64; 3],
}

pub(super) fn main(plan: &Plan) -> Outcome<()> {
    let mut plan = plan.clone();
    plan.connections /= SHARE;
    plan.time = plan.time.max(LEAST_TIME);
    let kinds = [0, (plan.connections / 100).max(1)];
    let mut measured = Vec::new();
    for _ in 0..plan.rounds {
        for stalled in kinds {
            eprintln!("stalled: {stalled}");
            measured.push(measure(&plan, stalled)?);
        }
    }
    println!(
        "**Clients that do not read; {} clients**\n\nEvents of {} KiB, one each {:?}, on one node without a broker, {}.\n",
        whole(f64::from(plan.connections)),
        EVENT_BYTES >> 10,
        plan.period(),
        machine(&plan),
    );
    table(&kinds, &measured).print();
    let deliveries = measured.iter().map(|row| row.flown.deliveries).sum();
    println!(
        "\n{} deliveries checked: the clients that read missed none, and none was doubled, reordered or altered.",
        whole(deliveries)
    );
    Ok(())
}

fn measure(plan: &Plan, stalled: u32) -> Outcome<Measured> {
    let setup = Setup {
        shape: Shape {
            bytes: EVENT_BYTES,
            ..Shape::PLAIN
        },
        stalled,
        ..System::Wingbeat.alone(plan.connections)
    };
    let mut trial = Trial::start(setup)?;
    let before = trial.running.resident()?;
    let flown = trial.pace(plan.period(), NO_LIMIT, plan.time)?;
    let running = &trial.running;
    Ok(Measured {
        stalled,
        flown,
        closed: counter(running.control, "wingbeat_closed_slow_total")?,
        memory: [before, running.most_resident()?, running.resident()?],
    })
}

/// Reads a figure of a node's metrics.
fn counter(port: u64, name: &str) -> Outcome<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port)?))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics)?;
    let figures = metrics.lines().filter_map(|line| line.split_once(' '));
    let figure = figures.into_iter().find(|figure| figure.0 == name);
    let (_, figure) = figure.ok_or_else(|| format!("a node without {name}"))?;
    Ok(figure.parse()?)
}

fn table(kinds: &[u32], measured: &[Measured]) -> Table {
    let mut table = Table::new([
        "",
        "p50 ms",
        "least–most",
        "p99 ms",
        "least–most p99",
        "events",
        "closed as slow",
        "RSS MiB before",
        "at most",
        "after",
    ]);
    for stalled in kinds {
        table.row(row(*stalled, measured));
    }
    table
}

fn row(stalled: u32, measured: &[Measured]) -> Vec<String> {
    let rows = || measured.iter().filter(|row| row.stalled == stalled);
    let column = |of: fn(&Measured) -> f64| figure(median(rows().map(of)));
    let label = match stalled {
        0 => "all read".to_owned(),
        n => format!("{} never read", whole(f64::from(n))),
    };
    let mut cells = vec![
        label,
        column(|row| row.flown.p50),
        spread(rows().map(|row| row.flown.p50)),
        column(|row| row.flown.p99),
        spread(rows().map(|row| row.flown.p99)),
        whole(median(rows().map(|row| row.flown.events))),
        whole(median(rows().map(|row| row.closed))),
    ];
    let memory = [0, 1, 2].map(|at| figure(median(rows().map(|row| row.memory[at] / MIB))));
    cells.extend(memory);
    cells
}

/// A tenth of the clients that answers are measured beside.
const SHARE: u32 = 10;
/// What a client lacks before it is closed as slow, 1 MiB in its outbox and about 2.5 MiB in the kernel, is 110 of these.
const EVENT_BYTES: usize = 32 << 10;
/// Within which the sockets of clients that do not read are full, and those clients are closed.
const LEAST_TIME: Duration = Duration::from_secs(10);
