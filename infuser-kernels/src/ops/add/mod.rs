//! Sums and multiples of whole tensors: residual adds, accumulated gradients, averages.
//!
//! ```text
//! add:    out_i += x_i
//! scale:  x_i *= factor
//! ```
//!
//! One rounding an element, so there is no twin: the f64 result rounded to f32 is the answer.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::{Device, View, ViewMut, check, error::Result};

/// `out += x`.
///
/// # Shapes
/// `x`, `out`: the same shape, whatever it is.
///
/// # Errors
/// [`crate::Error::Shape`] naming `x` if the shapes differ.
pub fn add(x: View<'_>, out: ViewMut<'_>) -> Result<()> {
    const OP: &str = "add::add";
    check::shape(OP, "x", x.dims(), out.dims().axes())?;
    match x.device() {
        Device::Cpu => cpu::add(x.f32(OP, "x")?, out.into_f32(OP, "out")?),
        Device::Cuda(driver) => cuda::add(&driver, OP, x, out)?,
    }
    Ok(())
}

/// `x *= factor`, in place.
///
/// # Shapes
/// `x`: any.
///
/// # Errors
/// [`crate::Error::Dtype`] if `x` does not hold f32.
pub fn scale(factor: f32, x: ViewMut<'_>) -> Result<()> {
    const OP: &str = "add::scale";
    match x.device() {
        Device::Cpu => cpu::scale(factor, x.into_f32(OP, "x")?),
        Device::Cuda(driver) => cuda::scale(&driver, OP, factor, x)?,
    }
    Ok(())
}
