//! What wrappers of elementwise kernels share: a thread owns eight neighbours.

use super::{
    Driver, Kernel,
    launch::{Argument, Launch, size},
    memory::{check_aligned, check_len},
};
use crate::error::Result;

const BLOCK: u32 = 256;
/// What a thread owns: one wide access.
const ELEMENTS_PER_THREAD: usize = 8;

/// Every tensor, by name, address and length, has `count` elements and starts where wide accesses may.
pub(super) fn check(
    op: &'static str,
    count: usize,
    tensors: &[(&'static str, u64, usize)],
) -> Result<u32> {
    for &(tensor, address, len) in tensors {
        check_len(op, tensor, len, &[count])?;
        check_aligned(op, tensor, address)?;
    }
    size(op, "count", count)
}

/// Launches an elementwise kernel over `count` elements.
///
/// # Safety
/// As [`Driver::launch`].
pub(super) unsafe fn launch(
    driver: &Driver,
    kernel: Kernel,
    count: u32,
    arguments: &[Argument],
) -> Result<()> {
    let grid = [(count as usize).div_ceil(ELEMENTS_PER_THREAD * BLOCK as usize), 1];
    let launch = Launch { kernel, grid, block: BLOCK, arguments };
    // SAFETY: the caller vouches for the memory; the grid has a thread for every eight elements, and
    // the kernels compare with their count.
    unsafe { driver.launch(&launch) }
}
