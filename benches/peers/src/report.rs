//! The tables of systems: medians of all rounds, from the least to the most, and ratios.

use std::thread::available_parallelism;

use crate::figures::median;
use crate::frame::{EVENT_BYTES, frame};
use crate::markdown::{Table, figure, percent, spread, whole};
use crate::measure::{Figures, Measured, Plan, Workload};
use crate::system::System;

/// What was measured of which systems.
pub(crate) struct Report<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) systems: Vec<System>,
    pub(crate) measured: &'a [Measured],
    /// Whether wingbeat is compared with itself and not with peers.
    pub(crate) is_of_ways: bool,
}

/// A column with ratios to a system.
struct Reference {
    name: &'static str,
    system: Option<System>,
}

/// Says what is measured, and on what.
pub(crate) fn head(plan: &Plan) {
    println!(
        "Events of {EVENT_BYTES} bytes ({} in a Socket.IO frame), created by a client of the first of two nodes behind one broker, {}.",
        frame(0).len(),
        machine(plan)
    );
}

/// Says on what is measured, and how often.
pub(crate) fn machine(plan: &Plan) -> String {
    let cores = available_parallelism().map_or(1, usize::from);
    format!(
        "on {cores} cores of {} shared with the client; medians (and least–most) of {} interleaved rounds of {:?}",
        std::env::consts::ARCH,
        plan.rounds,
        plan.time
    )
}

impl Report<'_> {
    pub(crate) fn print(&self) {
        for workload in self.plan.workloads() {
            println!("\n**{}**\n", title(self.plan, workload));
            self.table(workload).print();
            self.print_remarks(workload);
        }
        let deliveries = self
            .measured
            .iter()
            .filter_map(|row| row.figures.as_ref().ok());
        let deliveries: f64 = deliveries.map(|figures| figures.deliveries).sum();
        println!(
            "\n{} deliveries checked: none of the systems with figures missed, doubled, reordered or altered one.",
            whole(deliveries)
        );
    }

    /// Returns the median cost of a system, unless it failed once.
    pub(crate) fn cost(&self, workload: Workload, system: System) -> Option<f64> {
        let figures = self.figures(workload, system)?;
        Some(median(figures.iter().map(|figures| figures.cost)))
    }

    pub(crate) fn is_measured(&self, workload: Workload, system: System) -> bool {
        self.of(workload, system).next().is_some()
    }

    fn table(&self, workload: Workload) -> Table {
        let references = self.references(workload);
        let [cost, beside] = columns(workload);
        let mut head = vec!["", cost, "least–most"];
        head.extend((!beside.is_empty()).then_some(beside));
        head.extend(references.iter().map(|reference| reference.name));
        head.extend((workload != Workload::Idle).then_some("client's core"));
        let mut table = Table::new(head);
        for system in &self.systems {
            if self.is_measured(workload, *system) {
                table.row(self.row(workload, *system, &references));
            }
        }
        table
    }

    fn row(&self, workload: Workload, system: System, references: &[Reference]) -> Vec<String> {
        let figures = self.figures(workload, system).unwrap_or_default();
        let column = |of: fn(&Figures) -> f64| figure(median(figures.iter().map(of)));
        let mut cells = vec![
            system.label().to_owned(),
            column(|figures| figures.cost),
            spread(figures.iter().map(|figures| figures.cost)),
        ];
        if workload != Workload::Idle {
            cells.push(column(|figures| figures.beside));
        }
        let ratios = references.iter().map(|reference| {
            let reference = reference.system?;
            self.ratio(workload, system, reference)
        });
        cells.extend(ratios.map(|ratio| figure(ratio.unwrap_or(f64::NAN))));
        if workload != Workload::Idle {
            cells.push(percent(median(
                figures.iter().map(|figures| figures.client),
            )));
        }
        cells
    }

    /// Takes ratios round by round, since a shared machine is not the same in each.
    fn ratio(&self, workload: Workload, system: System, reference: System) -> Option<f64> {
        let figures = self.figures(workload, system)?;
        let references = self.figures(workload, reference)?;
        let pairs = figures.iter().zip(&references);
        Some(median(pairs.map(|(one, other)| one.cost / other.cost)))
    }

    fn references(&self, workload: Workload) -> Vec<Reference> {
        let floor = match workload {
            Workload::Serial | Workload::Paced | Workload::Few => ("÷ floor", System::Floor),
            Workload::Saturated => ("÷ coalescing floor", System::CoalescingFloor),
            Workload::Idle => return Vec::new(),
        };
        let mut references = vec![Reference {
            name: floor.0,
            system: Some(floor.1),
        }];
        if self.is_of_ways {
            references.push(Reference {
                name: "÷ wingbeat",
                system: Some(System::Wingbeat),
            });
        } else if workload == Workload::Few {
            references.push(Reference {
                name: "÷ best peer",
                system: self.best_peer(workload),
            });
        }
        references
    }

    /// Returns the peer with the least cost among those that delivered everything.
    fn best_peer(&self, workload: Workload) -> Option<System> {
        let peers = self.systems.iter().filter(|system| system.is_peer());
        let costs = peers.filter_map(|peer| Some((*peer, self.cost(workload, *peer)?)));
        let best = costs.min_by(|one, other| one.1.total_cmp(&other.1));
        best.map(|(peer, _)| peer)
    }

    fn print_remarks(&self, workload: Workload) {
        let mut remarks = Vec::new();
        if let Some(peer) = self
            .best_peer(workload)
            .filter(|_| workload == Workload::Few)
        {
            remarks.push(format!(
                "best peer that delivered everything: {}",
                peer.label()
            ));
        }
        for system in &self.systems {
            let rows: Vec<&Measured> = self.of(workload, *system).collect();
            let failures: Vec<&String> = rows
                .iter()
                .filter_map(|row| row.figures.as_ref().err())
                .collect();
            if let Some(why) = failures.first() {
                let (n, of) = (failures.len(), rows.len());
                remarks.push(format!(
                    "no figures for {}: {n} of {of} rounds failed: {why}",
                    system.label()
                ));
            }
        }
        if !remarks.is_empty() {
            println!("\n- {}", remarks.join("\n- "));
        }
    }

    fn of(&self, workload: Workload, system: System) -> impl Iterator<Item = &Measured> {
        let is_here = move |row: &&Measured| (row.workload, row.system) == (workload, system);
        self.measured.iter().filter(is_here)
    }

    /// Returns the figures of all rounds, in their order; `None` if the system failed in one, or was not measured.
    fn figures(&self, workload: Workload, system: System) -> Option<Vec<Figures>> {
        let mut rows: Vec<&Measured> = self.of(workload, system).collect();
        rows.sort_by_key(|row| row.round);
        let figures: Vec<Figures> = rows
            .iter()
            .map(|row| row.figures.as_ref().ok().copied())
            .collect::<Option<_>>()?;
        (!figures.is_empty()).then_some(figures)
    }
}

fn title(plan: &Plan, workload: Workload) -> String {
    let rate = (plan.period().as_secs_f64().recip() * 100.0).round() / 100.0;
    let what = match workload {
        Workload::Serial => "S, serial: the next event when every client has the last one",
        Workload::Saturated => "A, saturated: 32 events on their way",
        Workload::Paced => {
            &format!("B, paced: {rate} events a second, until the last client has one")
        }
        Workload::Idle => "C, idle",
        Workload::Few => "D, few clients: 32 events on their way",
    };
    let connections = f64::from(workload.connections(plan));
    format!("{what}; {} clients", whole(connections))
}

fn columns(workload: Workload) -> [&'static str; 2] {
    match workload {
        Workload::Serial | Workload::Saturated => ["CPU µs a delivery", "deliveries/s"],
        Workload::Paced => ["p50 ms", "p99 ms"],
        Workload::Idle => ["bytes a client", ""],
        Workload::Few => ["CPU µs an event", "events/s"],
    }
}
