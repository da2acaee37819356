//! Means with intervals, and paired differences, of few runs.

/// The mean of some values and where the true one lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) mean: f64,
    /// 95 %: Student's t, for values that scatter normally. `None` for fewer than two.
    pub(crate) interval: Option<(f64, f64)>,
    /// Deviation with ddof 1 by √n.
    error: f64,
    count: usize,
}

/// Differences between runs of the same seeds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Paired {
    /// Of the differences.
    pub(crate) sample: Sample,
    /// Two-sided, of Student's paired test; `None` for fewer than two.
    pub(crate) p_value: Option<f64>,
}

impl Sample {
    /// Of these values.
    pub(crate) fn of(values: &[f64]) -> Self {
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count.max(1) as f64;
        if count < 2 {
            return Self { mean, interval: None, error: 0.0, count };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (count - 1) as f64 / count as f64).sqrt();
        let half = quantile(0.975, (count - 1) as f64) * error;
        Self { mean, interval: Some((mean - half, mean + half)), error, count }
    }

    /// Of shares of a whole: the true mean is one too, and lies from 0 to 1.
    pub(crate) fn of_shares(values: &[f64]) -> Self {
        let sample = Self::of(values);
        let interval = sample.interval.map(|(low, high)| (low.max(0.0), high.min(1.0)));
        Self { interval, ..sample }
    }

    /// `0.512 [0.490, 0.534]`.
    pub(crate) fn shown(&self) -> String {
        match self.interval {
            _ if self.count == 0 => "-".into(),
            None => format!("{:.3}", self.mean),
            Some((low, high)) => format!("{:.3} [{low:.3}, {high:.3}]", self.mean),
        }
    }
}

impl Paired {
    /// Of `values` less `others`, run by run.
    pub(crate) fn of(values: &[f64], others: &[f64]) -> Self {
        let differences: Vec<f64> = values.iter().zip(others).map(|(a, b)| a - b).collect();
        let sample = Sample::of(&differences);
        let p_value = (sample.count > 1).then(|| match sample.error {
            0.0 if sample.mean == 0.0 => 1.0,
            0.0 => 0.0,
            error => {
                2.0 * (1.0 - probability((sample.mean / error).abs(), (sample.count - 1) as f64))
            }
        });
        Self { sample, p_value }
    }

    /// `+0.120 [0.080, 0.160] p 0.001`.
    pub(crate) fn shown(&self) -> String {
        let p = match self.p_value {
            None => String::new(),
            Some(p) if p < 0.001 => " p < 0.001".into(),
            Some(p) => format!(" p {p:.3}"),
        };
        let sign = if self.sample.mean >= 0.0 { "+" } else { "" };
        format!("{sign}{}{p}", self.sample.shown())
    }
}

/// The chance that Student's t with `freedom` degrees is below `t`, for `t ≥ 0`: the density summed by
/// Simpson's rule.
fn probability(t: f64, freedom: f64) -> f64 {
    let density = |x: f64| (1.0 + x * x / freedom).powf(-(freedom + 1.0) / 2.0);
    let area = |to: f64| {
        // x = u / (1 - u) takes 0..∞ to 0..1.
        let end = to / (1.0 + to);
        let steps = 2000;
        let width = end / f64::from(steps);
        let at = |i: i32| {
            let u = width * f64::from(i);
            if u >= 1.0 { 0.0 } else { density(u / (1.0 - u)) / (1.0 - u).powi(2) }
        };
        let inner: f64 = (1..steps).map(|i| at(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        (at(0) + inner + at(steps)) * width / 3.0
    };
    0.5 + 0.5 * area(t) / area(1e9)
}

/// The value below which Student's t lies with a chance above one half.
fn quantile(chance: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1000.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if probability(middle, freedom) < chance { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the usual tables.
    #[test]
    fn quantiles_are_those_of_tables() {
        for (freedom, expected) in
            [(1.0, 12.706), (2.0, 4.303), (4.0, 2.776), (9.0, 2.262), (100.0, 1.984)]
        {
            let found = quantile(0.975, freedom);
            assert!((found / expected - 1.0).abs() < 1e-3, "{freedom}: {found}");
        }
    }

    #[test]
    fn means_differences_and_chances() {
        let sample = Sample::of(&[1.0, 2.0, 3.0]);
        assert_eq!(sample.mean, 2.0);
        let (low, high) = sample.interval.unwrap();
        assert!((low + 0.4841).abs() < 1e-3 && (high - 4.4841).abs() < 1e-3, "{low} {high}");
        let paired = Paired::of(&[1.1, 2.3, 2.9], &[1.0, 2.0, 3.0]);
        // t = 0.1 / (0.2 / √3) = 0.866 with 2 degrees of freedom.
        assert!((paired.p_value.unwrap() - 0.4778).abs() < 1e-3, "{paired:?}");
        let clear = Paired::of(&[1.001, 2.002, 3.001], &[0.0, 1.0, 2.0]).shown();
        assert!(clear.starts_with("+1.001 [") && clear.ends_with("] p < 0.001"), "{clear}");
        assert_eq!(Sample::of_shares(&[0.2, 1.0]).shown(), "0.600 [0.000, 1.000]");
        assert_eq!(Sample::of(&[0.5]).shown(), "0.500");
        assert_eq!(Sample::of(&[]).shown(), "-");
    }
}
