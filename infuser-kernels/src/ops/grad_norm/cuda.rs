//! The CUDA side of [`super`]. The host waits for the sum.

use crate::{
    View,
    cuda::{self, Driver, Memory, Operands},
    error::Result,
};

pub(super) fn sum_of_squares(
    driver: &Driver,
    op: &'static str,
    tensors: &[View<'_>],
) -> Result<f64> {
    let on = Operands::new(driver, op);
    let mut total = Memory::<f64>::unset(driver, 1)?;
    total.slice_mut().clear()?;
    for x in tensors {
        cuda::grad_norm::add_sum_of_squares(driver, on.f32("x", *x)?, total.slice_mut())?;
    }
    Ok(total.download()?[0])
}
