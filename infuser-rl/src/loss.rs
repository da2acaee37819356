//! Policy losses: value and gradient by the log-probabilities together.
//!
//! With `ρ_t = exp(logp_t − old_t)`, advantage `A_t`, weight `w_t` (1 if none) and the coefficients
//! `c_t` of a [`Divisor`], a loss is `L = Σ_t c_t w_t ℓ_t`, and what is returned are `L` and
//! `∂L/∂logp_t`. Exponents are clamped to ±20, where the gradient ends.

mod clipped;
mod kl;
mod others;
mod terms;

pub use clipped::{Clip, clipped};
pub use kl::{Estimator, kl};
pub use others::{Gates, cispo, geometric_mean, gspo, reinforce, sapo};
pub use terms::{entropy_bonus, kl_penalty};

use crate::{
    error::{self, Result},
    reduce::Divisor,
};

/// Differences of log-probabilities beyond this are cut: their exponentials say nothing more.
pub(crate) const MAX_LOG_RATIO: f64 = 20.0;

/// The tokens of packed responses.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Tokens of each response; their sum is the length of all other slices.
    pub lengths: &'a [usize],
    /// Under the policy that is trained.
    pub logp: &'a [f32],
    /// Under the policy before this update.
    pub old_logp: &'a [f32],
    /// Of each token; usually one value for a whole response.
    pub advantages: &'a [f32],
    /// Importance weights, held constant; `None` for 1.
    pub weights: Option<&'a [f32]>,
}

/// A loss and its gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The value.
    pub value: f64,
    /// By each log-probability.
    pub dlogp: Vec<f32>,
    /// What was seen on the way.
    pub counts: Counts,
}

/// Sums over tokens, so that the counts of micro-batches can be added.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Tokens.
    pub tokens: usize,
    /// Tokens at which clipping acted.
    pub clipped: usize,
    /// Tokens with negative advantage at which the lower bound acted.
    pub clipped_lower: usize,
    /// `Σ (old − logp)`, each cut to ±20.
    pub kl: f64,
}

impl Counts {
    /// Adds those of another slice of the batch.
    pub fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.clipped += other.clipped;
        self.clipped_lower += other.clipped_lower;
        self.kl += other.kl;
    }

    /// The part of tokens that were clipped.
    pub fn clip_fraction(&self) -> f64 {
        self.clipped as f64 / self.tokens.max(1) as f64
    }

    /// The part of tokens at which the lower bound acted.
    pub fn clip_fraction_lower(&self) -> f64 {
        self.clipped_lower as f64 / self.tokens.max(1) as f64
    }

    /// The mean of `old − logp`: an estimate of how far the policy moved.
    pub fn mean_kl(&self) -> f64 {
        self.kl / self.tokens.max(1) as f64
    }
}

impl Tokens<'_> {
    fn check(&self) -> Result<()> {
        let tokens = self.lengths.iter().sum();
        error::length("logp", self.logp.len(), tokens)?;
        error::length("old_logp", self.old_logp.len(), tokens)?;
        error::length("advantages", self.advantages.len(), tokens)?;
        self.weights.map_or(Ok(()), |weights| error::length("weights", weights.len(), tokens))
    }

    fn weight(&self, t: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[t].into())
    }

    /// `logp − old`, unclamped.
    fn log_ratio(&self, t: usize) -> f64 {
        f64::from(self.logp[t]) - f64::from(self.old_logp[t])
    }

    /// `ρ_t`, and whether it moves with `logp_t`.
    fn ratio(&self, t: usize) -> (f64, bool) {
        let log = self.log_ratio(t);
        (log.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp(), log.abs() <= MAX_LOG_RATIO)
    }
}

/// One token's part: `ℓ_t`, `∂ℓ_t/∂logp_t`, and whether a bound acted.
struct Term {
    value: f64,
    slope: f64,
    clipped: bool,
    clipped_lower: bool,
}

/// Sums a loss that is a sum over tokens.
fn sum(tokens: &Tokens<'_>, divisor: Divisor, term: impl Fn(usize) -> Term) -> Loss {
    let mut loss = Loss {
        value: 0.0,
        dlogp: Vec::with_capacity(tokens.logp.len()),
        counts: Counts::default(),
    };
    for range in crate::reduce::ranges(tokens.lengths) {
        let coefficient = divisor.coefficient(range.len());
        for t in range {
            let Term { value, slope, clipped, clipped_lower } = term(t);
            let weight = coefficient * tokens.weight(t);
            loss.value += weight * value;
            loss.dlogp.push((weight * slope) as f32);
            loss.counts.add(&Counts {
                tokens: 1,
                clipped: clipped.into(),
                clipped_lower: clipped_lower.into(),
                kl: -tokens.log_ratio(t).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO),
            });
        }
    }
    loss
}
