//! The CUDA side of [`super`]. The host waits for the sum.

use crate::{
    View,
    cuda::{self, Driver, Memory, Operands},
    error::Result,
};

pub(super) fn sum_of_squares(driver: &Driver, op: &'static str, x: View<'_>) -> Result<f64> {
    let x = Operands::new(driver, op).f32("x", x)?;
    let mut total = Memory::upload(driver, &[0.0f64])?;
    cuda::grad_norm::add_sum_of_squares(driver, x, total.slice_mut())?;
    Ok(total.download()?[0])
}
