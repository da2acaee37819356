//! The mismatch between the policy that sampled and the policy that is trained.
//!
//! Rollouts come from an engine whose log-probabilities differ a little from those of training; the
//! ratio `exp(old − rollout)` corrects for it, cut from above (truncated importance sampling, Yao et
//! al. 2025). Tokens or responses far off may be rejected altogether.

use serde::{Deserialize, Serialize};

mod metrics;

pub use metrics::{Mismatch, Spread};

use crate::{
    error::{self, Result},
    reduce::ranges,
};

/// Log-ratios beyond this are cut.
const MAX_LOG_RATIO: f64 = 20.0;

/// What one weight is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Level {
    /// Each token has its own: `exp(d_t)`.
    Token,
    /// One for a response: `exp(Σ d_t)`.
    Sequence,
    /// One for a response: `exp(mean d_t)`.
    Geometric,
}

/// Importance weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Truncation {
    /// Of tokens or of responses.
    pub level: Level,
    /// Larger weights are cut to this.
    pub threshold: f64,
    /// Divide all weights by their mean.
    pub normalise: bool,
}

/// Which ratios are too far off to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Rejection {
    /// Of tokens or of responses.
    pub level: Level,
    /// Ratios above are rejected.
    pub upper: f64,
    /// Ratios below are rejected; `1/upper` if left out.
    pub lower: Option<f64>,
}

impl Rejection {
    fn lower(&self) -> f64 {
        self.lower.unwrap_or(1.0 / self.upper)
    }
}

/// What is done about the mismatch. The default is the paper's: token weights up to 2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Correction {
    /// Weights, if any.
    pub truncation: Option<Truncation>,
    /// Rejection, if any.
    pub rejection: Option<Rejection>,
    /// A response with one token whose ratio is below this is rejected.
    pub veto: Option<f64>,
}

impl Default for Correction {
    fn default() -> Self {
        let truncation = Truncation { level: Level::Token, threshold: 2.0, normalise: false };
        Self { truncation: Some(truncation), rejection: None, veto: None }
    }
}

/// Weights and survivors.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrected {
    /// One for each token, constants of the loss; `None` if none were asked for.
    pub weights: Option<Vec<f32>>,
    /// Whether each token still counts.
    pub kept: Vec<bool>,
    /// What was seen.
    pub mismatch: Mismatch,
}

impl Correction {
    /// Applies it to packed responses. `old` are log-probabilities under the policy that is trained,
    /// before the update; `rollout` those under the policy that sampled.
    ///
    /// ```
    /// use infuser_rl::correction::Correction;
    /// let corrected = Correction::default().apply(&[2], &[-1.0, -1.0], &[-1.0, -3.0])?;
    /// assert_eq!(corrected.weights, Some(vec![1.0, 2.0]));
    /// # Ok::<(), infuser_rl::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Length`]; [`crate::Error::Setting`] for a threshold that is not positive.
    pub fn apply(&self, lengths: &[usize], old: &[f32], rollout: &[f32]) -> Result<Corrected> {
        let tokens = lengths.iter().sum();
        error::length("old", old.len(), tokens)?;
        error::length("rollout", rollout.len(), tokens)?;
        self.check()?;
        let logs: Vec<f64> =
            old.iter().zip(rollout).map(|(old, new)| f64::from(*old) - f64::from(*new)).collect();
        let mut mismatch = Mismatch::new(lengths, old, rollout, &logs);
        let mut kept = vec![true; tokens];
        if let Some(rejection) = self.rejection {
            let ratios = ratios(lengths, &logs, rejection.level);
            let fits = |ratio: &f64| (rejection.lower()..=rejection.upper).contains(ratio);
            kept = ratios.iter().map(fits).collect();
            let bounds = [rejection.lower(), rejection.upper];
            mismatch.rejection =
                Some(Spread::new(lengths, &logs, &ratios, rejection.level, bounds));
            mismatch.rejected_tokens = part(kept.iter().map(|kept| !kept));
            mismatch.rejected_sequences = rejected(lengths, &kept, rejection.level);
        }
        let weights = self.truncation.map(|truncation| {
            let ratios = ratios(lengths, &logs, truncation.level);
            let bounds = [1.0 / truncation.threshold, truncation.threshold];
            mismatch.truncation =
                Some(Spread::new(lengths, &logs, &ratios, truncation.level, bounds));
            let mut weights: Vec<f64> =
                ratios.iter().map(|ratio| ratio.min(truncation.threshold)).collect();
            if truncation.normalise {
                mismatch.normaliser = Some(normalise(lengths, &mut weights, truncation.level));
            }
            weights.iter().map(|weight| *weight as f32).collect()
        });
        if let Some(threshold) = self.veto {
            let fatal = |log: &f64| *log < threshold.ln();
            mismatch.fatal_tokens = part(logs.iter().map(fatal));
            let mut vetoed = Vec::new();
            for range in ranges(lengths) {
                let hit = logs[range.clone()].iter().any(fatal);
                vetoed.push(hit);
                kept[range].iter_mut().for_each(|kept| *kept &= !hit);
            }
            mismatch.vetoed_sequences = part(vetoed.into_iter());
        }
        Ok(Corrected { weights, kept, mismatch })
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`crate::Error::Setting`].
    pub fn check(&self) -> Result<()> {
        let named = [
            ("truncation.threshold", self.truncation.map(|truncation| truncation.threshold)),
            ("rejection.upper", self.rejection.map(|rejection| rejection.upper)),
            ("rejection.lower", self.rejection.and_then(|rejection| rejection.lower)),
            ("veto", self.veto),
        ];
        for (name, value) in named {
            if let Some(value) = value.filter(|value| !(*value > 0.0 && value.is_finite())) {
                return Err(crate::Error::Setting(format!(
                    "correction.{name} is {value}, expected more than 0"
                )));
            }
        }
        Ok(())
    }
}

/// The ratio that each token is judged by.
fn ratios(lengths: &[usize], logs: &[f64], level: Level) -> Vec<f64> {
    let exp = |log: f64| log.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp();
    if level == Level::Token {
        return logs.iter().map(|log| exp(*log)).collect();
    }
    let mut all = Vec::with_capacity(logs.len());
    for range in ranges(lengths) {
        let sum: f64 = logs[range.clone()].iter().sum();
        let log = if level == Level::Sequence { sum } else { sum / range.len().max(1) as f64 };
        all.extend(range.map(|_| exp(log)));
    }
    all
}

/// Divides weights by their mean, over tokens or over responses, and returns it.
fn normalise(lengths: &[usize], weights: &mut [f64], level: Level) -> f64 {
    let mean = if level == Level::Token {
        weights.iter().sum::<f64>() / weights.len().max(1) as f64
    } else {
        let own: Vec<f64> = ranges(lengths)
            .filter(|range| !range.is_empty())
            .map(|range| weights[range.start])
            .collect();
        own.iter().sum::<f64>() / own.len().max(1) as f64
    };
    if mean <= 1e-8 {
        return 1.0;
    }
    weights.iter_mut().for_each(|weight| *weight /= mean);
    mean
}

/// The part of responses that lost a token, or lost all at once.
fn rejected(lengths: &[usize], kept: &[bool], level: Level) -> f64 {
    let lost = |range: std::ops::Range<usize>| match level {
        Level::Token => kept[range].iter().any(|kept| !kept),
        _ => range.clone().next().is_some_and(|first| !kept[first]),
    };
    part(ranges(lengths).map(lost))
}

/// The part that is true; 0 of nothing.
fn part(values: impl ExactSizeIterator<Item = bool>) -> f64 {
    let count = values.len().max(1) as f64;
    values.filter(|value| *value).count() as f64 / count
}
