//! The launch of `adamw.cu`. Formulas are those of [`crate::ops::adamw`].

use half::bf16;

use super::{Driver, Kernel, Slice, SliceMut, elements, launch::Argument};
use crate::{
    error::Result,
    ops::adamw::{AdamW, check_hyper, cpu::Factors},
};

/// What a step changes, all of the gradient's length.
#[derive(Debug)]
pub struct State<'a> {
    /// The parameter w; with `rounded`, the master copy that keeps what bf16 cannot.
    pub weight: SliceMut<'a, f32>,
    /// The running mean m of the gradient; zeros before the first step.
    pub exp_avg: SliceMut<'a, f32>,
    /// The running mean v of the squared gradient; zeros before the first step.
    pub exp_avg_sq: SliceMut<'a, f32>,
    /// The weight as the model reads it, overwritten.
    pub rounded: Option<SliceMut<'a, bf16>>,
}

/// Moves the weights by one step, in one pass over memory. `step` and `gradient_scale` are as in
/// [`crate::ops::adamw::step`].
///
/// # Shapes
/// Any, the same for `gradient` and all of `state`.
///
/// # Errors
/// [`crate::Error::Shape`] naming the tensor of another length; [`crate::Error::Argument`] for one
/// that is not aligned to 16 bytes, step 0, or hyper-parameters out of range; [`crate::Error::Launch`]
/// if the driver refuses.
pub fn step(
    driver: &Driver,
    hyper: &AdamW,
    step: u64,
    gradient_scale: f32,
    gradient: Slice<'_, f32>,
    state: State<'_>,
) -> Result<()> {
    const OP: &str = "cuda::adamw::step";
    let State { weight, exp_avg, exp_avg_sq, rounded } = state;
    let tensors = [
        ("gradient", gradient.address, gradient.len),
        ("weight", weight.address, weight.len),
        ("exp_avg", exp_avg.address, exp_avg.len),
        ("exp_avg_sq", exp_avg_sq.address, exp_avg_sq.len),
    ];
    let count = elements::check(OP, gradient.len, &tensors)?;
    check_hyper(OP, hyper, step)?;
    let mut arguments: Vec<Argument> =
        vec![gradient.into(), weight.into(), exp_avg.into(), exp_avg_sq.into()];
    let mut kernel = Kernel::AdamWF32;
    if let Some(rounded) = rounded {
        elements::check(OP, gradient.len, &[("rounded", rounded.address, rounded.len)])?;
        arguments.push(rounded.into());
        kernel = Kernel::AdamWBf16;
    }
    let f = Factors::new(hyper, step, gradient_scale);
    let factors = [
        f.gradient_scale,
        f.keep,
        f.lerp,
        f.unlerp,
        f.beta2,
        f.square,
        f.correction,
        f.epsilon,
        f.step_size,
    ];
    arguments.push(count.into());
    arguments.extend(factors.map(Argument::from));
    // SAFETY: all tensors hold `count` elements, as checked above, and what is written is borrowed
    // exclusively, so that nothing overlaps it.
    unsafe { elements::launch(driver, kernel, count, &arguments) }
}
