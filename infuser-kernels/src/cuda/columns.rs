//! Launches of `columns.cu`: the stages of a sum over rows.

use half::bf16;

use super::{
    Driver, Kernel, Memory, Slice, SliceMut,
    launch::{Launch, size},
};
use crate::error::Result;

const BLOCK: u32 = 256;
/// Columns that a block of a first stage owns.
pub(super) const COLUMNS_PER_BLOCK: usize = 32;
/// Rows that one block adds up. A constant: the order of a sum must not depend on the card.
pub(super) const ROWS_PER_CHUNK: usize = 256;
/// Columns that a block of the second stage in f64 owns: `COLUMNS_F64` of the source.
const COLUMNS_F64: usize = 8;

/// `out_j += Σ_t x_tj` over all rows, of which `out.len` gives the width. The caller has checked that
/// `x` is whole rows.
pub(super) fn sum(
    driver: &Driver,
    op: &'static str,
    x: Slice<'_, bf16>,
    out: SliceMut<'_, f32>,
) -> Result<()> {
    if out.len == 0 || x.len == 0 {
        return Ok(());
    }
    let rows = x.len / out.len;
    let chunks = rows.div_ceil(ROWS_PER_CHUNK);
    let (rows, width) = (size(op, "rows", rows)?, size(op, "width", out.len)?);
    let mut partial = Memory::<f32>::unset(driver, chunks * out.len)?;
    let arguments = [
        x.into(),
        partial.slice_mut().into(),
        rows.into(),
        width.into(),
        (ROWS_PER_CHUNK as u32).into(),
    ];
    let grid = [out.len.div_ceil(COLUMNS_PER_BLOCK), chunks];
    let launch = Launch { kernel: Kernel::ColumnsSum, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: x holds rows times width elements; partial has a row for each of the grid's chunks and
    // was made here, so nothing overlaps it.
    unsafe { driver.launch(&launch) }?;
    add(driver, partial.slice(), out, [size(op, "chunks", chunks)?, width])
}

/// `out_j += Σ_c partial_cj`, chunks in ascending order. `sizes` are the chunks and the width, which
/// the caller has checked against both slices.
pub(super) fn add(
    driver: &Driver,
    partial: Slice<'_, f32>,
    out: SliceMut<'_, f32>,
    [chunks, width]: [u32; 2],
) -> Result<()> {
    let arguments = [partial.into(), out.into(), chunks.into(), width.into()];
    let grid = [(width as usize).div_ceil(BLOCK as usize), 1];
    let launch = Launch { kernel: Kernel::ColumnsAdd, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: partial holds chunks times width values and out width of them, as the caller checked;
    // the exclusive borrow of out cannot overlap partial.
    unsafe { driver.launch(&launch) }
}

/// [`add`] in f64.
pub(super) fn add_f64(
    driver: &Driver,
    partial: Slice<'_, f64>,
    out: SliceMut<'_, f64>,
    [chunks, width]: [u32; 2],
) -> Result<()> {
    let arguments = [partial.into(), out.into(), chunks.into(), width.into()];
    let grid = [(width as usize).div_ceil(COLUMNS_F64), 1];
    let kernel = Kernel::ColumnsAddF64;
    let launch = Launch { kernel, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: partial holds chunks times width values and out width of them, as the caller checked;
    // the exclusive borrow of out cannot overlap partial.
    unsafe { driver.launch(&launch) }
}
