//! The CUDA side of [`super`].

use super::AddOutputs;
use crate::{
    Dims, View, ViewMut, Write,
    cuda::{
        self, Driver, Operands, aligned,
        rmsnorm::{Outputs, Shape},
    },
    error::Result,
};

fn shape(dims: Dims) -> Shape {
    Shape { rows: dims.rows(), width: dims.row_len() }
}

pub(super) fn forward(
    driver: &Driver,
    op: &'static str,
    [x, weight]: [View<'_>; 2],
    epsilon: f32,
    [y, rstd]: [ViewMut<'_>; 2],
) -> Result<()> {
    let (on, shape) = (Operands::new(driver, op), shape(x.dims()));
    let outputs = Outputs { y: on.bf16_mut("y", y)?, rstd: on.f32_mut("rstd", rstd)? };
    let (x, weight) = (on.bf16("x", x)?, on.bf16("weight", weight)?);
    cuda::rmsnorm::forward(driver, shape, x, weight, epsilon, outputs)
}

pub(super) fn add_forward(
    driver: &Driver,
    op: &'static str,
    [x, residual, weight]: [View<'_>; 3],
    epsilon: f32,
    outputs: AddOutputs<'_>,
) -> Result<()> {
    let (on, shape) = (Operands::new(driver, op), shape(x.dims()));
    let AddOutputs { sum, y, rstd } = outputs;
    let outputs = Outputs { y: on.bf16_mut("y", y)?, rstd: on.f32_mut("rstd", rstd)? };
    let inputs = [on.bf16("x", x)?, on.bf16("residual", residual)?];
    let (weight, sum) = (on.bf16("weight", weight)?, on.bf16_mut("sum", sum)?);
    cuda::rmsnorm::add_forward(driver, shape, inputs, weight, epsilon, (sum, outputs))
}

pub(super) fn backward(
    driver: &Driver,
    op: &'static str,
    [dy, x, weight, rstd]: [View<'_>; 4],
    dx: ViewMut<'_>,
    write: Write,
) -> Result<()> {
    let (on, shape) = (Operands::new(driver, op), shape(x.dims()));
    let inputs = [on.bf16("dy", dy)?, on.bf16("x", x)?, on.bf16("weight", weight)?];
    let (rstd, dx) = (on.f32("rstd", rstd)?, on.bf16_mut("dx", dx)?);
    cuda::rmsnorm::backward(driver, shape, inputs, rstd, dx, write)
}

pub(super) fn backward_weight(
    driver: &Driver,
    op: &'static str,
    [dy, x, rstd]: [View<'_>; 3],
    dweight: ViewMut<'_>,
) -> Result<()> {
    let (on, shape) = (Operands::new(driver, op), shape(x.dims()));
    let (mut dy_rows, mut x_rows) = (None, None);
    let dy = aligned(on.bf16("dy", dy)?, &mut dy_rows)?;
    let inputs = [dy, aligned(on.bf16("x", x)?, &mut x_rows)?];
    let (rstd, dweight) = (on.f32("rstd", rstd)?, on.f32_mut("dweight", dweight)?);
    cuda::rmsnorm::backward_weight(driver, shape, inputs, rstd, dweight)
}
