//! Launches of `fill.cu`: one value everywhere.

use half::bf16;

use super::{Driver, Kernel, SliceMut, elements};
use crate::error::Result;

/// `x = value`, rounded to nearest, ties to even.
///
/// # Errors
/// [`crate::Error::Argument`] if it is not aligned to 16 bytes or has more than 2³¹ − 1 elements,
/// [`crate::Error::Launch`] if the driver refuses.
pub fn fill_bf16(driver: &Driver, value: f32, x: SliceMut<'_, bf16>) -> Result<()> {
    const OP: &str = "cuda::fill::fill_bf16";
    let count = elements::check(OP, x.len, &[("x", x.address, x.len)])?;
    let arguments = [x.into(), count.into(), value.into()];
    // SAFETY: x holds `count` elements and is borrowed exclusively.
    unsafe { elements::launch(driver, Kernel::FillBf16, count, &arguments) }
}

/// `x = value`.
///
/// # Errors
/// As [`fill_bf16`].
pub fn fill_f32(driver: &Driver, value: f32, x: SliceMut<'_, f32>) -> Result<()> {
    const OP: &str = "cuda::fill::fill_f32";
    let count = elements::check(OP, x.len, &[("x", x.address, x.len)])?;
    let arguments = [x.into(), count.into(), value.into()];
    // SAFETY: x holds `count` elements and is borrowed exclusively.
    unsafe { elements::launch(driver, Kernel::FillF32, count, &arguments) }
}
