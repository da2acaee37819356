//! The CUDA side of [`super`].

use crate::{
    View, ViewMut,
    cuda::{self, Driver, Operands},
    error::Result,
};

pub(super) fn forward(
    driver: &Driver,
    op: &'static str,
    bias: View<'_>,
    y: ViewMut<'_>,
) -> Result<()> {
    let (on, rows) = (Operands::new(driver, op), y.dims().rows());
    cuda::bias::forward(driver, rows, on.bf16("bias", bias)?, on.bf16_mut("y", y)?)
}

pub(super) fn backward(
    driver: &Driver,
    op: &'static str,
    dy: View<'_>,
    dbias: ViewMut<'_>,
) -> Result<()> {
    let (on, rows) = (Operands::new(driver, op), dy.dims().rows());
    cuda::bias::backward(driver, rows, on.bf16("dy", dy)?, on.f32_mut("dbias", dbias)?)
}
