//! One step of AdamW (Loshchilov & Hutter, 2019) in the order of `torch.optim.AdamW`.
//!
//! ```text
//! g  = gradient_scale · gradient
//! w  = w · (1 − η λ)                                      decay first, apart from the gradient
//! m += (1 − β₁) · (g − m)
//! v  = β₂ v + (1 − β₂) g²
//! w −= η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
//! ```
//!
//! Factors that depend on the step alone are computed in f64 and rounded to f32 once, as torch does
//! when it works tensor by tensor. So `1 − η λ` is exactly 1 (no decay at all) once `η λ < 3e-8`,
//! and a weight does not move by less than half a unit in its last place, about `6e-8 |w|`.

pub(crate) mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use crate::{
    Device, View, ViewMut, check,
    error::{Error, Result},
};

/// The hyper-parameters of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// η, at this step of the schedule.
    pub learning_rate: f64,
    /// Decay β₁ of the mean gradient, in `[0, 1)`.
    pub beta1: f64,
    /// Decay β₂ of the mean squared gradient, in `[0, 1)`.
    pub beta2: f64,
    /// ε, added to the root of the mean square. With 0, an element whose gradient has always been
    /// zero turns NaN.
    pub epsilon: f64,
    /// λ, the share of a weight lost per unit of learning rate.
    pub weight_decay: f64,
}

/// What a step changes, all of the gradient's shape.
#[derive(Debug)]
pub struct State<'a> {
    /// The parameter w in f32; with `rounded`, the master copy that keeps what bf16 cannot.
    pub weight: ViewMut<'a>,
    /// The running mean m of the gradient; zeros before the first step.
    pub exp_avg: ViewMut<'a>,
    /// The running mean v of the squared gradient; zeros before the first step.
    pub exp_avg_sq: ViewMut<'a>,
    /// Where the model reads the weight in bf16, overwritten; `None` on the CPU, whose model reads
    /// `weight` itself.
    pub rounded: Option<ViewMut<'a>>,
}

/// Moves the weights by one step: the formula of the module, in one pass over memory.
///
/// `step` is the number `t` of this step, counted from 1; `gradient_scale` is the clip factor (1 for
/// none), applied without touching `gradient`. A NaN or infinity in either lands in the weights:
/// check the norm first. Above `|g| = 1.8e19` the square is infinite in f32 and the element stays
/// where it is from then on.
///
/// # Shapes
/// Any, the same for `gradient` and all tensors of `state`.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit; [`Error::Argument`] for step 0 or
/// hyper-parameters that torch would refuse: a beta outside `[0, 1)`, or a learning rate, an epsilon
/// or a weight decay that is negative or not finite.
pub fn step(
    hyper: &AdamW,
    step: u64,
    gradient_scale: f32,
    gradient: View<'_>,
    state: State<'_>,
) -> Result<()> {
    const OP: &str = "adamw::step";
    let dims = gradient.dims();
    let State { weight, exp_avg, exp_avg_sq, rounded } = &state;
    check::shape(OP, "weight", weight.dims(), dims.axes())?;
    check::shape(OP, "exp_avg", exp_avg.dims(), dims.axes())?;
    check::shape(OP, "exp_avg_sq", exp_avg_sq.dims(), dims.axes())?;
    if let Some(rounded) = rounded {
        check::shape(OP, "rounded", rounded.dims(), dims.axes())?;
    }
    check_hyper(OP, hyper, step)?;
    match gradient.device() {
        Device::Cpu => {
            let State { weight, exp_avg, exp_avg_sq, rounded } = state;
            if rounded.is_some() {
                return Err(Error::argument(OP, "`rounded` is for cuda; the CPU holds no bf16"));
            }
            let gradient = gradient.f32(OP, "gradient")?;
            let weight = weight.into_f32(OP, "weight")?;
            let exp_avg = exp_avg.into_f32(OP, "exp_avg")?;
            let exp_avg_sq = exp_avg_sq.into_f32(OP, "exp_avg_sq")?;
            let factors = cpu::Factors::new(hyper, step, gradient_scale);
            cpu::step(&factors, gradient, weight, exp_avg, exp_avg_sq);
        }
        Device::Cuda(driver) => {
            cuda::step(&driver, hyper, step, gradient_scale, gradient, state)?;
        }
    }
    Ok(())
}

/// The settings are ones that torch would take, and steps count from 1.
pub(crate) fn check_hyper(op: &'static str, hyper: &AdamW, step: u64) -> Result<()> {
    if step == 0 {
        return Err(Error::argument(op, "step is 0, expected the count of this step, from 1"));
    }
    for (name, beta) in [("beta1", hyper.beta1), ("beta2", hyper.beta2)] {
        if !(0.0..1.0).contains(&beta) {
            return Err(Error::argument(
                op,
                format!("{name} is {beta}, expected a value in [0, 1)"),
            ));
        }
    }
    let sizes = [
        ("learning_rate", hyper.learning_rate),
        ("epsilon", hyper.epsilon),
        ("weight_decay", hyper.weight_decay),
    ];
    for (name, value) in sizes {
        if !(0.0..f64::INFINITY).contains(&value) {
            let problem = format!("{name} is {value}, expected a finite value of at least 0");
            return Err(Error::argument(op, problem));
        }
    }
    Ok(())
}
