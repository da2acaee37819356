//! Numbers of a stage, by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Numbers by name, in the order of names; only finite ones.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Adds a number. One that is not finite is left out: JSON has none, and curves break.
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        if value.is_finite() {
            self.0.insert(name.into(), value);
        }
    }

    /// Adds a count.
    pub fn count(&mut self, name: impl Into<String>, count: usize) {
        self.set(name, count as f64);
    }

    /// Adds mean, deviation, least and largest of values; nothing of none.
    pub fn spread(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        let values: Vec<f64> = values.into_iter().collect();
        if values.is_empty() {
            return;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        self.set(format!("{name}/mean"), mean);
        self.set(format!("{name}/std"), square.sqrt());
        self.set(format!("{name}/min"), values.iter().copied().fold(f64::INFINITY, f64::min));
        self.set(format!("{name}/max"), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }

    /// A number by its name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// All, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_of_the_population_and_nothing_is_not_a_number() {
        let mut metrics = Metrics::default();
        metrics.spread("x", [1.0, 3.0]);
        metrics.spread("none", []);
        metrics.set("bad", f64::NAN);
        let all: Vec<_> = metrics.iter().collect();
        assert_eq!(all, [("x/max", 3.0), ("x/mean", 2.0), ("x/min", 1.0), ("x/std", 1.0)]);
    }
}
