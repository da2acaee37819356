//! The sums behind the optimizer-aware influence score of a question.
//!
//! With the gradient `g` of the question, the reference gradient `m` of the dev set and AdamW's
//! running mean square `v` after `t₀` steps, `Γ` is the gradient as the next step would scale it:
//!
//! ```text
//! v̂ = (β₂ v + (1 − β₂) g²) / (1 − β₂^(t₀+1))        Γ = g / (√v̂ + ε)
//! ```
//!
//! The first moment, the learning rate, the decay and the clip factor play no part. The four sums
//! of one tensor are added to those of the others ([`std::ops::AddAssign`]); the score is the cosine
//! `⟨Γ,m⟩ / (|Γ| |m|)` or one of its relatives. `|m|²` is the same for all questions and comes once
//! from [`grad_norm::sum_of_squares`](super::grad_norm::sum_of_squares).

pub(crate) mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use std::ops::AddAssign;

use crate::{
    Device, View, check,
    error::{Error, Result},
};

/// What of the optimizer enters `Γ`, besides its running mean square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preconditioner {
    /// Decay β₂ of the mean squared gradient, in `[0, 1)`.
    pub beta2: f64,
    /// ε, added to the root of the mean square.
    pub epsilon: f64,
    /// t₀, how many steps the optimizer has taken.
    pub step: u64,
}

/// The sums over the elements of one or more tensors.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// `⟨g, m⟩`.
    pub dot: f64,
    /// `|g|²`.
    pub gradient_sq: f64,
    /// `⟨Γ, m⟩`.
    pub gamma_dot: f64,
    /// `|Γ|²`.
    pub gamma_sq: f64,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.dot += other.dot;
        self.gradient_sq += other.gradient_sq;
        self.gamma_dot += other.gamma_dot;
        self.gamma_sq += other.gamma_sq;
    }
}

/// The sums of one tensor, in one pass over memory and in f64 throughout: no gradient is too small
/// or too large for its square, unlike in f32, where `Γ` vanishes above `|g| = 1.8e19`.
///
/// `exp_avg_sq` is `v`; `None` is an optimizer that has not stepped yet (`v = 0`), for which `Γ` is
/// `g / (|g| + ε)`, about the sign of `g`. Where `√v̂ + ε` is 0, so is `Γ`.
///
/// # Shapes
/// Any, the same for all tensors.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit; [`Error::Argument`] for a `beta2` outside
/// `[0, 1)`, an epsilon that is negative or not finite, or steps without an `exp_avg_sq`.
pub fn sums(
    gradient: View<'_>,
    exp_avg_sq: Option<View<'_>>,
    target: View<'_>,
    preconditioner: &Preconditioner,
) -> Result<Sums> {
    const OP: &str = "influence::sums";
    let dims = gradient.dims();
    if let Some(exp_avg_sq) = exp_avg_sq {
        check::shape(OP, "exp_avg_sq", exp_avg_sq.dims(), dims.axes())?;
    }
    check::shape(OP, "target", target.dims(), dims.axes())?;
    check_preconditioner(OP, preconditioner, exp_avg_sq.is_some())?;
    match gradient.device() {
        Device::Cpu => {
            let (gradient, target) = (gradient.f32(OP, "gradient")?, target.f32(OP, "target")?);
            let exp_avg_sq = exp_avg_sq.map(|v| v.f32(OP, "exp_avg_sq")).transpose()?;
            Ok(cpu::sums(gradient, exp_avg_sq, target, preconditioner))
        }
        Device::Cuda(driver) => {
            cuda::sums(&driver, OP, gradient, exp_avg_sq, target, preconditioner)
        }
    }
}

/// The settings are in range, and steps were taken only if there is a state.
pub(crate) fn check_preconditioner(
    op: &'static str,
    preconditioner: &Preconditioner,
    has_state: bool,
) -> Result<()> {
    let Preconditioner { beta2, epsilon, step } = *preconditioner;
    if !(0.0..1.0).contains(&beta2) {
        return Err(Error::argument(op, format!("beta2 is {beta2}, expected a value in [0, 1)")));
    }
    if !(0.0..f64::INFINITY).contains(&epsilon) {
        let problem = format!("epsilon is {epsilon}, expected a finite value of at least 0");
        return Err(Error::argument(op, problem));
    }
    if step > 0 && !has_state {
        let problem = format!("step is {step} without an `exp_avg_sq`, expected 0");
        return Err(Error::argument(op, problem));
    }
    Ok(())
}
