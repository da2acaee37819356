//! Launches of `swiglu.cu`. Formulas are those of [`crate::ops::swiglu`].

use half::bf16;

use super::{Driver, Kernel, Slice, SliceMut, elements};
use crate::error::Result;

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
    let count = elements::check(OP, gate.len, &tensors)?;
    let arguments = [gate.into(), up.into(), out.into(), count.into()];
    // SAFETY: all tensors hold `count` elements, as checked above, and the exclusive borrow of out
    // overlaps nothing.
    unsafe { elements::launch(driver, Kernel::SwigluForward, count, &arguments) }
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
    let count = elements::check(OP, gate.len, &tensors)?;
    let arguments = [dout.into(), gate.into(), up.into(), dgate.into(), dup.into(), count.into()];
    // SAFETY: all tensors hold `count` elements, as checked above, and the exclusive borrows of
    // dgate and dup overlap nothing.
    unsafe { elements::launch(driver, Kernel::SwigluBackward, count, &arguments) }
}
