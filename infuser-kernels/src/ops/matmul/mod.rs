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
//! A row of [`nt`] has the same bits whatever the other rows are: alone, in a batch, in decoding and
//! in training. For that it has a kernel of its own; a weight that many products use can be laid out
//! for it once ([`Packed`]). The other two go to the `gemm` crate in tiles that depend on the shapes
//! alone. No result depends on the number of threads. On CUDA all three go to cuBLASLt, and an output
//! may be bf16 or f32; a row of [`nt`] may there differ in its last bits with the number of rows, for which
//! the library chooses its way.

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

pub(crate) use cpu::{Factor, block, rows};

use crate::{Device, View, ViewMut, Write, check, error::Result};

/// A weight `[N, K]` in the layout that [`nt`] works on; it takes as much memory again.
#[derive(Debug, Clone)]
pub struct Packed {
    axes: [usize; 2],
    storage: Storage,
}

#[derive(Debug, Clone)]
enum Storage {
    Cpu(rows::Panels),
}

impl Packed {
    /// Lays out `w [N, K]`.
    ///
    /// # Errors
    /// [`crate::Error::Rank`] if it has not two axes; [`crate::Error::Memory`] if there is no room;
    /// [`crate::Error::Argument`] for a weight on CUDA, where there is no other layout.
    pub fn new(w: View<'_>) -> Result<Self> {
        const OP: &str = "matmul::Packed";
        let axes = check::matrix(OP, "w", w.dims())?;
        let storage = match w.device() {
            Device::Cpu => Storage::Cpu(rows::Panels::new(w.f32(OP, "w")?, axes)?),
            Device::Cuda(_) => {
                let problem = "`w` is on cuda, where products take weights as they are; use `nt`";
                return Err(crate::Error::argument(OP, problem));
            }
        };
        Ok(Self { axes, storage })
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        match &self.storage {
            Storage::Cpu(panels) => panels.size_bytes(),
        }
    }
}

/// [`nt`] with a weight laid out before: the same bits, and no time spent on the layout.
///
/// # Errors
/// As [`nt`].
pub fn nt_packed(x: View<'_>, w: &Packed, y: ViewMut<'_>, write: Write) -> Result<()> {
    const OP: &str = "matmul::nt_packed";
    let [m, k] = check::matrix(OP, "x", x.dims())?;
    let [n, _] = w.axes;
    check::shape(OP, "x", x.dims(), &[m, w.axes[1]])?;
    check::shape(OP, "y", y.dims(), &[m, n])?;
    match &w.storage {
        Storage::Cpu(panels) => {
            rows::product([m, n, k], x.f32(OP, "x")?, panels, y.into_f32(OP, "y")?, write);
        }
    }
    Ok(())
}

/// `y = x wᵀ`, or `y += x wᵀ`.
///
/// # Shapes
/// `x`: `[M, K]`; `w`: `[N, K]`; `y`: `[M, N]`.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::Rank`] naming the tensor that does not fit;
/// [`crate::Error::Memory`] if there is no room to lay out the weight.
pub fn nt(x: View<'_>, w: View<'_>, y: ViewMut<'_>, write: Write) -> Result<()> {
    const OP: &str = "matmul::nt";
    let [m, k] = check::matrix(OP, "x", x.dims())?;
    let [n, _] = check::matrix(OP, "w", w.dims())?;
    check::shape(OP, "w", w.dims(), &[n, k])?;
    check::shape(OP, "y", y.dims(), &[m, n])?;
    match x.device() {
        Device::Cpu => {
            let (x, w) = (x.f32(OP, "x")?, w.f32(OP, "w")?);
            cpu::nt([m, n, k], x, w, y.into_f32(OP, "y")?, write)?;
        }
        Device::Cuda(driver) => {
            let names = ["x", "w", "y"];
            let operands = ([x, w], y);
            cuda::multiply(&driver, OP, cuda::Form::Nt, [m, n, k], operands, names, write)?;
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
        Device::Cuda(driver) => {
            let names = ["dy", "w", "dx"];
            let operands = ([dy, w], dx);
            cuda::multiply(&driver, OP, cuda::Form::Nn, [m, n, k], operands, names, write)?;
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
        Device::Cuda(driver) => {
            let names = ["dy", "x", "dw"];
            let operands = ([dy, x], dw);
            cuda::multiply(&driver, OP, cuda::Form::Tn, [m, n, k], operands, names, write)?;
        }
    }
    Ok(())
}
