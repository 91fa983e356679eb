//! The table.

use std::thread::available_parallelism;

use crate::broker::Broker;
use crate::figures::median;
use crate::frame::EVENT_BYTES;
use crate::measure::{Measured, Plan, Round, System};
use crate::roles::WINDOW;

/// Prints what is measured, and on what.
pub(crate) fn head<B: Broker>(plan: &Plan) {
    let cores = available_parallelism().map_or(1, usize::from);
    println!(
        "events of {EVENT_BYTES} bytes from node to node over {}, own echo included; at most {WINDOW} on their way",
        B::NAME
    );
    println!(
        "{cores} cores of {}, shared by sender, receiver and broker; medians of {} interleaved rounds of {} events",
        std::env::consts::ARCH,
        plan.rounds,
        plan.events
    );
}

/// Prints the medians of all rounds.
pub(crate) fn table(plan: &Plan, rounds: &[Round]) {
    println!("\n{:<28}{:>40}", "", "CPU µs/event");
    println!(
        "{:<28}{:>10}{:>10}{:>10}{:>10}{:>12}{:>14}",
        "", "sender", "receiver", "both", "broker", "events/s", "events/batch"
    );
    for system in SYSTEMS {
        row(system, rounds);
    }
    for bare in [System::Client, System::Adapter] {
        difference(bare, rounds);
    }
    println!("\nlatency from emit to listener at 200 events/s, µs");
    for system in SYSTEMS {
        let percentile =
            |share: f64| median(of(system, rounds).map(|measured| measured.latency(share)));
        let (half, most) = (percentile(0.5), percentile(0.99));
        println!("{:<28}p50 {half:>8.0}   p99 {most:>8.0}", system.label());
    }
    let events = (2 * plan.events + plan.paced) * plan.rounds as u64;
    println!(
        "\n{events} events of each system checked at both ends: none missing, doubled, out of order or altered\n"
    );
}

fn row(system: System, rounds: &[Round]) {
    let figure = |figure: fn(&Measured) -> f64| median(of(system, rounds).map(figure));
    println!(
        "{:<28}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>12.0}{:>14.1}",
        system.label(),
        figure(|measured| measured.sender),
        figure(|measured| measured.receiver),
        figure(Measured::both),
        figure(|measured| measured.broker),
        figure(|measured| measured.events_per_second),
        figure(|measured| measured.batch),
    );
}

/// Takes differences round by round, since a shared machine is not the same in each.
fn difference(bare: System, rounds: &[Round]) {
    let figure = |figure: fn(&Measured) -> f64| {
        let above = |round: &Round| figure(&round.wingbeat) - figure(round.of(bare));
        median(rounds.iter().map(above))
    };
    println!(
        "{:<28}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
        format!("wingbeat − {}", bare.label()),
        figure(|measured| measured.sender),
        figure(|measured| measured.receiver),
        figure(Measured::both),
        figure(|measured| measured.broker),
    );
}

fn of(system: System, rounds: &[Round]) -> impl Iterator<Item = &Measured> {
    rounds.iter().map(move |round| round.of(system))
}

const SYSTEMS: [System; 3] = [System::Client, System::Adapter, System::Wingbeat];
