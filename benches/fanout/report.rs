//! The table.

use std::thread::available_parallelism;

use crate::figures::median;
use crate::frame::{EVENT_BYTES, frame};
use crate::measure::{Load, Measured, Plan, System, Workload};

/// Prints what is measured, and on what.
pub(crate) fn head(plan: &Plan) {
    let cores = available_parallelism().map_or(1, usize::from);
    println!(
        "one event of {EVENT_BYTES} bytes (frame: {} bytes) to {} websocket clients of one node",
        frame(0).len(),
        plan.connections
    );
    println!(
        "{cores} cores of {}, shared with the client; medians of {} interleaved rounds, {:?} each",
        std::env::consts::ARCH,
        plan.rounds,
        plan.time
    );
}

/// Prints the medians of all rounds.
pub(crate) fn table(plan: &Plan, rounds: &[Vec<Measured>]) {
    for workload in Workload::ALL {
        println!("\nworkload {}", workload.label());
        println!(
            "{:<36}{:>15}{:>8}{:>8}{:>14}{:>9}{:>20}",
            "",
            "CPU µs/delivery",
            "user",
            "system",
            "deliveries/s",
            "÷ floor",
            "÷ coalescing floor"
        );
        for system in System::ALL {
            row(rounds, system, workload);
        }
    }
    println!();
    for system in [System::Floor, System::Node] {
        let bytes = median(of(rounds, system).map(|measured| measured.idle_bytes));
        println!("{bytes:.0} bytes per idle connection · {}", system.label());
    }
    let loads = rounds.iter().flatten().flat_map(|measured| &measured.loads);
    let deliveries: f64 = loads.map(|load| load.deliveries).sum();
    println!(
        "{deliveries:.0} deliveries on {} connections checked: none missing, doubled, out of order or altered",
        plan.connections
    );
}

/// Prints one system, if it was measured under the workload.
fn row(rounds: &[Vec<Measured>], system: System, workload: Workload) {
    let loads: Vec<&Load> = loads(rounds, system, workload).collect();
    if loads.is_empty() {
        return;
    }
    let figure = |figure: fn(&Load) -> f64| median(loads.iter().map(|load| figure(load)));
    println!(
        "{:<36}{:>15.2}{:>8.2}{:>8.2}{:>14.0}{:>9}{:>20}",
        system.label(),
        figure(Load::cpu),
        figure(|load| load.per_delivery(load.user)),
        figure(|load| load.per_delivery(load.system)),
        figure(|load| load.deliveries / load.seconds),
        ratio(&loads, self::loads(rounds, System::Floor, workload)),
        ratio(
            &loads,
            self::loads(rounds, System::CoalescingFloor, workload)
        ),
    );
}

/// Takes ratios round by round, since a shared machine is not the same in each.
fn ratio<'a>(loads: &[&Load], floors: impl Iterator<Item = &'a Load>) -> String {
    let ratios = loads.iter().zip(floors);
    let ratio = median(ratios.map(|(load, floor)| load.cpu() / floor.cpu()));
    if ratio.is_nan() {
        return "–".to_owned();
    }
    format!("{ratio:.2}")
}

fn loads(
    rounds: &[Vec<Measured>],
    system: System,
    workload: Workload,
) -> impl Iterator<Item = &Load> {
    of(rounds, system)
        .flat_map(|measured| &measured.loads)
        .filter(move |load| load.workload == workload)
}

fn of(rounds: &[Vec<Measured>], system: System) -> impl Iterator<Item = &Measured> {
    rounds
        .iter()
        .flatten()
        .filter(move |measured| measured.system == system)
}
