//! Matrix products of bf16 with f32 sums: cuBLASLt on a GPU, the CPU's products on the emulator.
//! Names and shapes are those of [`crate::ops::matmul`].

use half::bf16;

use super::{Driver, Element, Slice, SliceMut, launch::size, memory::check_len};
use crate::{
    Write,
    error::{Error, Result},
};

/// What a product may be written as.
pub trait Output: Element {
    /// Whether it is f32, and not bf16.
    const IS_F32: bool;
}

impl Output for bf16 {
    const IS_F32: bool = false;
}

impl Output for f32 {
    const IS_F32: bool = true;
}

/// `C = A B` of row-major matrices, either factor stored transposed; all that a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Product {
    /// Of C.
    pub(super) rows: u32,
    pub(super) cols: u32,
    /// Terms of each sum.
    pub(super) inner: u32,
    /// A is stored `[inner, rows]`, B `[cols, inner]`.
    pub(super) transposed: [bool; 2],
    pub(super) f32_output: bool,
    /// C is added to.
    pub(super) add: bool,
}

/// `y = x wᵀ`, or `y += x wᵀ`.
///
/// # Shapes
/// With sizes `[M, N, K]`: `x`: `[M, K]`; `w`: `[N, K]`; `y`: `[M, N]`.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit; [`Error::Argument`] for a sum of no terms,
/// an address that is no multiple of 16, or memory of another driver; [`Error::Driver`] without cuBLASLt, or if it refuses.
pub fn nt<T: Output>(
    driver: &Driver,
    [m, n, k]: [usize; 3],
    x: Slice<'_, bf16>,
    w: Slice<'_, bf16>,
    y: SliceMut<'_, T>,
    write: Write,
) -> Result<()> {
    const OP: &str = "cuda::matmul::nt";
    check_len(OP, "x", x.len, &[m, k])?;
    check_len(OP, "w", w.len, &[n, k])?;
    check_len(OP, "y", y.len, &[m, n])?;
    multiply(OP, driver, [m, n, k], [false, true], [x, w], y, write)
}

/// `dx = dy w`, or `dx += dy w`.
///
/// # Shapes
/// With sizes `[M, N, K]`: `dy`: `[M, N]`; `w`: `[N, K]`; `dx`: `[M, K]`.
///
/// # Errors
/// As [`nt`].
pub fn nn<T: Output>(
    driver: &Driver,
    [m, n, k]: [usize; 3],
    dy: Slice<'_, bf16>,
    w: Slice<'_, bf16>,
    dx: SliceMut<'_, T>,
    write: Write,
) -> Result<()> {
    const OP: &str = "cuda::matmul::nn";
    check_len(OP, "dy", dy.len, &[m, n])?;
    check_len(OP, "w", w.len, &[n, k])?;
    check_len(OP, "dx", dx.len, &[m, k])?;
    multiply(OP, driver, [m, k, n], [false, false], [dy, w], dx, write)
}

/// `dw = dyᵀ x`, or `dw += dyᵀ x`.
///
/// # Shapes
/// With sizes `[M, N, K]`: `dy`: `[M, N]`; `x`: `[M, K]`; `dw`: `[N, K]`.
///
/// # Errors
/// As [`nt`].
pub fn tn<T: Output>(
    driver: &Driver,
    [m, n, k]: [usize; 3],
    dy: Slice<'_, bf16>,
    x: Slice<'_, bf16>,
    dw: SliceMut<'_, T>,
    write: Write,
) -> Result<()> {
    const OP: &str = "cuda::matmul::tn";
    check_len(OP, "dy", dy.len, &[m, n])?;
    check_len(OP, "x", x.len, &[m, k])?;
    check_len(OP, "dw", dw.len, &[n, k])?;
    multiply(OP, driver, [n, k, m], [true, false], [dy, x], dw, write)
}

fn multiply<T: Output>(
    op: &'static str,
    driver: &Driver,
    [rows, cols, inner]: [usize; 3],
    transposed: [bool; 2],
    [a, b]: [Slice<'_, bf16>; 2],
    c: SliceMut<'_, T>,
    write: Write,
) -> Result<()> {
    if rows == 0 || cols == 0 {
        return Ok(());
    }
    if inner == 0 {
        return Err(Error::argument(op, "each sum has no terms"));
    }
    let owners = [a.driver, b.driver, c.driver];
    if owners.iter().any(|owner| owner.identity() != driver.identity()) {
        return Err(Error::argument(op, "a matrix is the memory of another driver"));
    }
    // What a plan is chosen for.
    if [a.address, b.address, c.address].iter().any(|address| !address.is_multiple_of(16)) {
        return Err(Error::argument(op, "a matrix does not start at a multiple of 16 bytes"));
    }
    let product = Product {
        rows: size(op, "rows", rows)?,
        cols: size(op, "columns", cols)?,
        inner: size(op, "terms", inner)?,
        transposed,
        f32_output: T::IS_F32,
        add: write == Write::Add,
    };
    // SAFETY: the caller checked that a, b and c hold these sizes, and they are this driver's; T is
    // f32 where the product says so; c is borrowed exclusively.
    unsafe { driver.multiply(product, [a.address, b.address, c.address]) }
}
