//! Launches of `grad_norm.cu`. Meaning is that of [`crate::ops::grad_norm`], whose
//! [`clip_factor`](crate::ops::grad_norm::clip_factor) turns the norm into what
//! [`adamw::step`](super::adamw::step) multiplies gradients with.

use super::{
    Driver, Kernel, Memory, Slice, SliceMut, columns,
    launch::{Launch, size},
    memory::{check_aligned, check_len},
};
use crate::error::Result;

const BLOCK: u32 = 256;
/// Elements a block owns: eight turns of eight a thread.
const CHUNK: usize = 8 * 8 * BLOCK as usize;

/// `total += Σ_i x_i²`, in f64. Tensor by tensor it stays on the device, added in the order of the
/// launches, so that the host waits once for the norm of all. The partial sums it needs are allocated
/// here.
///
/// # Shapes
/// `x`: any; `total`: `[1]`.
///
/// # Errors
/// [`crate::Error::Shape`] for a `total` of another length, [`crate::Error::Argument`] for an `x` that is
/// not aligned to 16 bytes, [`crate::Error::Memory`] without room for the partial sums,
/// [`crate::Error::Launch`] if the driver refuses.
pub fn add_sum_of_squares(
    driver: &Driver,
    x: Slice<'_, f32>,
    total: SliceMut<'_, f64>,
) -> Result<()> {
    const OP: &str = "cuda::grad_norm::add_sum_of_squares";
    check_len(OP, "total", total.len, &[1])?;
    check_aligned(OP, "x", x.address)?;
    let count = size(OP, "count", x.len)?;
    let chunks = x.len.div_ceil(CHUNK);
    let mut partial = Memory::<f64>::unset(driver, chunks)?;
    let arguments = [x.into(), partial.slice_mut().into(), count.into()];
    let grid = [chunks, 1];
    let launch = Launch { kernel: Kernel::GradNorm, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: x holds `count` elements; partial has a value for each of the grid's chunks and was made
    // here, so nothing overlaps it.
    unsafe { driver.launch(&launch) }?;
    columns::add_f64(driver, partial.slice(), total, [size(OP, "chunks", chunks)?, 1])
}
