//! The CUDA side of [`super`].

use super::{AdamW, State};
use crate::{
    View,
    cuda::{self, Driver, Operands},
    error::Result,
};

const OP: &str = "adamw::step";

pub(super) fn step(
    driver: &Driver,
    hyper: &AdamW,
    step: u64,
    gradient_scale: f32,
    gradient: View<'_>,
    state: State<'_>,
) -> Result<()> {
    let on = Operands::new(driver, OP);
    let State { weight, exp_avg, exp_avg_sq, rounded } = state;
    let state = cuda::adamw::State {
        weight: on.f32_mut("weight", weight)?,
        exp_avg: on.f32_mut("exp_avg", exp_avg)?,
        exp_avg_sq: on.f32_mut("exp_avg_sq", exp_avg_sq)?,
        rounded: rounded.map(|rounded| on.bf16_mut("rounded", rounded)).transpose()?,
    };
    cuda::adamw::step(driver, hyper, step, gradient_scale, on.f32("gradient", gradient)?, state)
}
