//! Group-relative advantages: how much better a sample was than the others of its prompt.
//!
//! ```text
//! A_i = (r_i − μ_g) / d      μ_g: mean of the group      σ_g: its deviation, ddof 1
//! d = σ_g + ε        GRPO          d = σ_g + σ̄ + ε    DuGRPO; σ̄: mean σ_g over groups that vary
//! d = σ_B + ε        batch         d = 1              Dr. GRPO; σ_B: deviation of all r_i − μ_g
//! ```
//!
//! The plain twin of the kernel `infuser_kernels::ops::advantage`; a test holds them together.
//! Whether a group varies is asked of its rewards, never of a deviation that rounding may leave above
//! zero: the published code counts the rounding noise of eight equal rewards in σ̄.

pub use infuser_kernels::ops::advantage::{Normalisation, Singleton};

use crate::error::{self, Result};

/// ε, added to every divisor.
pub const EPSILON: f64 = 1e-6;

/// The advantage of every row.
///
/// `groups` names the group of each row, in any order.
///
/// ```
/// use infuser_rl::advantage::{Normalisation, Singleton, normalise};
/// let a = normalise(&[1.0, 0.0, 0.0, 1.0], &[7, 7, 7, 7], Normalisation::Centred, Singleton::Zero)?;
/// assert_eq!(a, [0.5, -0.5, -0.5, 0.5]);
/// # Ok::<(), infuser_rl::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::Length`], [`crate::Error::NotFinite`].
pub fn normalise(
    rewards: &[f32],
    groups: &[u32],
    normalisation: Normalisation,
    singleton: Singleton,
) -> Result<Vec<f32>> {
    error::length("groups", groups.len(), rewards.len())?;
    error::finite("reward", rewards)?;
    let statistics = statistics(rewards, groups, singleton);
    let centred: Vec<f64> = rewards
        .iter()
        .zip(groups)
        .map(|(reward, group)| statistics[group].centre(f64::from(*reward)))
        .collect();
    let varying: Vec<f64> = statistics.values().filter(|s| s.varies).map(|s| s.deviation).collect();
    let mean_deviation = mean(&varying);
    let batch = deviation(&centred);
    let divisor = |group: &u32| match normalisation {
        Normalisation::GroupStd => statistics[group].deviation + EPSILON,
        Normalisation::DualStd => statistics[group].deviation + mean_deviation + EPSILON,
        Normalisation::BatchStd => batch + EPSILON,
        Normalisation::Centred => 1.0,
    };
    let advantage = |(centred, group): (&f64, &u32)| clamp(centred / divisor(group));
    Ok(centred.iter().zip(groups).map(advantage).collect())
}

/// Centres and scales all values together: what decoupled rewards end with. One value stays as it is.
///
/// ```text
/// A_i = (a_i − mean) / (std + 1e-8), std with ddof 1
/// ```
pub fn whiten(values: &[f64]) -> Vec<f64> {
    if values.len() < 2 {
        return values.to_vec();
    }
    if values.iter().all(|value| *value == values[0]) {
        return vec![0.0; values.len()];
    }
    let (mean, deviation) = (mean(values), deviation(values));
    values.iter().map(|value| (value - mean) / (deviation + 1e-8)).collect()
}

/// A group's mean and deviation.
struct Statistics {
    mean: f64,
    deviation: f64,
    /// Its rewards differ, so that it counts in the mean deviation.
    varies: bool,
    /// All rewards are this one, so that every advantage is exactly 0.
    constant: bool,
}

impl Statistics {
    fn centre(&self, reward: f64) -> f64 {
        if self.constant { 0.0 } else { reward - self.mean }
    }
}

fn statistics(
    rewards: &[f32],
    groups: &[u32],
    singleton: Singleton,
) -> std::collections::BTreeMap<u32, Statistics> {
    let mut members: std::collections::BTreeMap<u32, Vec<f64>> = std::collections::BTreeMap::new();
    for (reward, group) in rewards.iter().zip(groups) {
        members.entry(*group).or_default().push(f64::from(*reward));
    }
    let of_one = |rewards: Vec<f64>| {
        if rewards.len() == 1 {
            return match singleton {
                Singleton::Zero => {
                    Statistics { mean: rewards[0], deviation: 0.0, varies: false, constant: true }
                }
                Singleton::Raw => {
                    Statistics { mean: 0.0, deviation: 1.0, varies: true, constant: false }
                }
            };
        }
        let constant = rewards.iter().all(|reward| *reward == rewards[0]);
        let spread = if constant { 0.0 } else { deviation(&rewards) };
        Statistics { mean: mean(&rewards), deviation: spread, varies: !constant, constant }
    };
    members.into_iter().map(|(group, rewards)| (group, of_one(rewards))).collect()
}

/// 0 for nothing.
fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.iter().fold(0.0, |sum, value| sum + value) / values.len() as f64
}

/// The deviation with ddof 1; 0 for fewer than two values.
fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares = values.iter().fold(0.0, |sum, value| sum + (value - mean).powi(2));
    (squares / (values.len() - 1) as f64).sqrt()
}

fn clamp(value: f64) -> f32 {
    (value as f32).clamp(f32::MIN, f32::MAX)
}
