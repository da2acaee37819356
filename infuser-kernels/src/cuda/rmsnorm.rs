//! Launches of `rmsnorm.cu`. Formulas and meaning are those of [`crate::ops::rmsnorm`]; activations
//! and weights are bf16.

use half::bf16;

use super::{
    Driver, Kernel, Memory, Slice, SliceMut,
    columns::{self, COLUMNS_PER_BLOCK, ROWS_PER_CHUNK},
    launch::{Launch, size},
    memory::{check_aligned, check_len},
};
use crate::{Write, error::Result};

/// Rows a block, one a warp: `ROWS_PER_BLOCK` of the source.
const ROWS_PER_BLOCK: usize = 8;
/// Threads a block of every kernel here: eight warps.
const BLOCK: u32 = 256;
/// `R` rows of `N` elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// R
    pub rows: usize,
    /// N
    pub width: usize,
}

impl Shape {
    fn axes(self) -> [usize; 2] {
        [self.rows, self.width]
    }

    fn sizes(self, op: &'static str) -> Result<(u32, u32)> {
        Ok((size(op, "rows", self.rows)?, size(op, "width", self.width)?))
    }

    /// Whether a kernel has anything to do.
    fn is_empty(self) -> bool {
        self.rows == 0 || self.width == 0
    }

    fn grid(self) -> [usize; 2] {
        [self.rows.div_ceil(ROWS_PER_BLOCK), 1]
    }

    /// A tensor of the shape, at an address that the wide accesses of whole rows take.
    fn check(
        self,
        op: &'static str,
        tensors: impl IntoIterator<Item = (&'static str, u64, usize)>,
    ) -> Result<()> {
        for (tensor, address, len) in tensors {
            check_len(op, tensor, len, &self.axes())?;
            check_aligned(op, tensor, address)?;
        }
        Ok(())
    }
}

/// What a forward pass writes; all overwritten.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// `norm(x) · w`, `[R, N]`.
    pub y: SliceMut<'a, bf16>,
    /// `[R]`.
    pub rstd: SliceMut<'a, f32>,
}

/// `y = norm(x) · w`.
///
/// # Shapes
/// `x`, `y`: `[R, N]`; `weight`: `[N]`; `rstd`: `[R]`.
///
/// # Errors
/// [`crate::Error::Shape`] naming the tensor that does not fit, [`crate::Error::Argument`] for one
/// that is not aligned to 16 bytes, [`crate::Error::Launch`] if the driver refuses.
pub fn forward(
    driver: &Driver,
    shape: Shape,
    x: Slice<'_, bf16>,
    weight: Slice<'_, bf16>,
    epsilon: f32,
    outputs: Outputs<'_>,
) -> Result<()> {
    const OP: &str = "cuda::rmsnorm::forward";
    let Outputs { y, rstd } = outputs;
    shape.check(OP, [("x", x.address, x.len), ("y", y.address, y.len)])?;
    check_weight(OP, shape, &weight)?;
    check_len(OP, "rstd", rstd.len, &[shape.rows])?;
    let (rows, width) = shape.sizes(OP)?;
    if shape.is_empty() {
        return Ok(());
    }
    let arguments =
        [x.into(), weight.into(), y.into(), rstd.into(), rows.into(), width.into(), epsilon.into()];
    let launch = Launch {
        kernel: Kernel::RmsNormForward,
        grid: shape.grid(),
        block: BLOCK,
        arguments: &arguments,
    };
    // SAFETY: the lengths above are those of the header's `Tensors` for these rows and this width,
    // and the exclusive borrows of y and rstd overlap nothing.
    unsafe { driver.launch(&launch) }
}

/// `sum = x + residual` in bf16, `y = norm(sum) · w`.
///
/// # Shapes
/// `x`, `residual`, `sum`, `y`: `[R, N]`; `weight`: `[N]`; `rstd`: `[R]`.
///
/// # Errors
/// As [`forward`].
pub fn add_forward(
    driver: &Driver,
    shape: Shape,
    [x, residual]: [Slice<'_, bf16>; 2],
    weight: Slice<'_, bf16>,
    epsilon: f32,
    (sum, outputs): (SliceMut<'_, bf16>, Outputs<'_>),
) -> Result<()> {
    const OP: &str = "cuda::rmsnorm::add_forward";
    let Outputs { y, rstd } = outputs;
    shape.check(OP, [("x", x.address, x.len), ("residual", residual.address, residual.len)])?;
    shape.check(OP, [("sum", sum.address, sum.len), ("y", y.address, y.len)])?;
    check_weight(OP, shape, &weight)?;
    check_len(OP, "rstd", rstd.len, &[shape.rows])?;
    let (rows, width) = shape.sizes(OP)?;
    if shape.is_empty() {
        return Ok(());
    }
    let arguments = [
        x.into(),
        residual.into(),
        weight.into(),
        sum.into(),
        y.into(),
        rstd.into(),
        rows.into(),
        width.into(),
        epsilon.into(),
    ];
    let launch = Launch {
        kernel: Kernel::RmsNormForwardAdd,
        grid: shape.grid(),
        block: BLOCK,
        arguments: &arguments,
    };
    // SAFETY: the lengths above are those of the header's `Tensors` for these rows and this width,
    // and the exclusive borrows of sum, y and rstd overlap nothing.
    unsafe { driver.launch(&launch) }
}

fn check_weight(op: &'static str, shape: Shape, weight: &Slice<'_, bf16>) -> Result<()> {
    check_len(op, "weight", weight.len, &[shape.width])?;
    check_aligned(op, "weight", weight.address)
}

/// The gradient of the input.
///
/// # Shapes
/// `dy`, `x`, `dx`: `[R, N]`; `weight`: `[N]`; `rstd`: `[R]`, from the forward pass.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    driver: &Driver,
    shape: Shape,
    [dy, x, weight]: [Slice<'_, bf16>; 3],
    rstd: Slice<'_, f32>,
    dx: SliceMut<'_, bf16>,
    write: Write,
) -> Result<()> {
    const OP: &str = "cuda::rmsnorm::backward";
    let tensors = [("dy", dy.address, dy.len), ("x", x.address, x.len), ("dx", dx.address, dx.len)];
    shape.check(OP, tensors)?;
    check_weight(OP, shape, &weight)?;
    check_len(OP, "rstd", rstd.len, &[shape.rows])?;
    let (rows, width) = shape.sizes(OP)?;
    if shape.is_empty() {
        return Ok(());
    }
    let add = u32::from(write == Write::Add);
    let arguments = [
        dy.into(),
        x.into(),
        weight.into(),
        rstd.into(),
        dx.into(),
        rows.into(),
        width.into(),
        add.into(),
    ];
    let launch = Launch {
        kernel: Kernel::RmsNormBackward,
        grid: shape.grid(),
        block: BLOCK,
        arguments: &arguments,
    };
    // SAFETY: the lengths above are those of the header's `Tensors` for these rows and this width,
    // and the exclusive borrow of dx overlaps nothing.
    unsafe { driver.launch(&launch) }
}

/// The gradient of the weight, added to `dweight`. The partial sums it needs are allocated here.
///
/// # Shapes
/// `dy`, `x`: `[R, N]`; `rstd`: `[R]`; `dweight`: `[N]`.
///
/// # Errors
/// As [`forward`], or [`crate::Error::Memory`] without room for the partial sums.
pub fn backward_weight(
    driver: &Driver,
    shape: Shape,
    [dy, x]: [Slice<'_, bf16>; 2],
    rstd: Slice<'_, f32>,
    dweight: SliceMut<'_, f32>,
) -> Result<()> {
    const OP: &str = "cuda::rmsnorm::backward_weight";
    shape.check(OP, [("dy", dy.address, dy.len), ("x", x.address, x.len)])?;
    check_len(OP, "rstd", rstd.len, &[shape.rows])?;
    check_len(OP, "dweight", dweight.len, &[shape.width])?;
    let (rows, width) = shape.sizes(OP)?;
    if shape.is_empty() {
        return Ok(());
    }
    let chunks = shape.rows.div_ceil(ROWS_PER_CHUNK);
    let mut partial = Memory::<f32>::unset(driver, chunks * shape.width)?;
    let arguments = [
        dy.into(),
        x.into(),
        rstd.into(),
        partial.slice_mut().into(),
        rows.into(),
        width.into(),
        (ROWS_PER_CHUNK as u32).into(),
    ];
    let launch = Launch {
        kernel: Kernel::RmsNormBackwardWeight,
        grid: [shape.width.div_ceil(COLUMNS_PER_BLOCK), chunks],
        block: BLOCK,
        arguments: &arguments,
    };
    // SAFETY: the lengths above are those of the header's `Tensors`; partial has a row for each of
    // the grid's chunks and was made here, so nothing overlaps it.
    unsafe { driver.launch(&launch) }?;
    let sizes = [size(OP, "chunks", chunks)?, width];
    columns::add(driver, partial.slice(), dweight, sizes)
}
