//! Launches of `cast.cu`: between bf16 and f32.

use half::bf16;

use super::{Driver, Kernel, Slice, SliceMut, elements};
use crate::error::Result;

/// `y = x`, exactly.
///
/// # Shapes
/// Both of one length.
///
/// # Errors
/// [`crate::Error::Shape`] naming the tensor of another length, [`crate::Error::Argument`] for one
/// that is not aligned to 16 bytes, [`crate::Error::Launch`] if the driver refuses.
pub fn widen(driver: &Driver, x: Slice<'_, bf16>, y: SliceMut<'_, f32>) -> Result<()> {
    const OP: &str = "cuda::cast::widen";
    let tensors = [("x", x.address, x.len), ("y", y.address, y.len)];
    let count = elements::check(OP, x.len, &tensors)?;
    let arguments = [x.into(), y.into(), count.into()];
    // SAFETY: both hold `count` elements, as checked above, and the exclusive borrow of y overlaps
    // nothing.
    unsafe { elements::launch(driver, Kernel::CastWiden, count, &arguments) }
}

/// `y = x` to nearest, ties to even; a NaN stays a NaN.
///
/// # Shapes
/// Both of one length.
///
/// # Errors
/// As [`widen`].
pub fn narrow(driver: &Driver, x: Slice<'_, f32>, y: SliceMut<'_, bf16>) -> Result<()> {
    const OP: &str = "cuda::cast::narrow";
    let tensors = [("x", x.address, x.len), ("y", y.address, y.len)];
    let count = elements::check(OP, x.len, &tensors)?;
    let arguments = [x.into(), y.into(), count.into()];
    // SAFETY: both hold `count` elements, as checked above, and the exclusive borrow of y overlaps
    // nothing.
    unsafe { elements::launch(driver, Kernel::CastNarrow, count, &arguments) }
}
