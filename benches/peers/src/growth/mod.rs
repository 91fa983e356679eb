//! What an event costs with more connections, channels, bytes and nodes.

mod dimension;
pub(crate) mod fit;

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::chart::{Curve, Line, curve};
use crate::figures::median;
use crate::markdown::{Table, figure, percent, whole};
use crate::measure::{Flown, Plan, Trial, WINDOW};
use crate::system::Setup;
use dimension::{Dimension, Limits, Series};
use fit::Power;

/// One point of a curve, in one round.
struct Point {
    series: usize,
    x: u32,
    serial: Flown,
    saturated: Flown,
}

/// Measures and prints the curves that are named, or all.
pub(crate) fn main(names: &[&str]) -> Outcome<()> {
    let plan = Plan::from_env()?;
    let limits = Limits::find()?;
    let unknown = names.iter().find(|name| {
        !Dimension::ALL
            .iter()
            .any(|dimension| dimension.name() == **name)
    });
    if let Some(name) = unknown {
        return Err(format!("nothing grows by the name '{name}'").into());
    }
    let wanted = Dimension::ALL.into_iter();
    let wanted = wanted.filter(|dimension| names.is_empty() || names.contains(&dimension.name()));
    let mut failures = Vec::new();
    for dimension in wanted {
        let all_series = dimension.series(&plan, &limits);
        let points = measure(&plan, &all_series, &mut failures);
        print(dimension, &all_series, &points);
        if let Some(remark) = limits.remark(dimension) {
            println!("- {remark}");
        }
        draw(
            plan.chart.as_deref(),
            dimension,
            lines(&all_series, &points),
        )?;
    }
    match failures.first() {
        Some(why) => Err(format!("{} points failed, {why}", failures.len()).into()),
        None => Ok(()),
    }
}

/// Measures every point in each round; one that fails has no figures.
fn measure(plan: &Plan, all_series: &[Series], failures: &mut Vec<String>) -> Vec<Point> {
    let mut points = Vec::new();
    for _ in 0..plan.rounds {
        for (at, series) in all_series.iter().enumerate() {
            for x in &series.xs {
                eprintln!("{}: {x}", series.label);
                match point(plan, at, *x, (series.setup)(*x)) {
                    Ok(point) => points.push(point),
                    Err(error) => failures.push(format!("{} at {x}: {error}", series.label)),
                }
            }
        }
    }
    points
}

fn print(dimension: Dimension, all_series: &[Series], points: &[Point]) {
    println!("\n**{}**", dimension.title());
    for (at, series) in all_series.iter().enumerate() {
        println!("\n{}:\n", series.label);
        table(dimension, series, &of_series(points, at)).print();
    }
    println!();
    for line in lines(all_series, points) {
        println!("- {}", line.label);
    }
}

fn lines(all_series: &[Series], points: &[Point]) -> Vec<Line> {
    let all = all_series.iter().enumerate();
    all.flat_map(|(at, series)| lines_of(series, &of_series(points, at)))
        .collect()
}

fn of_series(points: &[Point], series: usize) -> Vec<&Point> {
    points
        .iter()
        .filter(|point| point.series == series)
        .collect()
}

fn point(plan: &Plan, series: usize, x: u32, setup: Setup) -> Outcome<Point> {
    let mut trial = Trial::start(setup)?;
    Ok(Point {
        series,
        x,
        serial: trial.load(1, plan.time)?,
        saturated: trial.load(window(setup.shape.bytes), plan.time)?,
    })
}

/// Returns how many events are on their way: fewer large ones, as the outbox of a client has 1 MiB.
fn window(bytes: usize) -> u64 {
    WINDOW.min((IN_FLIGHT / bytes) as u64)
}

fn table(dimension: Dimension, series: &Series, points: &[&Point]) -> Table {
    let mut table = Table::new([
        dimension.unit(),
        "deliveries an event",
        "S: µs an event",
        "S: µs a delivery",
        "A: µs an event",
        "A: µs a delivery",
        "A: deliveries/s",
        "A: client's core",
    ]);
    for x in &series.xs {
        let of = |figure: fn(&Point) -> f64| at(points, *x, figure);
        table.row([
            whole(f64::from(*x)),
            figure(of(|point| {
                point.saturated.deliveries / point.saturated.events
            })),
            figure(of(|point| point.serial.of_event().cost)),
            figure(of(|point| point.serial.of_delivery().cost)),
            figure(of(|point| point.saturated.of_event().cost)),
            figure(of(|point| point.saturated.of_delivery().cost)),
            figure(of(|point| point.saturated.of_delivery().beside)),
            percent(of(|point| point.saturated.client)),
        ]);
    }
    table
}

/// Returns the median of all rounds.
fn at(points: &[&Point], x: u32, figure: fn(&Point) -> f64) -> f64 {
    let here = points.iter().filter(|point| point.x == x);
    median(here.map(|point| figure(point)))
}

/// CPU that a delivery costs, one event at a time and with many on their way.
fn lines_of(series: &Series, points: &[&Point]) -> [Line; 2] {
    let line = |name: &str, cost: fn(&Point) -> f64| {
        let xs = series.xs.iter();
        let points = xs.map(|x| (f64::from(*x), at(points, *x, cost)));
        let points: Vec<(f64, f64)> = points.filter(|point| point.1 > 0.0).collect();
        let power = Power::fit(&points);
        let exponent = power.map_or(f64::NAN, |power| power.exponent);
        let label = format!(
            "{name}, {}: CPU a delivery grows with the power {exponent:.2}",
            series.label
        );
        Line {
            label,
            points,
            power,
        }
    };
    [
        line("S", |point| point.serial.of_delivery().cost),
        line("A", |point| point.saturated.of_delivery().cost),
    ]
}

/// Writes the curve beside the others: its name goes behind the stem of the path.
fn draw(path: Option<&Path>, dimension: Dimension, lines: Vec<Line>) -> Outcome<()> {
    let Some(path) = path else { return Ok(()) };
    let stem = path
        .file_stem()
        .ok_or("the chart has no name")?
        .to_string_lossy();
    let path = path.with_file_name(format!("{stem}-{}.svg", dimension.name()));
    let drawn = curve(&Curve {
        title: &format!("{}: CPU µs a delivery", dimension.title()),
        x: dimension.unit(),
        lines,
    });
    fs::write(&path, drawn)?;
    println!("\n![{}]({})", dimension.title(), path.display());
    Ok(())
}

const IN_FLIGHT: usize = 512 << 10;
