//! Launches of `bias.cu`. Formulas are those of [`crate::ops::bias`].

use half::bf16;

use super::{
    Driver, Kernel, Slice, SliceMut, columns, elements,
    launch::size,
    memory::{check_aligned, check_len},
};
use crate::error::Result;

/// `y_t += bias` for each of `rows` rows.
///
/// # Shapes
/// `bias`: `[N]`; `y`: `[rows, N]`.
///
/// # Errors
/// [`crate::Error::Shape`] naming the tensor that does not fit, [`crate::Error::Argument`] for one
/// that is not aligned to 16 bytes, [`crate::Error::Launch`] if the driver refuses.
pub fn forward(
    driver: &Driver,
    rows: usize,
    bias: Slice<'_, bf16>,
    y: SliceMut<'_, bf16>,
) -> Result<()> {
    const OP: &str = "cuda::bias::forward";
    check_len(OP, "y", y.len, &[rows, bias.len])?;
    check_aligned(OP, "bias", bias.address)?;
    let count = elements::check(OP, y.len, &[("y", y.address, y.len)])?;
    let width = size(OP, "width", bias.len)?;
    let arguments = [bias.into(), y.into(), count.into(), width.into()];
    // SAFETY: y holds `count` elements in whole rows of `width`, as checked above, bias one such row,
    // and the exclusive borrow of y overlaps nothing.
    unsafe { elements::launch(driver, Kernel::BiasForward, count, &arguments) }
}

/// The gradient of the bias: `dbias += Σ_t dy_t` over `rows` rows. The partial sums it needs are
/// allocated here.
///
/// # Shapes
/// `dy`: `[rows, N]`; `dbias`: `[N]`.
///
/// # Errors
/// As [`forward`], or [`crate::Error::Memory`] without room for the partial sums.
pub fn backward(
    driver: &Driver,
    rows: usize,
    dy: Slice<'_, bf16>,
    dbias: SliceMut<'_, f32>,
) -> Result<()> {
    const OP: &str = "cuda::bias::backward";
    check_len(OP, "dy", dy.len, &[rows, dbias.len])?;
    columns::sum(driver, OP, dy, dbias)
}
