//! How long answers wait on a node that sends events to very many clients.

use crate::Outcome;
use crate::figures::median;
use crate::markdown::{Table, figure, spread, whole};
use crate::measure::{Plan, Trial, WINDOW};
use crate::process::Process;
use crate::report::machine;
use crate::system::{Running, System};

/// What else is done while answers are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// The next event when every client has the last one.
    Serial,
    /// Always 32 events on their way.
    Saturated,
    /// One event at a time, while another node is asked, which has no clients: what the machine makes answers wait.
    Elsewhere,
}

/// How long the answers of a system took in one round, in milliseconds.
struct Measured {
    system: System,
    beside: Beside,
    answers: f64,
    p50: f64,
    p99: f64,
    most: f64,
    events_a_second: f64,
}

pub(super) fn main(plan: &Plan) -> Outcome<()> {
    let systems = plan.wanted(&[System::Wingbeat, System::Feathers]);
    let mut measured = Vec::new();
    for _ in 0..plan.rounds {
        for system in &systems {
            eprintln!("answers: {}", system.label());
            measured.extend(round(plan, *system)?);
        }
    }
    println!(
        "**Answers beside events; {} clients**\n\nOne client asks for a small record, 1 ms after the last answer, on one node without a broker, {}.\n",
        whole(f64::from(plan.connections)),
        machine(plan),
    );
    table(&systems, &measured).print();
    println!();
    Ok(())
}

fn round(plan: &Plan, system: System) -> Outcome<Vec<Measured>> {
    let mut trial = Trial::start(system.alone(plan.connections))?;
    let elsewhere = system.alone(0).start()?;
    let all = Beside::ALL.into_iter();
    all.map(|beside| beside.measure(plan, system, &mut trial, &elsewhere))
        .collect()
}

impl Beside {
    const ALL: [Self; 4] = [
        Self::Nothing,
        Self::Serial,
        Self::Saturated,
        Self::Elsewhere,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Nothing => "no events",
            Self::Serial => "one event at a time",
            Self::Saturated => "32 events on their way",
            Self::Elsewhere => "one at a time, on the other node",
        }
    }

    /// Returns how many events are on their way.
    fn window(self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Serial | Self::Elsewhere => Some(1),
            Self::Saturated => Some(WINDOW),
        }
    }

    /// Each time with a prober of its own, which does not hear events while it does not ask.
    fn measure(
        self,
        plan: &Plan,
        system: System,
        trial: &mut Trial,
        elsewhere: &Running,
    ) -> Outcome<Measured> {
        let asked = match self {
            Self::Elsewhere => elsewhere.control,
            _ => trial.running.control,
        };
        let mut prober = Process::start("prober", &[&asked.to_string()])?;
        prober.hear("open")?;
        self.probe(plan, trial, &mut prober, WARMTH)?;
        let (words, events_a_second) = self.probe(plan, trial, &mut prober, 1.0)?;
        let [answers, p50, p99, most] = *words.as_slice() else {
            return Err("a prober without figures".into());
        };
        let [p50, p99, most] = [p50, p99, most].map(|nanos| nanos as f64 / 1e6);
        Ok(Measured {
            system,
            beside: self,
            answers: answers as f64,
            p50,
            p99,
            most,
            events_a_second,
        })
    }

    /// Asks for a part of the measured time, while events are sent; returns what the prober says, and the events a second.
    fn probe(
        self,
        plan: &Plan,
        trial: &mut Trial,
        prober: &mut Process,
        part: f64,
    ) -> Outcome<(Vec<u64>, f64)> {
        let time = plan.time.mul_f64(part);
        // Events begin before the questions and end behind them.
        let asking = time.mul_f64(ASKING).as_millis();
        prober.tell(&format!("probe {asking}"))?;
        let flown = self.window().map(|window| trial.keep(window, time));
        let rate = flown
            .transpose()?
            .map_or(f64::NAN, |flown| flown.events / flown.seconds);
        Ok((prober.hear("probed")?, rate))
    }
}

fn table(systems: &[System], measured: &[Measured]) -> Table {
    let mut table = Table::new([
        "",
        "p50 ms",
        "p99 ms",
        "least–most p99",
        "p99 − without events",
        "longest ms",
        "answers",
        "events/s",
    ]);
    for system in systems {
        for beside in Beside::ALL {
            table.row(row(*system, beside, measured));
        }
    }
    table
}

fn row(system: System, beside: Beside, measured: &[Measured]) -> Vec<String> {
    let of = |beside| {
        let is_here = move |row: &&Measured| (row.system, row.beside) == (system, beside);
        measured.iter().filter(is_here)
    };
    let rows = || of(beside);
    let column = |of: fn(&Measured) -> f64| figure(median(rows().map(of)));
    let pairs = rows().zip(of(Beside::Nothing));
    let longer = median(pairs.map(|(one, without)| one.p99 - without.p99));
    vec![
        format!("{}: {}", alone(system), beside.label()),
        column(|row| row.p50),
        column(|row| row.p99),
        spread(rows().map(|row| row.p99)),
        if beside == Beside::Nothing {
            figure(f64::NAN)
        } else {
            figure(longer)
        },
        figure(rows().map(|row| row.most).fold(f64::NAN, f64::max)),
        column(|row| row.answers),
        column(|row| row.events_a_second),
    ]
}

/// Returns what a system is called without what it has for other nodes.
fn alone(system: System) -> &'static str {
    let label = system.label();
    label.split(" + ").next().unwrap_or(label)
}

/// How much of the measured time events are sent before it.
const WARMTH: f64 = 0.25;
const ASKING: f64 = 0.9;
