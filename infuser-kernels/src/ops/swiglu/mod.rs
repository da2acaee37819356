//! The gated activation of the feed-forward block (Shazeer, 2020, "GLU variants").
//!
//! ```text
//! σ(g) = 1 / (1 + e^-g)        out_tj = g_tj · σ(g_tj) · u_tj
//! ```
//!
//! `g` and `u` are the two projections of the same hidden state; nothing but them is kept for the
//! backward pass, which computes σ again.

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use super::matmul::{self, Packed};
use crate::{Device, View, ViewMut, check, error::Result};

/// `out = silu(gate) · up`, overwriting `out`.
///
/// # Shapes
/// `gate`, `up`, `out`: `[T, F]`.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::Rank`] naming the tensor that does not fit.
pub fn forward(gate: View<'_>, up: View<'_>, out: ViewMut<'_>) -> Result<()> {
    const OP: &str = "swiglu::forward";
    let [rows, width] = check::matrix(OP, "gate", gate.dims())?;
    check::shape(OP, "up", up.dims(), &[rows, width])?;
    check::shape(OP, "out", out.dims(), &[rows, width])?;
    match gate.device() {
        Device::Cpu => {
            cpu::forward(gate.f32(OP, "gate")?, up.f32(OP, "up")?, out.into_f32(OP, "out")?);
        }
        Device::Cuda(driver) => cuda::forward(&driver, OP, [gate, up], out)?,
    }
    Ok(())
}

/// `out = silu(x Gᵀ) · x Uᵀ` by weights laid out before, overwriting `out`: [`forward`] of the two products to the
/// bit, without keeping them.
///
/// # Shapes
/// `x`: `[T, D]`; `gate` and `up`: `[F, D]`; `out`: `[T, F]`.
///
/// # Errors
/// As [`forward`].
pub fn project(x: View<'_>, [gate, up]: [&Packed; 2], out: ViewMut<'_>) -> Result<()> {
    matmul::nt_packed_combined("swiglu::project", x, [gate, up], out, |[gate, up], out| {
        cpu::stretch(gate, up, out);
    })
}

/// The gradients of both inputs, overwritten: `dgate = dout · u · σ · (1 + g · (1 − σ))` and
/// `dup = dout · g · σ`.
///
/// # Shapes
/// `dout`, `gate`, `up`, `dgate`, `dup`: `[T, F]`.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    dout: View<'_>,
    gate: View<'_>,
    up: View<'_>,
    dgate: ViewMut<'_>,
    dup: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "swiglu::backward";
    let [rows, width] = check::matrix(OP, "gate", gate.dims())?;
    check::shape(OP, "dout", dout.dims(), &[rows, width])?;
    check::shape(OP, "up", up.dims(), &[rows, width])?;
    check::shape(OP, "dgate", dgate.dims(), &[rows, width])?;
    check::shape(OP, "dup", dup.dims(), &[rows, width])?;
    match gate.device() {
        Device::Cpu => {
            let (gate, up) = (gate.f32(OP, "gate")?, up.f32(OP, "up")?);
            let (dgate, dup) = (dgate.into_f32(OP, "dgate")?, dup.into_f32(OP, "dup")?);
            cpu::backward(dout.f32(OP, "dout")?, gate, up, dgate, dup);
        }
        Device::Cuda(driver) => {
            cuda::backward(&driver, OP, [dout, gate, up], [dgate, dup])?;
        }
    }
    Ok(())
}
