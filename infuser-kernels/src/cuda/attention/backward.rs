//! Launches of `attention_bwd.cu`.

use half::bf16;

use super::{BLOCK, Driver, Inputs, Packing, Sizes, size};
use crate::{
    cuda::{
        Kernel, Memory, Slice, SliceMut,
        launch::Launch,
        memory::{check_aligned, check_len},
    },
    error::Result,
    ops::attention::Attention,
};

/// Rows of a head that one block multiplies: `WARPS` of the source.
const DOTS_PER_BLOCK: usize = 4;

/// The forward pass's results and the gradient of its output.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// `[T, H, E]`.
    pub out: Slice<'a, bf16>,
    /// `[T, H]`.
    pub lse: Slice<'a, f32>,
    /// `[T, H, E]`.
    pub dout: Slice<'a, bf16>,
}

/// Where the backward pass writes; all are overwritten, rows outside every segment with 0.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// `[T, H, E]`.
    pub dq: SliceMut<'a, bf16>,
    /// `[S, K, E]`, summed over the query heads that share a key head and over all segments.
    pub dk: SliceMut<'a, bf16>,
    /// `[S, K, E]`, summed likewise.
    pub dv: SliceMut<'a, bf16>,
}

/// Computes the gradients of queries, keys and values. A number for each row and head is allocated
/// here.
///
/// # Errors
/// As [`super::forward`]; [`crate::Error::Memory`] without room for those numbers.
pub fn backward(
    driver: &Driver,
    attention: &Attention,
    packing: &Packing,
    inputs: &Inputs<'_>,
    saved: Saved<'_>,
    gradients: Gradients<'_>,
) -> Result<()> {
    const OP: &str = "cuda::attention::backward";
    let sizes = inputs.check(OP, attention, packing)?;
    check(OP, packing, inputs, &saved, &gradients)?;
    let mut dots = Memory::<f32>::unset(driver, saved.lse.len)?;
    multiply(driver, saved, dots.slice_mut(), sizes.width)?;
    let Gradients { dq, dk, dv } = gradients;
    queries(driver, packing, inputs, sizes, (saved, dots.slice()), dq)?;
    keys(driver, packing, inputs, sizes, (saved, dots.slice()), [dk, dv])
}

fn check(
    op: &'static str,
    packing: &Packing,
    inputs: &Inputs<'_>,
    saved: &Saved<'_>,
    gradients: &Gradients<'_>,
) -> Result<()> {
    let [heads, kv_heads, width] = inputs.heads;
    let (queries, keys) = ([packing.rows, heads, width], [packing.kv_rows, kv_heads, width]);
    let Gradients { dq, dk, dv } = gradients;
    for (tensor, address, len, axes) in [
        ("out", saved.out.address, saved.out.len, &queries),
        ("dout", saved.dout.address, saved.dout.len, &queries),
        ("dq", dq.address, dq.len, &queries),
        ("dk", dk.address, dk.len, &keys),
        ("dv", dv.address, dv.len, &keys),
    ] {
        check_len(op, tensor, len, axes)?;
        check_aligned(op, tensor, address)?;
    }
    check_len(op, "lse", saved.lse.len, &queries[..2])?;
    size(op, "rows times heads", saved.lse.len).map(|_| ())
}

/// `dots = <dout, out>` of every row and head.
fn multiply(driver: &Driver, saved: Saved<'_>, dots: SliceMut<'_, f32>, width: u32) -> Result<()> {
    let rows = saved.lse.len;
    let arguments =
        [saved.out.into(), saved.dout.into(), dots.into(), (rows as u32).into(), width.into()];
    let launch = Launch {
        kernel: Kernel::AttentionBackwardDot,
        grid: [rows.div_ceil(DOTS_PER_BLOCK), 1],
        block: BLOCK,
        arguments: &arguments,
    };
    // SAFETY: out and dout hold `width` elements for each of lse's rows and heads, as `check` saw;
    // dots has one number for each and is borrowed exclusively.
    unsafe { driver.launch(&launch) }
}

fn queries(
    driver: &Driver,
    packing: &Packing,
    inputs: &Inputs<'_>,
    sizes: Sizes,
    (saved, dots): (Saved<'_>, Slice<'_, f32>),
    dq: SliceMut<'_, bf16>,
) -> Result<()> {
    let arguments = [
        inputs.q.into(),
        inputs.k.into(),
        inputs.v.into(),
        saved.dout.into(),
        saved.lse.into(),
        dots.into(),
        dq.into(),
        packing.tiles.slice().into(),
        sizes.kv_heads.into(),
        sizes.width.into(),
        sizes.window.into(),
        sizes.scale.into(),
    ];
    let kernel = if sizes.width <= 64 {
        Kernel::AttentionBackwardQ64
    } else {
        Kernel::AttentionBackwardQ128
    };
    let grid = [packing.tile_count, inputs.heads[0]];
    // SAFETY: `check` saw the lengths of the header's `Tensors`; the packing's tiles are those of
    // checked segments, so all rows that they name are rows of these tensors; dq is borrowed
    // exclusively.
    unsafe { driver.launch(&Launch { kernel, grid, block: BLOCK, arguments: &arguments }) }
}

fn keys(
    driver: &Driver,
    packing: &Packing,
    inputs: &Inputs<'_>,
    sizes: Sizes,
    (saved, dots): (Saved<'_>, Slice<'_, f32>),
    [dk, dv]: [SliceMut<'_, bf16>; 2],
) -> Result<()> {
    let arguments = [
        inputs.q.into(),
        inputs.k.into(),
        inputs.v.into(),
        saved.dout.into(),
        saved.lse.into(),
        dots.into(),
        dk.into(),
        dv.into(),
        packing.starts.slice().into(),
        packing.visits.slice().into(),
        (packing.kv_rows as u32).into(),
        sizes.heads.into(),
        sizes.width.into(),
        sizes.window.into(),
        sizes.scale.into(),
    ];
    let kernel = if sizes.width <= 64 {
        Kernel::AttentionBackwardKv64
    } else {
        Kernel::AttentionBackwardKv128
    };
    let grid = [packing.key_tile_count, inputs.heads[1]];
    // SAFETY: `check` saw the lengths of the header's `Tensors`; starts has one number more than there
    // are key tiles and ends at the number of visits, which name rows of checked segments; dk and dv
    // are borrowed exclusively.
    unsafe { driver.launch(&Launch { kernel, grid, block: BLOCK, arguments: &arguments }) }
}
