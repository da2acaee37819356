//! Elementwise sums, as residual streams need them.

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::{Device, View, ViewMut, check, error::Result, simd::simd};

/// Elements one task works on, whatever the number of threads.
const TASK: usize = 64 * 1024;

/// `out += x`, for any equal shapes.
///
/// # Errors
/// [`crate::Error::Shape`] if the shapes differ.
pub fn add(x: View<'_>, out: ViewMut<'_>) -> Result<()> {
    const OP: &str = "add::add";
    check::shape(OP, "x", x.dims(), out.dims().axes())?;
    match x.device() {
        Device::Cpu => {
            let (x, out) = (x.f32(OP, "x")?, out.into_f32(OP, "out")?);
            out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(out, x)| {
                simd(|| out.iter_mut().zip(x).for_each(|(out, x)| *out += x));
            });
        }
    }
    Ok(())
}

/// `x *= factor`.
///
/// # Errors
/// [`crate::Error::Dtype`] if `x` does not hold f32.
pub fn scale(factor: f32, x: ViewMut<'_>) -> Result<()> {
    const OP: &str = "add::scale";
    match x.device() {
        Device::Cpu => x.into_f32(OP, "x")?.par_chunks_mut(TASK).for_each(|x| {
            simd(|| x.iter_mut().for_each(|x| *x *= factor));
        }),
    }
    Ok(())
}
