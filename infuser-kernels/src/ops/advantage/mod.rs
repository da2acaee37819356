//! Advantages from rewards, relative to the group a rollout belongs to.
//!
//! With `μ_g`, `σ_g` the mean and the unbiased standard deviation (n − 1) of group `g`:
//!
//! ```text
//! GroupStd   (r_i − μ_g) / (σ_g + ε)          GRPO
//! DualStd    (r_i − μ_g) / (σ_g + σ̄ + ε)      DuGRPO; σ̄ = mean of the σ_g of groups that vary
//! BatchStd   (r_i − μ_g) / (σ_B + ε)          σ_B = deviation of all r_i − μ_g; 0 for one row
//! Centred    r_i − μ_g                        Dr. GRPO
//! ```
//!
//! with `ε = 1e-6`. Whether a group varies is decided by comparing its rewards, not by a deviation
//! that rounding may leave above zero: equal rewards give advantages of exactly zero and do not
//! count in `σ̄`. In `σ_B` every row counts, those with advantage zero too.

use serde::{Deserialize, Serialize};

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use crate::{
    Device, View, ViewMut, check,
    error::{Error, Result},
};

/// ε, added to every divisor.
const EPSILON: f64 = 1e-6;

/// What the centred reward is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalisation {
    /// The deviation of the group: GRPO, `group_std`.
    GroupStd,
    /// The deviation of the group plus the mean deviation over the groups that vary: DuGRPO,
    /// `hybrid_std`. A group of nearly equal rewards is not blown up to the size of the others.
    DualStd,
    /// The deviation of all centred rewards of the batch: `batch_std`.
    BatchStd,
    /// Nothing: Dr. GRPO, `none`.
    Centred,
}

/// What a group of one row gets, which has no deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Singleton {
    /// Advantage 0, and no part in the mean deviation of [`Normalisation::DualStd`]: a single
    /// rollout says nothing about being better than another.
    #[default]
    Zero,
    /// As published: mean 0 and deviation 1, so that the raw reward becomes the advantage; counted
    /// in the mean deviation.
    Raw,
}

/// The advantage of every row, by the formulas of the module, in f64.
///
/// `groups` holds the group of each row, in any order; ids may leave gaps. Reordering rows reorders
/// the advantages and changes no bit. The result is finite for all finite rewards; an advantage
/// outside f32 becomes the largest f32 of its sign ([`Normalisation::Centred`] for rewards beyond
/// 1.7e38, [`Normalisation::BatchStd`] for a single [`Singleton::Raw`] row beyond 3.4e32).
///
/// # Shapes
/// `rewards`, `out`: `[N]` f32; `groups`: `[N]` u32.
///
/// # Errors
/// [`Error::Shape`], [`Error::Rank`] or [`Error::Dtype`] naming the tensor that does not fit;
/// [`Error::Argument`] naming the first row whose reward is not finite, except on CUDA, where such a
/// reward gives advantages that are not finite, or the largest f32.
pub fn normalise(
    rewards: View<'_>,
    groups: View<'_>,
    normalisation: Normalisation,
    singleton: Singleton,
    out: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "advantage::normalise";
    let rows = check::vector(OP, "rewards", rewards.dims())?;
    check::shape(OP, "groups", groups.dims(), &[rows])?;
    check::shape(OP, "out", out.dims(), &[rows])?;
    match rewards.device() {
        Device::Cpu => {
            let (rewards, groups) = (rewards.f32(OP, "rewards")?, groups.u32(OP, "groups")?);
            let out = out.into_f32(OP, "out")?;
            check_finite(OP, rewards)?;
            cpu::normalise(rewards, groups, normalisation, singleton, out);
        }
        Device::Cuda(driver) => {
            cuda::normalise(&driver, OP, [rewards, groups], normalisation, singleton, out)?;
        }
    }
    Ok(())
}

fn check_finite(op: &'static str, rewards: &[f32]) -> Result<()> {
    match rewards.iter().position(|reward| !reward.is_finite()) {
        None => Ok(()),
        Some(row) => {
            let problem = format!("the reward of row {row} is {}, expected a number", rewards[row]);
            Err(Error::argument(op, problem))
        }
    }
}
