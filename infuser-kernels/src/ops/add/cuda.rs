//! The CUDA side of [`super`]: either float.

use crate::{
    Dtype, View, ViewMut,
    cuda::{self, Driver, Operands},
    error::Result,
};

pub(super) fn add(driver: &Driver, op: &'static str, x: View<'_>, out: ViewMut<'_>) -> Result<()> {
    let on = Operands::new(driver, op);
    match x.dtype() {
        Dtype::Bf16 => cuda::add::add_bf16(driver, on.bf16("x", x)?, on.bf16_mut("out", out)?),
        _ => cuda::add::add_f32(driver, on.f32("x", x)?, on.f32_mut("out", out)?),
    }
}

pub(super) fn scale(driver: &Driver, op: &'static str, factor: f32, x: ViewMut<'_>) -> Result<()> {
    cuda::add::scale(driver, factor, Operands::new(driver, op).f32_mut("x", x)?)
}
