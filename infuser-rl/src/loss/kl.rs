//! Estimates of the divergence from a reference policy, token by token.

use super::MAX_LOG_RATIO;
use crate::error::{self, Result};

/// Which estimate, with `d = logp − reference` (Schulman 2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// `d`: unbiased, of high variance, negative at times.
    K1,
    /// `|d|`.
    Absolute,
    /// `d²/2`: biased, of low variance.
    K2,
    /// `e^{−d} + d − 1`: unbiased, never negative; cut to ±10.
    K3,
}

/// The estimate at each token, and its derivative by the log-probability.
///
/// ```
/// use infuser_rl::loss::{Estimator, kl};
/// let (value, slope) = kl(&[-1.0], &[-1.5], Estimator::K2)?;
/// assert_eq!((value[0], slope[0]), (0.125, 0.5));
/// # Ok::<(), infuser_rl::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::Length`].
pub fn kl(logp: &[f32], reference: &[f32], estimator: Estimator) -> Result<(Vec<f32>, Vec<f32>)> {
    /// The published cut of the third estimate.
    const MAX_K3: f64 = 10.0;
    error::length("reference", reference.len(), logp.len())?;
    let one = |(logp, reference): (&f32, &f32)| {
        let d = f64::from(*logp) - f64::from(*reference);
        let (value, slope) = match estimator {
            Estimator::K1 => (d, 1.0),
            Estimator::Absolute => (d.abs(), if d == 0.0 { 0.0 } else { d.signum() }),
            Estimator::K2 => (0.5 * d * d, d),
            Estimator::K3 => {
                let inside = d.abs() <= MAX_LOG_RATIO;
                let minus = (-d).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO);
                let value = minus.exp() - minus - 1.0;
                let slope = if inside && value <= MAX_K3 { 1.0 - minus.exp() } else { 0.0 };
                (value.min(MAX_K3), slope)
            }
        };
        (value as f32, slope as f32)
    };
    Ok(logp.iter().zip(reference).map(one).unzip())
}
