//! How a figure grows, both axes logarithmic.

use super::Drawing;
use crate::growth::fit::Power;
use crate::markdown::whole;

pub(crate) struct Curve<'a> {
    pub(crate) title: &'a str,
    /// What grows.
    pub(crate) x: &'a str,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) power: Option<Power>,
}

/// What of the figures is seen, as powers of ten.
struct Window {
    x: (f64, f64),
    y: (f64, f64),
}

/// Draws the lines, and dashed the powers that fit them.
pub(crate) fn curve(curve: &Curve<'_>) -> String {
    let legend = curve.lines.len() as f64 * LEGEND;
    let mut drawing = Drawing::new(WIDTH, BOTTOM + 44.0 + legend);
    drawing.text("title", 16.0, 26.0, curve.title);
    let Some(window) = Window::around(&curve.lines) else {
        drawing.text("dim", LEFT, TOP + 20.0, "no figures");
        return drawing.finish();
    };
    window.draw_grid(&mut drawing);
    drawing.text(
        "dim middle",
        f64::midpoint(LEFT, RIGHT),
        BOTTOM + 34.0,
        curve.x,
    );
    for (at, line) in curve.lines.iter().enumerate() {
        window.draw_line(&mut drawing, line, &format!("c{at}"));
        let y = BOTTOM + 54.0 + at as f64 * LEGEND;
        drawing.dot(&format!("c{at}"), LEFT + 4.0, y - 4.0);
        drawing.text("", LEFT + 16.0, y, &line.label);
    }
    drawing.finish()
}

impl Window {
    fn around(lines: &[Line]) -> Option<Self> {
        let points = || lines.iter().flat_map(|line| &line.points);
        points().next()?;
        let fitted = lines.iter().filter_map(Line::ends).flatten();
        Some(Self {
            x: range(points().map(|point| point.0)),
            y: range(points().copied().chain(fitted).map(|point| point.1)),
        })
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (from, to): (f64, f64)| (value.log10() - from) / (to - from);
        let x = LEFT + share(x, self.x) * (RIGHT - LEFT);
        (x, BOTTOM - share(y, self.y) * (BOTTOM - TOP))
    }

    fn draw_grid(&self, drawing: &mut Drawing) {
        for value in ticks(self.x) {
            let (x, _) = self.place((value, 1.0));
            drawing.line("grid", &[(x, TOP), (x, BOTTOM)]);
            drawing.text("dim middle", x, BOTTOM + 16.0, &tick(value));
        }
        for value in ticks(self.y) {
            let (_, y) = self.place((1.0, value));
            drawing.line("grid", &[(LEFT, y), (RIGHT, y)]);
            drawing.text("dim end", LEFT - 6.0, y + 4.0, &tick(value));
        }
    }

    fn draw_line(&self, drawing: &mut Drawing, line: &Line, class: &str) {
        let points: Vec<(f64, f64)> = line.points.iter().map(|point| self.place(*point)).collect();
        drawing.line(class, &points);
        for (x, y) in &points {
            drawing.dot(class, *x, *y);
        }
        if let Some(ends) = line.ends() {
            let ends = ends.map(|end| self.place(end));
            drawing.line(&format!("{class} fit"), &ends);
        }
    }
}

impl Line {
    /// Returns where the power that fits it begins and ends.
    fn ends(&self) -> Option<[(f64, f64); 2]> {
        let (power, [first, .., last]) = (self.power?, self.points.as_slice()) else {
            return None;
        };
        Some([first.0, last.0].map(|x| (x, power.at(x))))
    }
}

/// Returns from which power of ten to which the figures reach, with some room.
fn range(figures: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let least = figures.clone().fold(f64::INFINITY, f64::min).log10();
    let most = figures.fold(0.0, f64::max).log10();
    (least - ROOM, most + ROOM)
}

/// Returns 1, 2 and 5 of each decade that is seen; of many decades the first alone.
fn ticks((from, to): (f64, f64)) -> Vec<f64> {
    let steps: &[f64] = if to - from > 3.0 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let decades = from.floor() as i32..=to.floor() as i32;
    let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
    all.filter(|value| (from..=to).contains(&value.log10()))
        .collect()
}

fn tick(value: f64) -> String {
    if value >= 1.0 {
        whole(value)
    } else {
        value.to_string()
    }
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 380.0;
const LEGEND: f64 = 20.0;
const ROOM: f64 = 0.15;
