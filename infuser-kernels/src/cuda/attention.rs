//! Launches of `attention_fwd.cu` and `attention_bwd.cu`. Meaning and segments are those of [`crate::ops::attention`]; all
//! tensors are bf16.

mod backward;
mod packing;

use half::bf16;

pub use self::{
    backward::{Gradients, Saved, backward},
    packing::Packing,
};
use super::{
    Driver, Kernel, Slice, SliceMut,
    launch::{Launch, size},
    memory::{check_aligned, check_len},
};
use crate::{
    error::{Error, Result},
    ops::attention::{Attention, check_window},
};

/// Threads a block of every kernel here: four warps.
const BLOCK: u32 = 128;
/// The widest head that a block has room for.
const MAX_WIDTH: usize = 128;

/// Sizes of one call, as the kernels take them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) heads: u32,
    pub(super) kv_heads: u32,
    pub(super) width: u32,
    pub(super) scale: f32,
    pub(super) window: u32,
}

impl Sizes {
    pub(super) fn new(
        op: &'static str,
        attention: &Attention,
        [heads, kv_heads, width]: [usize; 3],
    ) -> Result<Self> {
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            let problem = format!("{heads} query heads cannot share {kv_heads} key heads evenly");
            return Err(Error::argument(op, problem));
        }
        if width == 0 || width > MAX_WIDTH {
            let problem = format!("heads of width {width}, expected 1 to {MAX_WIDTH}");
            return Err(Error::argument(op, problem));
        }
        check_window(op, attention)?;
        // A window that no position fills is none.
        let window = attention.window.map_or(u32::MAX, |w| u32::try_from(w).unwrap_or(u32::MAX));
        Ok(Self {
            heads: size(op, "heads", heads)?,
            kv_heads: size(op, "key heads", kv_heads)?,
            width: size(op, "width", width)?,
            scale: attention.scale,
            window,
        })
    }
}

/// Queries, keys and values of one call.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// `[T, H, E]`, after rotation.
    pub q: Slice<'a, bf16>,
    /// `[S, K, E]`, after rotation.
    pub k: Slice<'a, bf16>,
    /// `[S, K, E]`.
    pub v: Slice<'a, bf16>,
    /// H, K, E.
    pub heads: [usize; 3],
}

impl Inputs<'_> {
    fn check(&self, op: &'static str, attention: &Attention, packing: &Packing) -> Result<Sizes> {
        let [heads, kv_heads, width] = self.heads;
        let keys = [packing.kv_rows, kv_heads, width];
        check_len(op, "q", self.q.len, &[packing.rows, heads, width])?;
        check_len(op, "k", self.k.len, &keys)?;
        check_len(op, "v", self.v.len, &keys)?;
        for (tensor, slice) in [("q", self.q), ("k", self.k), ("v", self.v)] {
            check_aligned(op, tensor, slice.address)?;
        }
        Sizes::new(op, attention, self.heads)
    }
}

/// Computes `out` and `lse`, overwriting both.
///
/// # Shapes
/// `out`: `[T, H, E]`; `lse`: `[T, H]`; E at most 128.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit the packing; [`Error::Argument`] for heads
/// that do not divide, a head wider than 128, a window of 0, or a tensor that is not aligned to 16
/// bytes; [`Error::Launch`] if the driver refuses.
pub fn forward(
    driver: &Driver,
    attention: &Attention,
    packing: &Packing,
    inputs: &Inputs<'_>,
    (out, lse): (SliceMut<'_, bf16>, SliceMut<'_, f32>),
) -> Result<()> {
    const OP: &str = "cuda::attention::forward";
    let sizes = inputs.check(OP, attention, packing)?;
    let [heads, _, width] = inputs.heads;
    check_len(OP, "out", out.len, &[packing.rows, heads, width])?;
    check_aligned(OP, "out", out.address)?;
    check_len(OP, "lse", lse.len, &[packing.rows, heads])?;
    let arguments = [
        inputs.q.into(),
        inputs.k.into(),
        inputs.v.into(),
        out.into(),
        lse.into(),
        packing.tiles.slice().into(),
        sizes.kv_heads.into(),
        sizes.width.into(),
        sizes.window.into(),
        sizes.scale.into(),
    ];
    let kernel = if width <= 64 { Kernel::AttentionForward64 } else { Kernel::AttentionForward128 };
    let grid = [packing.tile_count, heads];
    // SAFETY: the lengths above are those of the header's `Tensors`; the packing's tiles are those of
    // checked segments, so all rows that they name are rows of these tensors; out and lse are borrowed
    // exclusively.
    unsafe { driver.launch(&Launch { kernel, grid, block: BLOCK, arguments: &arguments }) }
}
