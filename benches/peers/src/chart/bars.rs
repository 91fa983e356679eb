//! S, A and D of every system as bars.

use super::Drawing;
use crate::markdown::figure;
use crate::measure::Workload;
use crate::report::Report;
use crate::system::System;

/// Draws the costs that the tables show.
pub(crate) fn bars(report: &Report<'_>) -> String {
    let rows: usize = PANELS
        .iter()
        .map(|(workload, _)| systems(report, *workload).len())
        .sum();
    let panels = PANELS.len() as f64;
    let height = MARGIN + panels * (TITLE + GAP) + rows as f64 * ROW;
    let mut drawing = Drawing::new(WIDTH, height);
    let mut top = MARGIN;
    for (workload, title) in PANELS {
        drawing.text("title", MARGIN, top + 14.0, title);
        top += TITLE;
        top = panel(&mut drawing, report, workload, top) + GAP;
    }
    drawing.finish()
}

/// Draws the bars of one workload and returns where they end.
fn panel(drawing: &mut Drawing, report: &Report<'_>, workload: Workload, mut top: f64) -> f64 {
    let systems = systems(report, workload);
    let costs = systems.iter().map(|system| report.cost(workload, *system));
    let costs: Vec<Option<f64>> = costs.collect();
    let most = costs.iter().flatten().copied().fold(0.0, f64::max);
    for (system, cost) in systems.into_iter().zip(costs) {
        let is_own = !system.is_floor() && !system.is_peer();
        let class = if is_own { "own" } else { "" };
        drawing.text(&format!("end {class}"), LABELS, top + 14.0, system.label());
        match cost {
            Some(cost) => {
                let width = (cost / most * BARS).max(1.5);
                let class = if system.is_floor() { "floor" } else { class };
                drawing.bar(
                    &format!("bar {class}"),
                    LABELS + 10.0,
                    top + 2.0,
                    width,
                    ROW - 6.0,
                );
                drawing.text(class, LABELS + 16.0 + width, top + 14.0, &figure(cost));
            }
            None => drawing.text("dim", LABELS + 10.0, top + 14.0, "failed: see the table"),
        }
        top += ROW;
    }
    top
}

fn systems(report: &Report<'_>, workload: Workload) -> Vec<System> {
    let systems = report.systems.iter().copied();
    systems
        .filter(|system| report.is_measured(workload, *system))
        .collect()
}

const PANELS: [(Workload, &str); 3] = [
    (
        Workload::Serial,
        "S: one event at a time, CPU µs a delivery",
    ),
    (
        Workload::Saturated,
        "A: 32 events on their way, CPU µs a delivery",
    ),
    (
        Workload::Few,
        "D: ten clients, 32 events on their way, CPU µs an event",
    ),
];
const WIDTH: f64 = 820.0;
const MARGIN: f64 = 16.0;
const TITLE: f64 = 26.0;
const GAP: f64 = 16.0;
const ROW: f64 = 22.0;
const LABELS: f64 = 360.0;
const BARS: f64 = 380.0;
