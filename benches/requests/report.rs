//! The table.

use std::thread::available_parallelism;

use crate::exchange::{Method, Transport, record, rows};
use crate::figures::median;
use crate::measure::{Load, Measured, Plan};

/// Prints what is measured, and on what.
pub(crate) fn head(plan: &Plan) {
    let cores = available_parallelism().map_or(1, usize::from);
    println!(
        "find: {} bytes; create: {} bytes; {} clients, each with one request at a time; Feathers 5 on Koa",
        rows().to_string().len(),
        record(1).to_string().len(),
        plan.connections
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
        "{:<20}{:<10}{:>15}{:>8}{:>8}{:>13}{:>20}",
        "", "", "CPU µs/request", "user", "system", "requests/s", "Feathers ÷ wingbeat"
    );
    for transport in Transport::ALL {
        for method in Method::ALL {
            kind(rounds, transport, method);
        }
    }
    let loads = rounds.iter().flatten().map(|of| [of.wingbeat, of.feathers]);
    let answers: f64 = loads.flatten().map(|load| load.requests).sum();
    println!("\n{answers:.0} answers checked: each has its status and its bytes");
}

fn kind(rounds: &[Vec<Measured>], transport: Transport, method: Method) {
    let of_kind = |of: &&Measured| (of.transport, of.method) == (transport, method);
    let measured: Vec<&Measured> = rounds.iter().flatten().filter(of_kind).collect();
    let ratio = median(measured.iter().map(|of| of.ratio()));
    let kind = format!("{} {}", transport.label(), method.label());
    let (wingbeat, feathers): (Vec<_>, Vec<_>) =
        measured.iter().map(|of| (of.wingbeat, of.feathers)).unzip();
    row([&kind, "wingbeat"], &wingbeat, &format!("{ratio:.1}"));
    row(["", "Feathers"], &feathers, "");
}

fn row([kind, server]: [&str; 2], loads: &[Load], ratio: &str) {
    let figure = |figure: fn(&Load) -> f64| median(loads.iter().map(figure));
    println!(
        "{kind:<20}{server:<10}{:>15.1}{:>8.1}{:>8.1}{:>13.0}{ratio:>20}",
        figure(Load::cpu),
        figure(|load| load.per_request(load.user)),
        figure(|load| load.per_request(load.system)),
        figure(Load::per_second),
    );
}
