//! Launches of `add.cu`. Formulas are those of [`crate::ops::add`].

use half::bf16;

use super::{Driver, Kernel, Slice, SliceMut, elements};
use crate::error::Result;

/// `out += x`, one rounding an element.
///
/// # Shapes
/// Both of one length.
///
/// # Errors
/// [`crate::Error::Shape`] naming the tensor of another length, [`crate::Error::Argument`] for one
/// that is not aligned to 16 bytes, [`crate::Error::Launch`] if the driver refuses.
pub fn add_bf16(driver: &Driver, x: Slice<'_, bf16>, out: SliceMut<'_, bf16>) -> Result<()> {
    const OP: &str = "cuda::add::add_bf16";
    let tensors = [("x", x.address, x.len), ("out", out.address, out.len)];
    let count = elements::check(OP, x.len, &tensors)?;
    let arguments = [x.into(), out.into(), count.into()];
    // SAFETY: both hold `count` elements, as checked above, and the exclusive borrow of out overlaps
    // nothing.
    unsafe { elements::launch(driver, Kernel::AddBf16, count, &arguments) }
}

/// `out += x`.
///
/// # Shapes
/// Both of one length.
///
/// # Errors
/// As [`add_bf16`].
pub fn add_f32(driver: &Driver, x: Slice<'_, f32>, out: SliceMut<'_, f32>) -> Result<()> {
    const OP: &str = "cuda::add::add_f32";
    let tensors = [("x", x.address, x.len), ("out", out.address, out.len)];
    let count = elements::check(OP, x.len, &tensors)?;
    let arguments = [x.into(), out.into(), count.into()];
    // SAFETY: both hold `count` elements, as checked above, and the exclusive borrow of out overlaps
    // nothing.
    unsafe { elements::launch(driver, Kernel::AddF32, count, &arguments) }
}

/// `x *= factor`, in place.
///
/// # Errors
/// As [`add_bf16`].
pub fn scale(driver: &Driver, factor: f32, x: SliceMut<'_, f32>) -> Result<()> {
    const OP: &str = "cuda::add::scale";
    let count = elements::check(OP, x.len, &[("x", x.address, x.len)])?;
    let arguments = [x.into(), count.into(), factor.into()];
    // SAFETY: x holds `count` elements and is borrowed exclusively.
    unsafe { elements::launch(driver, Kernel::Scale, count, &arguments) }
}
