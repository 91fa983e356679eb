//! The power that fits points best.

/// `factor · x^exponent`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Power {
    factor: f64,
    pub(crate) exponent: f64,
}

impl Power {
    /// Fits the logarithms of the points by least squares; `None` for fewer than two of them.
    pub(crate) fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let logs = points.iter().map(|(x, y)| (x.ln(), y.ln()));
        let (sum_x, sum_y) = logs
            .clone()
            .fold((0.0, 0.0), |sum, log| (sum.0 + log.0, sum.1 + log.1));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let above: f64 = logs.clone().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let below: f64 = logs.map(|(x, _)| (x - mean_x).powi(2)).sum();
        let exponent = above / below;
        exponent.is_finite().then(|| Self {
            factor: (mean_y - exponent * mean_x).exp(),
            exponent,
        })
    }

    pub(crate) fn at(self, x: f64) -> f64 {
        self.factor * x.powf(self.exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_is_found_again() {
        let points = [1.0, 10.0, 500.0].map(|x: f64| (x, 3.0 * x.powf(-0.25)));
        let power = Power::fit(&points).unwrap();
        assert!((power.exponent + 0.25).abs() < 1e-9);
        assert!((power.at(10.0) - points[1].1).abs() < 1e-9);
    }

    #[test]
    fn one_point_has_no_slope() {
        assert!(Power::fit(&[(1.0, 2.0)]).is_none());
        assert!(Power::fit(&[]).is_none());
    }
}
