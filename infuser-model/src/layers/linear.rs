//! `y = x Wᵀ + b`.

use infuser_kernels::{
    View, ViewMut, Write,
    ops::{bias, matmul},
};

use crate::{
    error::Result,
    layout::{Linear, Tensors},
    packed::PackedWeights,
    sink::GradientSink,
};

/// Overwrites `y [T, N]`.
pub(crate) fn forward(
    weights: &Tensors,
    packed: Option<&PackedWeights>,
    linear: Linear,
    x: View<'_>,
    mut y: ViewMut<'_>,
) -> Result<()> {
    match packed.and_then(|packed| packed.get(linear.weight)) {
        Some(weight) => matmul::nt_packed(x, weight, y.reborrow(), Write::Overwrite)?,
        None => matmul::nt(x, weights[linear.weight].view(), y.reborrow(), Write::Overwrite)?,
    }
    if let Some(id) = linear.bias {
        bias::forward(weights[id].view(), y)?;
    }
    Ok(())
}

/// Hands the parameters' factors to the sink and writes or adds `dx = dy W`.
pub(crate) fn backward(
    weights: &Tensors,
    linear: Linear,
    [x, dy]: [View<'_>; 2],
    dx: ViewMut<'_>,
    write: Write,
    sink: &mut dyn GradientSink,
) -> Result<()> {
    sink.linear(linear.weight, x, dy)?;
    if let Some(id) = linear.bias {
        sink.bias(id, dy)?;
    }
    Ok(matmul::nn(dy, weights[linear.weight].view(), dx, write)?)
}
