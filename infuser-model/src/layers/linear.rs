//! `y = x Wᵀ + b`.

use infuser_kernels::{
    View, ViewMut, Write,
    ops::{
        bias,
        matmul::{self, Packed},
    },
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

/// [`forward`] of one `x` for several layers.
pub(crate) fn forward_each<const N: usize>(
    weights: &Tensors,
    packed: Option<&PackedWeights>,
    mut layers: [(Linear, ViewMut<'_>); N],
    x: View<'_>,
) -> Result<()> {
    let Some(packed) = laid_out(packed, layers.each_ref().map(|(linear, _)| *linear)) else {
        let mut each = layers.into_iter();
        return each.try_for_each(|(linear, y)| forward(weights, None, linear, x, y));
    };
    let mut products = packed.into_iter();
    let products = layers.each_mut().map(|(_, y)| {
        let weight = products.next().expect("one for each layer");
        (weight, y.reborrow())
    });
    matmul::nt_packed_each(x, products)?;
    for (linear, y) in layers {
        if let Some(id) = linear.bias {
            bias::forward(weights[id].view(), y)?;
        }
    }
    Ok(())
}

/// The weights of some layers as they were laid out for products, if they were.
pub(crate) fn laid_out<const N: usize>(
    packed: Option<&PackedWeights>,
    layers: [Linear; N],
) -> Option<[&Packed; N]> {
    let found: Vec<&Packed> =
        layers.iter().filter_map(|linear| packed?.get(linear.weight)).collect();
    found.try_into().ok()
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
