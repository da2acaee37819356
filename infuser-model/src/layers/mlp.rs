//! The feed-forward part: `out = (silu(x Gᵀ) · x Uᵀ) Dᵀ`.

use infuser_kernels::{Buffer, Device, View, ViewMut, Write, ops::swiglu};

use super::{attention::Context, linear};
use crate::{
    config::ModelConfig,
    error::Result,
    layout::{LayerParams, Tensors},
    sink::GradientSink,
};

/// What forward saves for backward; `[T, F]` each.
#[derive(Debug)]
pub(crate) struct Saved {
    gate: Buffer,
    up: Buffer,
    hidden: Buffer,
}

/// Gradients of what [`Saved`] holds; `[T, F]` each.
#[derive(Debug)]
pub(crate) struct Scratch {
    dgate: Buffer,
    dup: Buffer,
    dhidden: Buffer,
}

impl Saved {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Result<Self> {
        let buffer = || device.zeros_float(&[0, config.ffn]);
        Ok(Self { gate: buffer()?, up: buffer()?, hidden: buffer()? })
    }

    pub(crate) fn buffers(&mut self) -> [&mut Buffer; 3] {
        [&mut self.gate, &mut self.up, &mut self.hidden]
    }
}

impl Scratch {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Result<Self> {
        let buffer = || device.zeros_float(&[0, config.ffn]);
        Ok(Self { dgate: buffer()?, dup: buffer()?, dhidden: buffer()? })
    }

    pub(crate) fn buffers(&mut self) -> [&mut Buffer; 3] {
        [&mut self.dgate, &mut self.dup, &mut self.dhidden]
    }
}

/// Overwrites `out [T, D]`.
pub(crate) fn forward(
    context: &Context<'_>,
    x: View<'_>,
    saved: &mut Saved,
    out: ViewMut<'_>,
) -> Result<()> {
    let params = context.params;
    let both = [params.gate, params.up];
    let plain = both.iter().all(|linear| linear.bias.is_none());
    match linear::laid_out(context.packed, both).filter(|_| plain) {
        // Weights are laid out to generate, and nothing is saved for a backward pass then.
        Some(weights) => swiglu::project(x, weights, saved.hidden.view_mut())?,
        None => {
            context.linear(params.gate, x, saved.gate.view_mut())?;
            context.linear(params.up, x, saved.up.view_mut())?;
            swiglu::forward(saved.gate.view(), saved.up.view(), saved.hidden.view_mut())?;
        }
    }
    context.linear(params.down, saved.hidden.view(), out)
}

/// Writes or adds the gradient of `x` for the output gradient `dy [T, D]`.
pub(crate) fn backward(
    weights: &Tensors,
    params: &LayerParams,
    (saved, scratch): (&Saved, &mut Scratch),
    [x, dy]: [View<'_>; 2],
    (mut dx, write): (ViewMut<'_>, Write),
    sink: &mut dyn GradientSink,
) -> Result<()> {
    let Scratch { dgate, dup, dhidden } = scratch;
    let factors = [saved.hidden.view(), dy];
    let overwrite = Write::Overwrite;
    linear::backward(weights, params.down, factors, dhidden.view_mut(), overwrite, sink)?;
    let (gate, up) = (saved.gate.view(), saved.up.view());
    swiglu::backward(dhidden.view(), gate, up, dgate.view_mut(), dup.view_mut())?;
    linear::backward(weights, params.up, [x, dup.view()], dx.reborrow(), write, sink)?;
    linear::backward(weights, params.gate, [x, dgate.view()], dx, Write::Add, sink)
}
