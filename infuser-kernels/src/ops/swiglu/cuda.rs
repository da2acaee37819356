//! The CUDA side of [`super`].

use crate::{
    View, ViewMut,
    cuda::{self, Driver, Operands},
    error::Result,
};

pub(super) fn forward(
    driver: &Driver,
    op: &'static str,
    [gate, up]: [View<'_>; 2],
    out: ViewMut<'_>,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let inputs = [on.bf16("gate", gate)?, on.bf16("up", up)?];
    cuda::swiglu::forward(driver, inputs, on.bf16_mut("out", out)?)
}

pub(super) fn backward(
    driver: &Driver,
    op: &'static str,
    [dout, gate, up]: [View<'_>; 3],
    [dgate, dup]: [ViewMut<'_>; 2],
) -> Result<()> {
    let on = Operands::new(driver, op);
    let inputs = [on.bf16("gate", gate)?, on.bf16("up", up)?];
    let outputs = [on.bf16_mut("dgate", dgate)?, on.bf16_mut("dup", dup)?];
    cuda::swiglu::backward(driver, on.bf16("dout", dout)?, inputs, outputs)
}
