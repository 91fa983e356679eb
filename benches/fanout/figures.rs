//! Figures: settings in, medians out.

use std::env;
use std::str::FromStr;

use crate::Outcome;

/// Reads a setting from the environment.
pub(crate) fn setting<T: FromStr>(name: &str, default: T) -> Outcome<T> {
    let Ok(text) = env::var(name) else {
        return Ok(default);
    };
    text.parse()
        .map_err(|_| format!("{name} is no number: '{text}'").into())
}

/// Returns the figure in the middle; not a number when there is none.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => figures[n / 2],
        n => f64::midpoint(figures[n / 2 - 1], figures[n / 2]),
    }
}
