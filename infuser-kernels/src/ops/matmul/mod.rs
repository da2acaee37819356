//! Matrix products of row-major matrices, named by how the two factors are stored.
//!
//! With activations `x [M, K]`, `y [M, N]` and a weight `w [N, K]` as checkpoints store it:
//!
//! ```text
//! nt   y  = x wᵀ        the forward of a linear layer
//! nn   dx = dy w        its input gradient
//! tn   dw = dyᵀ x       its weight gradient
//! ```
//!
//! Large products go to the `gemm` crate tile by tile. Tiles depend on the shapes alone, so the
//! number of threads does not change a bit of the result. Products with a handful of rows, as in
//! decoding, are bound by reading `w` once and have their own kernel.

mod cpu;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

pub(crate) use cpu::{Factor, block};

use crate::{Device, View, ViewMut, Write, check, error::Result};

/// `y = x wᵀ`, or `y += x wᵀ`.
///
/// # Shapes
/// `x`: `[M, K]`; `w`: `[N, K]`; `y`: `[M, N]`.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::Rank`] naming the tensor that does not fit.
pub fn nt(x: View<'_>, w: View<'_>, y: ViewMut<'_>, write: Write) -> Result<()> {
    const OP: &str = "matmul::nt";
    let [m, k] = check::matrix(OP, "x", x.dims())?;
    let [n, _] = check::matrix(OP, "w", w.dims())?;
    check::shape(OP, "w", w.dims(), &[n, k])?;
    check::shape(OP, "y", y.dims(), &[m, n])?;
    match x.device() {
        Device::Cpu => {
            let (x, w) = (x.f32(OP, "x")?, w.f32(OP, "w")?);
            cpu::nt([m, n, k], x, w, y.into_f32(OP, "y")?, write);
        }
    }
    Ok(())
}

/// `dx = dy w`, or `dx += dy w`.
///
/// # Shapes
/// `dy`: `[M, N]`; `w`: `[N, K]`; `dx`: `[M, K]`.
///
/// # Errors
/// As [`nt`].
pub fn nn(dy: View<'_>, w: View<'_>, dx: ViewMut<'_>, write: Write) -> Result<()> {
    const OP: &str = "matmul::nn";
    let [m, n] = check::matrix(OP, "dy", dy.dims())?;
    let [_, k] = check::matrix(OP, "w", w.dims())?;
    check::shape(OP, "w", w.dims(), &[n, k])?;
    check::shape(OP, "dx", dx.dims(), &[m, k])?;
    match dy.device() {
        Device::Cpu => {
            let (dy, w) = (dy.f32(OP, "dy")?, w.f32(OP, "w")?);
            cpu::nn([m, k, n], dy, w, dx.into_f32(OP, "dx")?, write);
        }
    }
    Ok(())
}

/// `dw = dyᵀ x`, or `dw += dyᵀ x`.
///
/// # Shapes
/// `dy`: `[M, N]`; `x`: `[M, K]`; `dw`: `[N, K]`.
///
/// # Errors
/// As [`nt`].
pub fn tn(dy: View<'_>, x: View<'_>, dw: ViewMut<'_>, write: Write) -> Result<()> {
    const OP: &str = "matmul::tn";
    let [m, n] = check::matrix(OP, "dy", dy.dims())?;
    let [_, k] = check::matrix(OP, "x", x.dims())?;
    check::shape(OP, "x", x.dims(), &[m, k])?;
    check::shape(OP, "dw", dw.dims(), &[n, k])?;
    match dy.device() {
        Device::Cpu => {
            let (dy, x) = (dy.f32(OP, "dy")?, x.f32(OP, "x")?);
            cpu::tn([n, k, m], dy, x, dw.into_f32(OP, "dw")?, write);
        }
    }
    Ok(())
}
