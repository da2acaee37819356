//! What may stand beside a policy loss: an entropy bonus and a divergence penalty.

use super::{Estimator, kl};
use crate::{
    error::{self, Result},
    reduce::{Divisor, ranges},
};

/// `L = −coefficient · Σ_t c_t H_t`, and its derivative by each entropy: rewards a policy that has not
/// made up its mind. `c_t` are the coefficients of the divisor.
///
/// ```
/// use infuser_rl::{loss::entropy_bonus, reduce::Divisor};
/// let (value, slope) = entropy_bonus(&[2], &[1.0, 3.0], 0.5, Divisor::tokens(2.0))?;
/// assert_eq!((value, slope), (-1.0, vec![-0.25, -0.25]));
/// # Ok::<(), infuser_rl::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::Length`].
pub fn entropy_bonus(
    lengths: &[usize],
    entropy: &[f32],
    coefficient: f64,
    divisor: Divisor,
) -> Result<(f64, Vec<f32>)> {
    error::length("entropy", entropy.len(), lengths.iter().sum())?;
    let ones = vec![1.0; entropy.len()];
    Ok(weighted(lengths, (entropy, &ones), -coefficient, divisor))
}

/// `L = coefficient · Σ_t c_t KL_t`, and its derivative by each log-probability: keeps a policy near a
/// reference.
///
/// # Errors
/// [`crate::Error::Length`].
pub fn kl_penalty(
    lengths: &[usize],
    [logp, reference]: [&[f32]; 2],
    estimator: Estimator,
    coefficient: f64,
    divisor: Divisor,
) -> Result<(f64, Vec<f32>)> {
    error::length("logp", logp.len(), lengths.iter().sum())?;
    let (values, slopes) = kl(logp, reference, estimator)?;
    Ok(weighted(lengths, (&values, &slopes), coefficient, divisor))
}

/// `Σ_t factor c_t value_t`, and `factor c_t slope_t`.
fn weighted(
    lengths: &[usize],
    (values, slopes): (&[f32], &[f32]),
    factor: f64,
    divisor: Divisor,
) -> (f64, Vec<f32>) {
    let (mut sum, mut gradient) = (0.0, Vec::with_capacity(values.len()));
    for range in ranges(lengths) {
        let weight = factor * divisor.coefficient(range.len());
        for t in range {
            sum += weight * f64::from(values[t]);
            gradient.push((weight * f64::from(slopes[t])) as f32);
        }
    }
    (sum, gradient)
}
