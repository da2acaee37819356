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
//! in training. For that it has kernels of its own: one of vectors, whose bits are the same on all
//! processors, and one of tiles ([`tiles_in_use`]). A weight that many products use can be laid out
//! for them once ([`Packed`]). The other two go to the `gemm` crate in tiles that depend on the shapes
//! alone. No result depends on the number of threads. On CUDA all three go to cuBLASLt, and an output
//! may be bf16 or f32; a row of [`nt`] may there differ in its last bits with the number of rows, for which
//! the library chooses its way.

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

pub(crate) use cpu::{Factor, block, rows, tile};

use std::sync::OnceLock;

use crate::{Device, View, ViewMut, Write, check, error::Result};

static TILES: OnceLock<bool> = OnceLock::new();

/// Whether [`nt`] on the CPU uses the tiles of bf16 products that some processors have (Intel AMX), which
/// give other last bits than vectors do, as exact. It does where there are any, unless
/// [`without_tiles`] came first; this call or the first product decides for the process.
pub fn tiles_in_use() -> bool {
    *TILES.get_or_init(cpu::has_tiles)
}

/// Computes with vectors alone, as processors without tiles do: slower but for few rows. False if it comes
/// too late: then tiles are in use.
pub fn without_tiles() -> bool {
    !*TILES.get_or_init(|| false)
}

/// A weight `[N, K]` in the layout that [`nt`] works on; it takes as much memory again.
#[derive(Debug)]
pub struct Packed {
    axes: [usize; 2],
    storage: Storage,
}

#[derive(Debug)]
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

    /// The shape of a product with `x`.
    fn output(&self, op: &'static str, x: View<'_>) -> Result<[usize; 2]> {
        let [m, _] = check::matrix(op, "x", x.dims())?;
        let [n, k] = self.axes;
        check::shape(op, "x", x.dims(), &[m, k])?;
        Ok([m, n])
    }

    /// Bytes that the layout of a weight `[N, K]` will hold.
    pub fn bytes_of(axes: [usize; 2]) -> u128 {
        rows::Panels::bytes_of(axes)
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
    packed_each("matmul::nt_packed", x, [(w, y)], write)
}

/// [`nt_packed`] of one `x` with several weights at once, overwriting the outputs: the same bits, and threads
/// meet once.
///
/// # Errors
/// As [`nt`].
pub fn nt_packed_each<const N: usize>(
    x: View<'_>,
    products: [(&Packed, ViewMut<'_>); N],
) -> Result<()> {
    packed_each("matmul::nt_packed_each", x, products, Write::Overwrite)
}

fn packed_each<const N: usize>(
    op: &'static str,
    x: View<'_>,
    products: [(&Packed, ViewMut<'_>); N],
    write: Write,
) -> Result<()> {
    let mut parts = Vec::with_capacity(N);
    for (w, y) in products {
        let axes = w.output(op, x)?;
        check::shape(op, "y", y.dims(), &axes)?;
        let Storage::Cpu(w) = &w.storage;
        parts.push(cpu::Product { w, n: axes[1], y: y.into_f32(op, "y")? });
    }
    let [m, k] = check::matrix(op, "x", x.dims())?;
    cpu::nt_each([m, k], x.f32(op, "x")?, &mut parts, write);
    Ok(())
}

/// What `combine` makes of the products of `x` with two weights of the same size: a stretch of `out` from the
/// same stretches of the two, which are kept nowhere.
pub(crate) fn nt_packed_combined(
    op: &'static str,
    x: View<'_>,
    [a, b]: [&Packed; 2],
    out: ViewMut<'_>,
    combine: impl Fn([&[f32]; 2], &mut [f32]) + Sync,
) -> Result<()> {
    for weight in [a, b] {
        check::shape(op, "out", out.dims(), &weight.output(op, x)?)?;
    }
    let [m, k] = check::matrix(op, "x", x.dims())?;
    let (n, [Storage::Cpu(a), Storage::Cpu(b)]) = (a.axes[0], [&a.storage, &b.storage]);
    cpu::nt_combined([m, n, k], x.f32(op, "x")?, [a, b], out.into_f32(op, "out")?, combine);
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
