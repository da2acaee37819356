//! Launches of `swiglu.cu`. Formulas are those of [`crate::ops::swiglu`].

use half::bf16;

use super::{
    Driver, Kernel, Slice, SliceMut,
    launch::{Launch, size},
    memory::{check_aligned, check_len},
};
use crate::error::Result;

const BLOCK: u32 = 256;
/// What a thread owns: one wide access.
const ELEMENTS_PER_THREAD: usize = 8;

fn check(op: &'static str, count: usize, tensors: &[(&'static str, u64, usize)]) -> Result<u32> {
    for &(tensor, address, len) in tensors {
        check_len(op, tensor, len, &[count])?;
        check_aligned(op, tensor, address)?;
    }
    size(op, "count", count)
}

fn grid(count: usize) -> [usize; 2] {
    [count.div_ceil(ELEMENTS_PER_THREAD * BLOCK as usize), 1]
}

/// `out = silu(gate) · up`.
///
/// # Shapes
/// All of one length.
///
/// # Errors
/// [`crate::Error::Shape`] naming the tensor of another length, [`crate::Error::Argument`] for one
/// that is not aligned to 16 bytes, [`crate::Error::Launch`] if the driver refuses.
pub fn forward(
    driver: &Driver,
    [gate, up]: [Slice<'_, bf16>; 2],
    out: SliceMut<'_, bf16>,
) -> Result<()> {
    const OP: &str = "cuda::swiglu::forward";
    let tensors = [
        ("gate", gate.address, gate.len),
        ("up", up.address, up.len),
        ("out", out.address, out.len),
    ];
    let count = check(OP, gate.len, &tensors)?;
    let grid = grid(gate.len);
    let arguments = [gate.into(), up.into(), out.into(), count.into()];
    let launch =
        Launch { kernel: Kernel::SwigluForward, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: all tensors hold `count` elements, as checked above, and the exclusive borrow of out
    // overlaps nothing.
    unsafe { driver.launch(&launch) }
}

/// The gradients of both inputs, `[dgate, dup]`, overwritten.
///
/// # Shapes
/// All of one length.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    driver: &Driver,
    dout: Slice<'_, bf16>,
    [gate, up]: [Slice<'_, bf16>; 2],
    [dgate, dup]: [SliceMut<'_, bf16>; 2],
) -> Result<()> {
    const OP: &str = "cuda::swiglu::backward";
    let tensors = [
        ("gate", gate.address, gate.len),
        ("dout", dout.address, dout.len),
        ("up", up.address, up.len),
        ("dgate", dgate.address, dgate.len),
        ("dup", dup.address, dup.len),
    ];
    let count = check(OP, gate.len, &tensors)?;
    let grid = grid(gate.len);
    let arguments = [dout.into(), gate.into(), up.into(), dgate.into(), dup.into(), count.into()];
    let launch =
        Launch { kernel: Kernel::SwigluBackward, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: all tensors hold `count` elements, as checked above, and the exclusive borrows of
    // dgate and dup overlap nothing.
    unsafe { driver.launch(&launch) }
}
