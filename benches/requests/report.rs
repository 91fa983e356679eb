//! The table.

use std::thread::available_parallelism;

use crate::exchange::{Method, Transport, record, rows};
use crate::figures::median;
use crate::measure::{Load, Measured, Plan};

/// Prints what is measured, and on what.
pub(crate) fn head(plan: &Plan) {
    let cores = available_parallelism().map_or(1, usize::from);
    println!(
        "find: {} bytes; create: {} bytes; {} clients, {} requests of each at a time; Feathers 5 on Koa",
        rows().to_string().len(),
        record(1).to_string().len(),
        plan.connections,
        plan.in_flight
    );
    println!(
        "{cores} cores of {}, shared with the client; medians of {} interleaved rounds, {:?} each\n",
        std::env::consts::ARCH,
        plan.rounds,
        plan.time
    );
}

/// Prints the medians of all rounds.
pub(crate) fn table(rounds: &[Vec<Measured>]) {
    println!(
        "{:<20}{:>15}{:>8}{:>8}{:>13}{:>12}{:>8}",
        "", "CPU µs/request", "user", "system", "requests/s", "Feathers ÷", "user"
    );
    for transport in Transport::ALL {
        for method in Method::ALL {
            kind(rounds, transport, method);
        }
    }
    let loads = rounds
        .iter()
        .flatten()
        .map(|of| [of.wingbeat, of.feathers, of.floor]);
    let answers: f64 = loads.flatten().map(|load| load.requests).sum();
    println!("\n{answers:.0} answers checked: each has its status and its bytes\n");
}

fn kind(rounds: &[Vec<Measured>], transport: Transport, method: Method) {
    let of_kind = |of: &&Measured| (of.transport, of.method) == (transport, method);
    let measured: Vec<&Measured> = rounds.iter().flatten().filter(of_kind).collect();
    println!("{} {}", transport.label(), method.label());
    row("wingbeat", &measured, |of| of.wingbeat);
    row("Feathers", &measured, |of| of.feathers);
    row("floor", &measured, |of| of.floor);
}

fn row(server: &str, measured: &[&Measured], load: fn(&Measured) -> Load) {
    let ratio = median(measured.iter().map(|of| of.ratio(load(of))));
    let user_ratio = median(measured.iter().map(|of| of.user_ratio(load(of))));
    let figure = |figure: fn(&Load) -> f64| median(measured.iter().map(|of| figure(&load(of))));
    println!(
        "  {server:<18}{:>15.1}{:>8.1}{:>8.1}{:>13.0}{ratio:>12.1}{user_ratio:>8.1}",
        figure(Load::cpu),
        figure(|load| load.per_request(load.user)),
        figure(|load| load.per_request(load.system)),
        figure(Load::per_second),
    );
}
