//! Scaled dot-product attention over packed segments with shared prefixes.
//!
//! A [`Segment`] owns consecutive query rows. Each of its queries sees every row of its `prefix` and
//! the rows of its own `kv` range up to itself; with a sliding window W only the last W of those.
//! For query row `t` of head `h`, reading key/value head `h / (H/K)` (grouped query heads):
//!
//! ```text
//! z_j = scale · <q_t, k_j>      lse_t = ln Σ_j e^{z_j}      out_t = Σ_j e^{z_j − lse_t} v_j
//! ```
//!
//! One contract serves three uses. In training, `kv` equals `q` and the responses to one prompt name
//! the prompt's rows as their prefix, so it is stored and computed once. In prefill and decoding the
//! keys live in a cache: the last query of a segment stands at the last row of `kv`. Positions count
//! prefix rows first; the window is measured in them, as `i − W < j ≤ i`.
//!
//! Memory beyond the outputs is linear in the tokens: scores exist one small tile at a time, and the
//! backward pass recomputes them from `lse` (FlashAttention-2, Dao 2023).
//!
//! A query row that belongs to no segment sees nothing: its output is 0, its `lse` is −∞ and its
//! gradient is 0.

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
mod segment;
#[cfg(test)]
mod tests;

pub(in crate::ops) use cpu::{KEY_TILE, tiles};
pub use segment::{Segment, Segments};
pub(crate) use segment::{check_segments, check_window};

use crate::{Device, View, ViewMut, check, error::Result};

/// What is constant over one attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Factor on the scores, usually `1/√E`.
    pub scale: f32,
    /// The sliding window W; `None` sees everything before.
    pub window: Option<usize>,
}

/// The forward pass as the backward pass reads it.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// Queries `[T, H, E]`, after rotation.
    pub q: View<'a>,
    /// Keys `[S, K, E]`, after rotation.
    pub k: View<'a>,
    /// Values `[S, K, E]`.
    pub v: View<'a>,
    /// The output `[T, H, E]`.
    pub out: View<'a>,
    /// The log-sum-exp of the scores `[T, H]`.
    pub lse: View<'a>,
}

/// Where the backward pass writes; all are overwritten, rows outside every segment with 0.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// `[T, H, E]`.
    pub dq: ViewMut<'a>,
    /// `[S, K, E]`, summed over the query heads that share a key head and over all segments.
    pub dk: ViewMut<'a>,
    /// `[S, K, E]`, summed likewise.
    pub dv: ViewMut<'a>,
}

/// Sizes of one call, checked.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Query rows T and key rows S.
    rows: usize,
    kv_rows: usize,
    /// Query heads H and key heads K.
    heads: usize,
    kv_heads: usize,
    /// Head width E.
    width: usize,
}

impl Sizes {
    fn check(op: &'static str, q: View<'_>, k: View<'_>, v: View<'_>) -> Result<Self> {
        let [rows, heads, width] = check::cube(op, "q", q.dims())?;
        let [kv_rows, kv_heads, _] = check::cube(op, "k", k.dims())?;
        check::shape(op, "k", k.dims(), &[kv_rows, kv_heads, width])?;
        check::shape(op, "v", v.dims(), &[kv_rows, kv_heads, width])?;
        if kv_heads == 0 || heads % kv_heads != 0 {
            let problem = format!("{heads} query heads cannot share {kv_heads} key heads evenly");
            return Err(crate::Error::argument(op, problem));
        }
        Ok(Self { rows, kv_rows, heads, kv_heads, width })
    }
}

/// Computes `out` and `lse`, overwriting both.
///
/// # Shapes
/// `q`, `out`: `[T, H, E]`; `k`, `v`: `[S, K, E]` with K dividing H; `lse`: `[T, H]`.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::Rank`] naming the tensor that does not fit;
/// [`crate::Error::Argument`] for a window of 0 and for segments that leave the rows, overlap in
/// their queries, are out of order, or have fewer keys of their own than queries.
pub fn forward(
    attention: &Attention,
    segments: &Segments,
    [q, k, v]: [View<'_>; 3],
    out: ViewMut<'_>,
    lse: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "attention::forward";
    let sizes = Sizes::check(OP, q, k, v)?;
    check::shape(OP, "out", out.dims(), q.dims().axes())?;
    check::shape(OP, "lse", lse.dims(), &[sizes.rows, sizes.heads])?;
    check_window(OP, attention)?;
    check_segments(OP, segments, [sizes.rows, sizes.kv_rows])?;
    match q.device() {
        Device::Cpu => {
            let qkv = [q.f32(OP, "q")?, k.f32(OP, "k")?, v.f32(OP, "v")?];
            let (out, lse) = (out.into_f32(OP, "out")?, lse.into_f32(OP, "lse")?);
            cpu::forward(attention, segments, &sizes, qkv, out, lse);
        }
        Device::Cuda(driver) => {
            let call = (attention, segments, &sizes);
            cuda::forward(&driver, OP, call, [q, k, v], [out, lse])?;
        }
    }
    Ok(())
}

/// Computes the gradients of queries, keys and values from `dout [T, H, E]`:
///
/// ```text
/// p_tj = e^{z_tj − lse_t}     dp_tj = <dout_t, v_j>     ds_tj = p_tj (dp_tj − <dout_t, out_t>)
/// dv_j = Σ_t p_tj dout_t      dq_t = scale Σ_j ds_tj k_j      dk_j = scale Σ_t ds_tj q_t
/// ```
///
/// # Errors
/// As [`forward`].
pub fn backward(
    attention: &Attention,
    segments: &Segments,
    saved: Saved<'_>,
    dout: View<'_>,
    gradients: Gradients<'_>,
) -> Result<()> {
    const OP: &str = "attention::backward";
    let Saved { q, k, v, out, lse } = saved;
    let Gradients { dq, dk, dv } = &gradients;
    let sizes = Sizes::check(OP, q, k, v)?;
    check::shape(OP, "out", out.dims(), q.dims().axes())?;
    check::shape(OP, "dout", dout.dims(), q.dims().axes())?;
    check::shape(OP, "lse", lse.dims(), &[sizes.rows, sizes.heads])?;
    check::shape(OP, "dq", dq.dims(), q.dims().axes())?;
    check::shape(OP, "dk", dk.dims(), k.dims().axes())?;
    check::shape(OP, "dv", dv.dims(), v.dims().axes())?;
    check_window(OP, attention)?;
    check_segments(OP, segments, [sizes.rows, sizes.kv_rows])?;
    match q.device() {
        Device::Cpu => {
            let saved = cpu::Saved {
                q: q.f32(OP, "q")?,
                k: k.f32(OP, "k")?,
                v: v.f32(OP, "v")?,
                out: out.f32(OP, "out")?,
                lse: lse.f32(OP, "lse")?,
                dout: dout.f32(OP, "dout")?,
            };
            let Gradients { dq, dk, dv } = gradients;
            let (dq, dk) = (dq.into_f32(OP, "dq")?, dk.into_f32(OP, "dk")?);
            cpu::backward(attention, segments, &sizes, saved, [dq, dk, dv.into_f32(OP, "dv")?]);
        }
        Device::Cuda(driver) => {
            let call = (attention, segments, &sizes);
            cuda::backward(&driver, OP, call, (saved, dout), gradients)?;
        }
    }
    Ok(())
}
