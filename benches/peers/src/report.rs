//! The tables.

use std::thread::available_parallelism;

use crate::figures::median;
use crate::frame::{EVENT_BYTES, frame};
use crate::measure::{Figures, Measured, Plan, Workload};
use crate::system::System;

/// Says what is measured, and on what.
pub(crate) fn head(plan: &Plan) {
    let cores = available_parallelism().map_or(1, usize::from);
    println!(
        "events of {EVENT_BYTES} bytes (frame: {} bytes) on two nodes behind one Redis, created by a client of the first",
        frame(0).len()
    );
    println!(
        "{cores} cores of {}, shared with the client; medians of {} interleaved rounds, {:?} each",
        std::env::consts::ARCH,
        plan.rounds,
        plan.time
    );
}

pub(crate) fn tables(plan: &Plan, measured: &[Measured]) {
    for workload in Workload::ALL {
        println!("\n{}", title(workload, workload.connections(plan)));
        println!("{:<52}{}", "", columns(workload));
        let floor = of(measured, workload, System::Floor).map(|floor| floor[0]);
        for system in plan.systems() {
            let is_here = |row: &&Measured| (row.workload, row.system) == (workload, system);
            let rows: Vec<&Measured> = measured.iter().filter(is_here).collect();
            if !rows.is_empty() {
                row(system, &rows, of(measured, workload, system), floor);
            }
        }
    }
}

fn title(workload: Workload, connections: u32) -> String {
    let what = match workload {
        Workload::Serial => "S, serial: the next event when every client has the last one",
        Workload::Saturated => "A, saturated: 32 events on their way",
        Workload::Paced => {
            "B, paced: 20 events a second, milliseconds until the last client has one"
        }
        Workload::Idle => "C, idle",
        Workload::Few => "D, few clients: 32 events on their way",
    };
    format!("{what}; {connections} clients")
}

fn columns(workload: Workload) -> String {
    let names: &[&str] = match workload {
        Workload::Serial | Workload::Saturated => &["CPU µs/delivery", "deliveries/s", "÷ floor"],
        Workload::Few => &["CPU µs/event", "events/s", "÷ floor"],
        Workload::Paced => &["p50 ms", "p99 ms", "p50 ÷ floor"],
        Workload::Idle => &["bytes", "", ""],
    };
    names.iter().map(|name| format!("{name:>17}")).collect()
}

fn row(system: System, rows: &[&Measured], figures: Option<[f64; 2]>, floor: Option<f64>) {
    let label = system.label();
    let failed: Vec<&String> = rows
        .iter()
        .filter_map(|row| row.figures.as_ref().err())
        .collect();
    match figures {
        Some([first, second]) => println!(
            "{label:<52}{}",
            cells(rows[0].workload, [first, second], floor)
        ),
        None => println!("{label:<52}"),
    }
    if let Some(why) = failed.first() {
        println!("  {} of {} rounds failed: {why}", failed.len(), rows.len());
    }
}

fn cells(workload: Workload, [first, second]: [f64; 2], floor: Option<f64>) -> String {
    let ratio =
        |figure: f64| floor.map_or_else(String::new, |floor| format!("{:.2}", figure / floor));
    let cells = match workload {
        Workload::Serial | Workload::Saturated => {
            [format!("{first:.2}"), format!("{second:.0}"), ratio(first)]
        }
        Workload::Few => [format!("{first:.1}"), format!("{second:.0}"), ratio(first)],
        Workload::Paced => [format!("{first:.1}"), format!("{second:.1}"), ratio(first)],
        Workload::Idle => [format!("{first:.0}"), String::new(), String::new()],
    };
    cells.iter().map(|cell| format!("{cell:>17}")).collect()
}

/// Returns the medians of the two figures that the table shows.
fn of(measured: &[Measured], workload: Workload, system: System) -> Option<[f64; 2]> {
    let rows = measured
        .iter()
        .filter(|row| (row.workload, row.system) == (workload, system));
    let figures: Vec<[f64; 2]> = rows
        .filter_map(|row| row.figures.as_ref().ok())
        .map(|figures| shown(*figures, workload))
        .collect();
    let column = |at: usize| median(figures.iter().map(|row| row[at]));
    (!figures.is_empty()).then(|| [column(0), column(1)])
}

fn shown(figures: Figures, workload: Workload) -> [f64; 2] {
    match figures {
        Figures::Load {
            per_event,
            events_per_second,
            ..
        } if workload == Workload::Few => [per_event, events_per_second],
        Figures::Load {
            per_delivery,
            deliveries_per_second,
            ..
        } => [per_delivery, deliveries_per_second],
        Figures::Latency { p50, p99 } => [p50, p99],
        Figures::Memory(bytes) => [bytes, 0.0],
    }
}
