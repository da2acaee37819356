//! How far the two policies are apart, in numbers.

use super::{Level, MAX_LOG_RATIO};
use crate::reduce::ranges;

/// The mismatch of a batch. Means over tokens count every token alike, means over responses every
/// response alike, empty ones included.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mismatch {
    /// Mean over responses of their perplexity, and of its logarithm, under the trained policy.
    pub training_ppl: f64,
    /// See `training_ppl`.
    pub training_log_ppl: f64,
    /// The same under the policy that sampled.
    pub rollout_ppl: f64,
    /// See `rollout_ppl`.
    pub rollout_log_ppl: f64,
    /// Differences of log-perplexities, training minus rollout: mean.
    pub log_ppl_diff: f64,
    /// Mean of their sizes.
    pub log_ppl_abs_diff: f64,
    /// The largest.
    pub log_ppl_diff_max: f64,
    /// The smallest.
    pub log_ppl_diff_min: f64,
    /// Mean of their exponentials.
    pub ppl_ratio: f64,
    /// `KL(rollout ‖ training)`: the mean over tokens of `rollout − old`.
    pub kl: f64,
    /// The estimate that is never negative: the mean of `e^d − d − 1`.
    pub k3_kl: f64,
    /// χ² of tokens: the mean of `e^{2d}`, less 1.
    pub chi2_token: f64,
    /// χ² of responses.
    pub chi2_seq: f64,
    /// Of the weights, before they were cut.
    pub truncation: Option<Spread>,
    /// What the weights were divided by.
    pub normaliser: Option<f64>,
    /// Of the ratios that rejection looked at.
    pub rejection: Option<Spread>,
    /// The part of tokens rejected.
    pub rejected_tokens: f64,
    /// The part of responses that lost a token.
    pub rejected_sequences: f64,
    /// The part of tokens below the veto threshold.
    pub fatal_tokens: f64,
    /// The part of responses vetoed.
    pub vetoed_sequences: f64,
}

/// How ratios are spread.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// Mean over tokens.
    pub mean: f64,
    /// Largest.
    pub max: f64,
    /// Smallest.
    pub min: f64,
    /// Population deviation of the ratios once cut to their bounds.
    pub std: f64,
    /// Effective sample size as a part of the sample: 1 when all cut ratios are equal.
    pub eff_sample_size: f64,
    /// The part above the upper bound.
    pub ratio_fraction_high: f64,
    /// The part below the lower bound.
    pub ratio_fraction_low: f64,
    /// Of the mean ratio of each response: mean.
    pub seq_mean: f64,
    /// Deviation, ddof 1.
    pub seq_std: f64,
    /// Largest.
    pub seq_max: f64,
    /// Smallest.
    pub seq_min: f64,
    /// Largest distance from 1.
    pub seq_max_deviation: f64,
    /// The part above the upper bound.
    pub seq_fraction_high: f64,
    /// The part below the lower bound.
    pub seq_fraction_low: f64,
}

impl Mismatch {
    pub(super) fn new(lengths: &[usize], old: &[f32], rollout: &[f32], logs: &[f64]) -> Self {
        let per_response = |values: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let mean = |range: std::ops::Range<usize>| {
                let count = range.len().max(1) as f64;
                range.map(values).sum::<f64>() / count
            };
            ranges(lengths).map(mean).collect()
        };
        let training = per_response(&|t| -f64::from(old[t]));
        let rollouts = per_response(&|t| -f64::from(rollout[t]));
        let gaps: Vec<f64> = training.iter().zip(&rollouts).map(|(a, b)| a - b).collect();
        let exps = |values: &[f64]| mean(values.iter().map(|value| value.exp()));
        let squared = |log: f64| (2.0 * log.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)).exp();
        let sums = ranges(lengths).map(|range| logs[range].iter().sum::<f64>());
        Self {
            training_ppl: exps(&training),
            training_log_ppl: mean(training.iter().copied()),
            rollout_ppl: exps(&rollouts),
            rollout_log_ppl: mean(rollouts.iter().copied()),
            log_ppl_diff: mean(gaps.iter().copied()),
            log_ppl_abs_diff: mean(gaps.iter().map(|gap| gap.abs())),
            log_ppl_diff_max: largest(gaps.iter().copied()),
            log_ppl_diff_min: smallest(gaps.iter().copied()),
            ppl_ratio: exps(&gaps),
            kl: -mean(logs.iter().copied()),
            k3_kl: mean(logs.iter().map(|log| log.exp() - log - 1.0)),
            chi2_token: mean(logs.iter().map(|log| squared(*log))) - 1.0,
            chi2_seq: mean(sums.map(squared)) - 1.0,
            ..Self::default()
        }
    }

    /// All numbers with the names they have in logs.
    pub fn named(&self) -> Vec<(String, f64)> {
        let mut all: Vec<(String, f64)> = [
            ("training_ppl", self.training_ppl),
            ("training_log_ppl", self.training_log_ppl),
            ("rollout_ppl", self.rollout_ppl),
            ("rollout_log_ppl", self.rollout_log_ppl),
            ("log_ppl_diff", self.log_ppl_diff),
            ("log_ppl_abs_diff", self.log_ppl_abs_diff),
            ("log_ppl_diff_max", self.log_ppl_diff_max),
            ("log_ppl_diff_min", self.log_ppl_diff_min),
            ("ppl_ratio", self.ppl_ratio),
            ("kl", self.kl),
            ("k3_kl", self.k3_kl),
            ("chi2_token", self.chi2_token),
            ("chi2_seq", self.chi2_seq),
            ("rollout_is_catastrophic_token_fraction", self.fatal_tokens),
            ("rollout_is_veto_fraction", self.vetoed_sequences),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .into();
        if let Some(spread) = &self.truncation {
            all.extend(spread.named("rollout_is"));
        }
        all.extend(self.normaliser.map(|mean| ("rollout_is_batch_norm_factor".into(), mean)));
        if let Some(spread) = &self.rejection {
            all.extend(spread.named("rollout_rs"));
            all.push(("rollout_rs_masked_fraction".into(), self.rejected_tokens));
            all.push(("rollout_rs_seq_masked_fraction".into(), self.rejected_sequences));
        }
        all
    }
}

impl Spread {
    /// `bounds`: lower, upper. Of a ratio that a whole response shares, extremes and parts count
    /// responses; of a token's own, tokens.
    pub(super) fn new(
        lengths: &[usize],
        logs: &[f64],
        ratios: &[f64],
        level: Level,
        [lower, upper]: [f64; 2],
    ) -> Self {
        let judged: Vec<f64> = if level == Level::Token {
            ratios.to_vec()
        } else {
            // An empty response has the ratio 1.
            ranges(lengths).map(|range| shared(&logs[range], level)).collect()
        };
        let cut: Vec<f64> = ratios.iter().map(|ratio| ratio.clamp(lower, upper)).collect();
        let cut_mean = mean(cut.iter().copied());
        let squares = mean(cut.iter().map(|ratio| ratio * ratio));
        let own: Vec<f64> = ranges(lengths)
            .map(|range| ratios[range.clone()].iter().sum::<f64>() / range.len().max(1) as f64)
            .collect();
        Self {
            mean: mean(ratios.iter().copied()),
            max: largest(judged.iter().copied()),
            min: smallest(judged.iter().copied()),
            std: (squares - cut_mean * cut_mean).max(0.0).sqrt(),
            eff_sample_size: if squares > 0.0 { cut_mean * cut_mean / squares } else { 0.0 },
            ratio_fraction_high: mean(
                judged.iter().map(|ratio| f64::from(u8::from(*ratio > upper))),
            ),
            ratio_fraction_low: mean(
                judged.iter().map(|ratio| f64::from(u8::from(*ratio < lower))),
            ),
            seq_mean: mean(own.iter().copied()),
            seq_std: deviation(&own),
            seq_max: largest(own.iter().copied()),
            seq_min: smallest(own.iter().copied()),
            seq_max_deviation: largest(own.iter().map(|ratio| (ratio - 1.0).abs())),
            seq_fraction_high: mean(own.iter().map(|ratio| f64::from(u8::from(*ratio > upper)))),
            seq_fraction_low: mean(own.iter().map(|ratio| f64::from(u8::from(*ratio < lower)))),
        }
    }

    fn named(&self, prefix: &str) -> Vec<(String, f64)> {
        [
            ("mean", self.mean),
            ("max", self.max),
            ("min", self.min),
            ("std", self.std),
            ("eff_sample_size", self.eff_sample_size),
            ("ratio_fraction_high", self.ratio_fraction_high),
            ("ratio_fraction_low", self.ratio_fraction_low),
            ("seq_mean", self.seq_mean),
            ("seq_std", self.seq_std),
            ("seq_max", self.seq_max),
            ("seq_min", self.seq_min),
            ("seq_max_deviation", self.seq_max_deviation),
            ("seq_fraction_high", self.seq_fraction_high),
            ("seq_fraction_low", self.seq_fraction_low),
        ]
        .map(|(name, value)| (format!("{prefix}_{name}"), value))
        .into()
    }
}

fn shared(logs: &[f64], level: Level) -> f64 {
    let sum: f64 = logs.iter().sum();
    let log = if level == Level::Geometric { sum / logs.len().max(1) as f64 } else { sum };
    log.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
}

/// 0 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for value in values {
        (sum, count) = (sum + value, count + 1);
    }
    sum / count.max(1) as f64
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.reduce(f64::max).unwrap_or(0.0)
}

fn smallest(values: impl Iterator<Item = f64>) -> f64 {
    values.reduce(f64::min).unwrap_or(0.0)
}

/// ddof 1; 0 for one value.
fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}
