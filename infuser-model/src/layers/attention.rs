//! Self-attention: projections, optional QK-norm, rotation, mixing, output projection.

use infuser_kernels::{
    Buffer, Device, View, ViewMut, Write,
    ops::{
        attention::{self, Attention, Gradients, Segments},
        embedding,
        paged::{self, Blocks},
        rmsnorm,
        rope::{self, Direction, Tables},
    },
};

use super::linear;
use crate::{
    config::{ModelConfig, QkNorm},
    error::Result,
    layout::{LayerParams, ParamId, Tensors},
    packed::PackedWeights,
    sink::{GradientSink, NormFactors, RowsOf},
};

/// What is the same for all tokens of one layer in one pass.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a ModelConfig,
    pub(crate) weights: &'a Tensors,
    /// The same weights laid out for products, if there are many passes.
    pub(crate) packed: Option<&'a PackedWeights>,
    pub(crate) params: &'a LayerParams,
    pub(crate) window: Option<usize>,
    /// Who sees whom, where the keys are the batch's own.
    pub(crate) segments: &'a Segments,
    pub(crate) positions: View<'a>,
    pub(crate) tables: &'a Tables,
}

/// Where the keys lie that the queries see.
pub(crate) enum Keys<'a> {
    /// In the batch, as its segments say.
    Batch,
    /// In the blocks of a cache, those of the batch included once they are stored.
    Paged(&'a paged::Segments, &'a mut Blocks),
}

/// What forward saves for backward.
#[derive(Debug)]
pub(crate) struct Saved {
    /// Projections before their norm, and 1/rms; only with QK-norm.
    q_norm: Option<NormSaved>,
    k_norm: Option<NormSaved>,
    /// Rotated queries `[T, H, E]` and keys `[T, K, E]`.
    q: Buffer,
    k: Buffer,
    /// `[T, K, E]`.
    v: Buffer,
    /// `[T, H, E]`.
    mixed: Buffer,
    /// `[T, H]`.
    lse: Buffer,
}

#[derive(Debug)]
struct NormSaved {
    /// `[T, heads, E]`.
    x: Buffer,
    /// `[T, norms of one token]`.
    rstd: Buffer,
}

/// Gradients of queries, keys, values and the mixed values.
#[derive(Debug)]
pub(crate) struct Scratch {
    dmixed: Buffer,
    dq: Buffer,
    dk: Buffer,
    dv: Buffer,
    /// Gradients of the projections before their norm; only with QK-norm.
    dq_raw: Option<Buffer>,
    dk_raw: Option<Buffer>,
}

impl Saved {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Result<Self> {
        let ModelConfig { heads, kv_heads, head_width, qk_norm, .. } = *config;
        let norm = |heads: usize| -> Result<Option<NormSaved>> {
            let norms = match qk_norm {
                QkNorm::None => return Ok(None),
                QkNorm::PerHead => heads,
                QkNorm::FullWidth => 1,
            };
            let x = device.zeros_float(&[0, heads, head_width])?;
            Ok(Some(NormSaved { x, rstd: device.zeros_f32(&[0, norms])? }))
        };
        Ok(Self {
            q_norm: norm(heads)?,
            k_norm: norm(kv_heads)?,
            q: device.zeros_float(&[0, heads, head_width])?,
            k: device.zeros_float(&[0, kv_heads, head_width])?,
            v: device.zeros_float(&[0, kv_heads, head_width])?,
            mixed: device.zeros_float(&[0, heads, head_width])?,
            lse: device.zeros_f32(&[0, heads])?,
        })
    }

    /// Leaves only some rows of what [`Context::mix`] made, and nothing for a backward pass.
    pub(crate) fn keep_rows(&mut self, rows: View<'_>) -> Result<()> {
        self.q.resize_rows(rows.dims().len())?;
        embedding::gather(flat(self.mixed.view())?, rows, flat_mut(self.q.view_mut())?)?;
        std::mem::swap(&mut self.q, &mut self.mixed);
        Ok(())
    }

    pub(crate) fn buffers(&mut self) -> impl Iterator<Item = &mut Buffer> {
        let norms = self.q_norm.iter_mut().chain(&mut self.k_norm);
        let always = [&mut self.q, &mut self.k, &mut self.v, &mut self.mixed, &mut self.lse];
        norms.flat_map(|norm| [&mut norm.x, &mut norm.rstd]).chain(always)
    }
}

impl Scratch {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Result<Self> {
        let ModelConfig { heads, kv_heads, head_width, qk_norm, .. } = *config;
        let q = || device.zeros_float(&[0, heads, head_width]);
        let k = || device.zeros_float(&[0, kv_heads, head_width]);
        let normed = qk_norm != QkNorm::None;
        Ok(Self {
            dmixed: q()?,
            dq: q()?,
            dk: k()?,
            dv: k()?,
            dq_raw: if normed { Some(q()?) } else { None },
            dk_raw: if normed { Some(k()?) } else { None },
        })
    }

    pub(crate) fn buffers(&mut self) -> impl Iterator<Item = &mut Buffer> {
        let always = [&mut self.dmixed, &mut self.dq, &mut self.dk, &mut self.dv];
        always.into_iter().chain(self.dq_raw.iter_mut()).chain(&mut self.dk_raw)
    }
}

/// `[T, heads, E]` as `[T, heads·E]`.
fn flat(view: View<'_>) -> Result<View<'_>> {
    let dims = view.dims();
    Ok(view.reshape(&[dims.rows(), dims.row_len()])?)
}

/// `[T, heads, E]` as `[T, heads·E]`.
fn flat_mut(view: ViewMut<'_>) -> Result<ViewMut<'_>> {
    let dims = view.dims();
    Ok(view.reshape(&[dims.rows(), dims.row_len()])?)
}

/// Where a projection goes: to its norm, if there is one.
fn projected<'a>(norm: &'a mut Option<NormSaved>, out: &'a mut Buffer) -> &'a mut Buffer {
    norm.as_mut().map_or(out, |norm| &mut norm.x)
}

impl NormSaved {
    /// The input as rows of one norm each.
    fn rows(&self) -> Result<View<'_>> {
        Ok(self.x.view().reshape(&self.axes())?)
    }

    /// Norms of all tokens, width of one.
    fn axes(&self) -> [usize; 2] {
        let norms = self.rstd.dims().len();
        [norms, self.x.dims().len().checked_div(norms).unwrap_or(0)]
    }

    fn rstd(&self) -> Result<View<'_>> {
        Ok(self.rstd.view().reshape(&[self.rstd.dims().len()])?)
    }
}

impl Context<'_> {
    fn attention(&self) -> Attention {
        Attention { scale: self.config.attention_scale(), window: self.window }
    }

    /// Norm and rotation of queries or of keys, whose projection is in `saved` if there is a norm and else
    /// in `out`.
    fn rotate(
        &self,
        norm: Option<ParamId>,
        saved: Option<&mut NormSaved>,
        out: &mut Buffer,
    ) -> Result<()> {
        if let (Some(id), Some(saved)) = (norm, saved) {
            let axes = saved.axes();
            let (x, y) = (saved.x.view().reshape(&axes)?, out.view_mut().reshape(&axes)?);
            let rstd = saved.rstd.view_mut().reshape(&[axes[0]])?;
            rmsnorm::forward(x, self.weights[id].view(), self.config.norm_epsilon, y, rstd)?;
        }
        Ok(rope::apply(out.view_mut(), self.positions, self.tables, Direction::Forward)?)
    }

    /// All but the output projection: mixes values for each row of `x [T, D]`.
    pub(crate) fn mix(&self, x: View<'_>, saved: &mut Saved, keys: Keys<'_>) -> Result<()> {
        let params = self.params;
        let Saved { q_norm, k_norm, q, k, v, mixed, lse } = saved;
        let projections = [
            (params.q, flat_mut(projected(q_norm, q).view_mut())?),
            (params.k, flat_mut(projected(k_norm, k).view_mut())?),
            (params.v, flat_mut(v.view_mut())?),
        ];
        linear::forward_each(self.weights, self.packed, projections, x)?;
        self.rotate(params.q_norm, q_norm.as_mut(), q)?;
        self.rotate(params.k_norm, k_norm.as_mut(), k)?;
        let (attention, mixed_out, lse) = (self.attention(), mixed.view_mut(), lse.view_mut());
        match keys {
            Keys::Batch => {
                let qkv = [q.view(), k.view(), v.view()];
                attention::forward(&attention, self.segments, qkv, mixed_out, lse)?;
            }
            Keys::Paged(segments, blocks) => {
                paged::append(blocks, segments, k.view(), v.view())?;
                paged::attention(&attention, segments, q.view(), blocks, mixed_out, lse)?;
            }
        }
        Ok(())
    }

    /// The output projection of what [`Context::mix`] left; overwrites `out [T, D]`.
    pub(crate) fn project(&self, saved: &Saved, out: ViewMut<'_>) -> Result<()> {
        self.linear(self.params.o, flat(saved.mixed.view())?, out)
    }

    /// `y = x Wᵀ + b`.
    pub(crate) fn linear(
        &self,
        linear: crate::layout::Linear,
        x: View<'_>,
        y: ViewMut<'_>,
    ) -> Result<()> {
        linear::forward(self.weights, self.packed, linear, x, y)
    }

    /// Writes or adds the gradient of `x` for the output gradient `dy [T, D]`.
    pub(crate) fn backward(
        &self,
        (saved, scratch): (&Saved, &mut Scratch),
        [x, dy]: [View<'_>; 2],
        (mut dx, write): (ViewMut<'_>, Write),
        sink: &mut dyn GradientSink,
    ) -> Result<()> {
        let params = self.params;
        let Scratch { dmixed, dq, dk, dv, dq_raw, dk_raw } = scratch;
        let factors = [flat(saved.mixed.view())?, dy];
        let dmixed_flat = flat_mut(dmixed.view_mut())?;
        linear::backward(self.weights, params.o, factors, dmixed_flat, Write::Overwrite, sink)?;
        let forward = attention::Saved {
            q: saved.q.view(),
            k: saved.k.view(),
            v: saved.v.view(),
            out: saved.mixed.view(),
            lse: saved.lse.view(),
        };
        let gradients = Gradients { dq: dq.view_mut(), dk: dk.view_mut(), dv: dv.view_mut() };
        attention::backward(&self.attention(), self.segments, forward, dmixed.view(), gradients)?;
        let dv = flat(dv.view())?;
        linear::backward(self.weights, params.v, [x, dv], dx.reborrow(), write, sink)?;
        let dk = self.unproject(params.k_norm, saved.k_norm.as_ref(), dk, dk_raw, sink)?;
        linear::backward(self.weights, params.k, [x, dk], dx.reborrow(), Write::Add, sink)?;
        let dq = self.unproject(params.q_norm, saved.q_norm.as_ref(), dq, dq_raw, sink)?;
        linear::backward(self.weights, params.q, [x, dq], dx, Write::Add, sink)
    }

    /// The gradient of a projection `[T, heads·E]` from that of its rotated, normed output.
    fn unproject<'b>(
        &self,
        norm: Option<ParamId>,
        saved: Option<&NormSaved>,
        dy: &'b mut Buffer,
        raw: &'b mut Option<Buffer>,
        sink: &mut dyn GradientSink,
    ) -> Result<View<'b>> {
        rope::apply(dy.view_mut(), self.positions, self.tables, Direction::Backward)?;
        let (Some(id), Some(saved), Some(raw)) = (norm, saved, raw) else {
            return flat(dy.view());
        };
        let (dy, x, rstd) = (dy.view().reshape(&saved.axes())?, saved.rows()?, saved.rstd()?);
        let per_token = saved.rstd.dims().row_len();
        sink.norm(id, NormFactors { dy, x, rstd, rows: RowsOf::TokenHeads(per_token) })?;
        let dx = raw.view_mut().reshape(&saved.axes())?;
        rmsnorm::backward(dy, x, self.weights[id].view(), rstd, dx, Write::Overwrite)?;
        flat(raw.view())
    }
}
