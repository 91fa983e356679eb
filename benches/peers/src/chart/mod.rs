//! The charts: SVG that a page may show in a light and in a dark scheme.

mod bars;
mod curve;

use std::fmt::Write;

pub(crate) use bars::bars;
pub(crate) use curve::{Curve, Line, curve};

/// A drawing that grows.
struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

impl Drawing {
    fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    /// Writes a text; the class says how it looks and on which side of the point it stands.
    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#
        ));
    }

    fn bar(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.add(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2"/>"#
        ));
    }

    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        self.add(format_args!(
            r#"<polyline class="{class}" points="{points}"/>"#
        ));
    }

    fn dot(&mut self, class: &str, x: f64, y: f64) {
        self.add(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="4"/>"#
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }

    fn finish(self) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
             <style>{STYLE}</style>\n<rect class=\"ground\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n{body}</svg>\n"
        )
    }
}

/// It has a ground of its own, as a page may be dark where the reader's system is light.
const STYLE: &str = "
text { font: 13px system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.own { font-weight: 600 }
.dim { fill: #59636e; font-size: 12px }
.end { text-anchor: end }
.middle { text-anchor: middle }
.ground { fill: #ffffff }
.bar { fill: #818b98 }
.bar.own { fill: #0969da }
.bar.floor { fill: #c8d1da }
polyline { fill: none; stroke-width: 2 }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.fit { stroke-dasharray: 3 4; stroke-width: 1.5 }
polyline.c0 { stroke: #0969da } circle.c0, text.c0 { fill: #0969da }
polyline.c1 { stroke: #bc4c00 } circle.c1, text.c1 { fill: #bc4c00 }
polyline.c2 { stroke: #1a7f37 } circle.c2, text.c2 { fill: #1a7f37 }
polyline.c3 { stroke: #8250df } circle.c3, text.c3 { fill: #8250df }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .dim { fill: #9198a1 }
  .ground { fill: #0d1117 }
  .bar { fill: #656c76 }
  .bar.own { fill: #4493f8 }
  .bar.floor { fill: #3d444d }
  .grid { stroke: #3d444d }
  polyline.c0 { stroke: #4493f8 } circle.c0, text.c0 { fill: #4493f8 }
  polyline.c1 { stroke: #f0883e } circle.c1, text.c1 { fill: #f0883e }
  polyline.c2 { stroke: #3fb950 } circle.c2, text.c2 { fill: #3fb950 }
  polyline.c3 { stroke: #ab7df8 } circle.c3, text.c3 { fill: #ab7df8 }
}
";
