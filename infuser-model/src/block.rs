//! One block: attention and the feed-forward part around the residual stream.
//!
//! ```text
//! norms before   mid = x + attention(norm(x))      y = mid + mlp(norm(mid))
//! norms after    mid = x + norm(attention(x))      y = mid + norm(mlp(mid))
//! ```
//!
//! The rule for gradients, here and in every layer: those of parameters go to the sink, which adds;
//! those of activations are overwritten; the one of the residual stream is added to.

use infuser_kernels::{
    Buffer, Device, View, ViewMut, Write,
    ops::{add, embedding, rmsnorm},
};

use crate::{
    config::{ModelConfig, NormPlacement},
    error::Result,
    layers::{
        attention::{self, Context, Keys},
        mlp,
    },
    layout::ParamId,
    sink::{GradientSink, NormFactors, RowsOf},
};

/// What a block's forward pass saves for its backward pass, besides its input.
#[derive(Debug)]
pub(crate) struct Saved {
    attention: attention::Saved,
    mlp: mlp::Saved,
    /// The stream after attention, `[T, D]`.
    mid: Buffer,
    attention_norm: NormSaved,
    mlp_norm: NormSaved,
}

/// One norm of a block.
#[derive(Debug)]
struct NormSaved {
    /// Norms before: the norm's output, which the part reads. Norms after: the norm's input, which
    /// the part wrote. `[T, D]`.
    part: Buffer,
    /// `[T]`.
    rstd: Buffer,
}

/// Memory that every block uses in turn.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) attention: attention::Scratch,
    pub(crate) mlp: mlp::Scratch,
    /// Gradient of what a part reads or wrote, `[T, D]`.
    branch: Buffer,
}

impl NormSaved {
    fn new(config: &ModelConfig, device: &Device) -> Result<Self> {
        let part = device.zeros_float(&[0, config.width])?;
        Ok(Self { part, rstd: device.zeros_f32(&[0])? })
    }
}

impl Saved {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Result<Self> {
        Ok(Self {
            attention: attention::Saved::new(config, device)?,
            mlp: mlp::Saved::new(config, device)?,
            mid: device.zeros_float(&[0, config.width])?,
            attention_norm: NormSaved::new(config, device)?,
            mlp_norm: NormSaved::new(config, device)?,
        })
    }

    pub(crate) fn buffers(&mut self) -> impl Iterator<Item = &mut Buffer> {
        let norms = [&mut self.attention_norm, &mut self.mlp_norm];
        let norms = norms.into_iter().flat_map(|norm| [&mut norm.part, &mut norm.rstd]);
        self.attention.buffers().chain(self.mlp.buffers()).chain(norms).chain([&mut self.mid])
    }
}

impl Scratch {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Result<Self> {
        Ok(Self {
            attention: attention::Scratch::new(config, device)?,
            mlp: mlp::Scratch::new(config, device)?,
            branch: device.zeros_float(&[0, config.width])?,
        })
    }

    pub(crate) fn buffers(&mut self) -> impl Iterator<Item = &mut Buffer> {
        self.attention.buffers().chain(self.mlp.buffers()).chain([&mut self.branch])
    }
}

/// From the stream before the block, `x [T, D]`, to the one after it, `y`, overwritten.
pub(crate) fn forward(
    context: &Context<'_>,
    x: View<'_>,
    saved: &mut Saved,
    keys: Keys<'_>,
    y: ViewMut<'_>,
) -> Result<()> {
    mix(context, x, saved, keys)?;
    finish(context, x, saved, y)
}

/// [`forward`] where only some rows of the result are asked for, `[N]`, and there will be no backward pass: the rest
/// gives its keys and values and no more. The rows of `x` go to `x_rows`, those of the result to `y`; both
/// get N rows.
pub(crate) fn forward_rows(
    context: &Context<'_>,
    x: View<'_>,
    saved: &mut Saved,
    keys: Keys<'_>,
    rows: View<'_>,
    [x_rows, y]: [&mut Buffer; 2],
) -> Result<()> {
    mix(context, x, saved, keys)?;
    saved.attention.keep_rows(rows)?;
    let Saved { mlp, mid, attention_norm, mlp_norm, .. } = saved;
    let norms = [attention_norm, mlp_norm].into_iter().flat_map(|n| [&mut n.part, &mut n.rstd]);
    for buffer in norms.chain(mlp.buffers()).chain([mid, &mut *x_rows, &mut *y]) {
        buffer.resize_rows(rows.dims().len())?;
    }
    embedding::gather(x, rows, x_rows.view_mut())?;
    finish(context, x_rows.view(), saved, y.view_mut())
}

/// Attention up to its output projection.
fn mix(context: &Context<'_>, x: View<'_>, saved: &mut Saved, keys: Keys<'_>) -> Result<()> {
    let Context { config, weights, params, .. } = *context;
    match config.norm_placement {
        NormPlacement::Before => {
            let NormSaved { part, rstd } = &mut saved.attention_norm;
            let (weight, rstd) = (weights[params.attention_norm].view(), rstd.view_mut());
            rmsnorm::forward(x, weight, config.norm_epsilon, part.view_mut(), rstd)?;
            context.mix(part.view(), &mut saved.attention, keys)
        }
        NormPlacement::After => context.mix(x, &mut saved.attention, keys),
    }
}

/// What follows [`mix`]: no row knows of another.
fn finish(context: &Context<'_>, x: View<'_>, saved: &mut Saved, mut y: ViewMut<'_>) -> Result<()> {
    let Context { config, weights, params, .. } = *context;
    let epsilon = config.norm_epsilon;
    let mlp_weight = weights[params.mlp_norm].view();
    let Saved { attention, mlp, mid, attention_norm, mlp_norm } = saved;
    match config.norm_placement {
        NormPlacement::Before => {
            context.project(attention, y.reborrow())?;
            let outputs = rmsnorm::AddOutputs {
                sum: mid.view_mut(),
                y: mlp_norm.part.view_mut(),
                rstd: mlp_norm.rstd.view_mut(),
            };
            rmsnorm::add_forward(y.as_view(), x, mlp_weight, epsilon, outputs)?;
            mlp::forward(context, mlp_norm.part.view(), mlp, y.reborrow())?;
            add::add(mid.view(), y)?;
        }
        NormPlacement::After => {
            let NormSaved { part, rstd } = attention_norm;
            context.project(attention, part.view_mut())?;
            let (weight, out) = (weights[params.attention_norm].view(), mid.view_mut());
            rmsnorm::forward(part.view(), weight, epsilon, out, rstd.view_mut())?;
            add::add(x, mid.view_mut())?;
            let NormSaved { part, rstd } = mlp_norm;
            mlp::forward(context, mid.view(), mlp, part.view_mut())?;
            let (out, rstd) = (y.reborrow(), rstd.view_mut());
            rmsnorm::forward(part.view(), mlp_weight, epsilon, out, rstd)?;
            add::add(mid.view(), y)?;
        }
    }
    Ok(())
}

/// Turns the gradient of the stream after the block into that of the stream before it, in place.
pub(crate) fn backward(
    context: &Context<'_>,
    x: View<'_>,
    (saved, scratch): (&Saved, &mut Scratch),
    dstream: &mut Buffer,
    sink: &mut dyn GradientSink,
) -> Result<()> {
    let Context { config, weights, params, .. } = *context;
    let Scratch { attention: attention_scratch, mlp: mlp_scratch, branch } = scratch;
    let Saved { attention, mlp, mid, attention_norm, mlp_norm } = saved;
    match config.norm_placement {
        NormPlacement::Before => {
            let factors = [mlp_norm.part.view(), dstream.view()];
            let dx = (branch.view_mut(), Write::Overwrite);
            mlp::backward(weights, params, (mlp, mlp_scratch), factors, dx, sink)?;
            let id = params.mlp_norm;
            norm_backward(context, id, mlp_norm, [branch.view(), mid.view()], dstream, sink)?;

            let factors = [attention_norm.part.view(), dstream.view()];
            let dx = (branch.view_mut(), Write::Overwrite);
            context.backward((attention, attention_scratch), factors, dx, sink)?;
            let id = params.attention_norm;
            norm_backward(context, id, attention_norm, [branch.view(), x], dstream, sink)?;
        }
        NormPlacement::After => {
            after_backward(context, params.mlp_norm, mlp_norm, dstream.view(), branch, sink)?;
            let dx = (dstream.view_mut(), Write::Add);
            let factors = [mid.view(), branch.view()];
            mlp::backward(weights, params, (mlp, mlp_scratch), factors, dx, sink)?;

            let (id, norm) = (params.attention_norm, attention_norm);
            after_backward(context, id, norm, dstream.view(), branch, sink)?;
            let dx = (dstream.view_mut(), Write::Add);
            context.backward((attention, attention_scratch), [x, branch.view()], dx, sink)?;
        }
    }
    Ok(())
}

/// A norm before its part: adds the gradient of its input `x` to the stream's.
fn norm_backward(
    context: &Context<'_>,
    id: ParamId,
    saved: &NormSaved,
    [dy, x]: [View<'_>; 2],
    dstream: &mut Buffer,
    sink: &mut dyn GradientSink,
) -> Result<()> {
    let rstd = saved.rstd.view();
    sink.norm(id, NormFactors { dy, x, rstd, rows: RowsOf::Tokens })?;
    let weight = context.weights[id].view();
    Ok(rmsnorm::backward(dy, x, weight, rstd, dstream.view_mut(), Write::Add)?)
}

/// A norm after its part: overwrites `branch` with the gradient of what the part wrote.
fn after_backward(
    context: &Context<'_>,
    id: ParamId,
    saved: &NormSaved,
    dy: View<'_>,
    branch: &mut Buffer,
    sink: &mut dyn GradientSink,
) -> Result<()> {
    let (x, rstd) = (saved.part.view(), saved.rstd.view());
    sink.norm(id, NormFactors { dy, x, rstd, rows: RowsOf::Tokens })?;
    let weight = context.weights[id].view();
    Ok(rmsnorm::backward(dy, x, weight, rstd, branch.view_mut(), Write::Overwrite)?)
}
