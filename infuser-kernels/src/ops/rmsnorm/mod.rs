//! Root-mean-square normalisation of rows (Zhang & Sennrich, 2019).
//!
//! ```text
//! r_t = 1 / sqrt(mean_j x_tj² + ε)        y_tj = x_tj · r_t · w_j
//! ```
//!
//! A row is whatever shares one weight vector: a token's hidden state `[T, D]`, a token's whole
//! query (OLMo), or one head of one token (`[T·H, E]`, the QK-norm of Qwen3): reshape the view.

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use crate::{Device, View, ViewMut, Write, check, error::Result};

/// `y = norm(x) · w`, keeping `rstd = r` for the backward pass.
///
/// # Shapes
/// `x`, `y`: `[R, N]`; `weight`: `[N]`; `rstd`: `[R]`.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::Rank`] naming the tensor that does not fit.
pub fn forward(
    x: View<'_>,
    weight: View<'_>,
    epsilon: f32,
    y: ViewMut<'_>,
    rstd: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "rmsnorm::forward";
    let [rows, width] = check::matrix(OP, "x", x.dims())?;
    check::shape(OP, "weight", weight.dims(), &[width])?;
    check::shape(OP, "y", y.dims(), &[rows, width])?;
    check::shape(OP, "rstd", rstd.dims(), &[rows])?;
    match x.device() {
        Device::Cpu => {
            let (y, rstd) = (y.into_f32(OP, "y")?, rstd.into_f32(OP, "rstd")?);
            cpu::forward(x.f32(OP, "x")?, weight.f32(OP, "weight")?, epsilon, y, rstd);
        }
        Device::Cuda(driver) => {
            cuda::forward(&driver, OP, [x, weight], epsilon, [y, rstd])?;
        }
    }
    Ok(())
}

/// What [`add_forward`] writes; all overwritten.
#[derive(Debug)]
pub struct AddOutputs<'a> {
    /// `x + residual`, `[R, N]`.
    pub sum: ViewMut<'a>,
    /// `norm(sum) · w`, `[R, N]`.
    pub y: ViewMut<'a>,
    /// `[R]`.
    pub rstd: ViewMut<'a>,
}

/// `sum = x + residual; y = norm(sum) · w`: the residual add and the norm that follows it, in one
/// pass.
///
/// # Shapes
/// `x`, `residual`: `[R, N]`; `weight`: `[N]`; outputs as [`AddOutputs`] says.
///
/// # Errors
/// As [`forward`].
pub fn add_forward(
    x: View<'_>,
    residual: View<'_>,
    weight: View<'_>,
    epsilon: f32,
    outputs: AddOutputs<'_>,
) -> Result<()> {
    const OP: &str = "rmsnorm::add_forward";
    let AddOutputs { sum, y, rstd } = &outputs;
    let [rows, width] = check::matrix(OP, "x", x.dims())?;
    check::shape(OP, "residual", residual.dims(), &[rows, width])?;
    check::shape(OP, "weight", weight.dims(), &[width])?;
    check::shape(OP, "sum", sum.dims(), &[rows, width])?;
    check::shape(OP, "y", y.dims(), &[rows, width])?;
    check::shape(OP, "rstd", rstd.dims(), &[rows])?;
    match x.device() {
        Device::Cpu => {
            let AddOutputs { sum, y, rstd } = outputs;
            let inputs = [x.f32(OP, "x")?, residual.f32(OP, "residual")?];
            let outputs = (sum.into_f32(OP, "sum")?, y.into_f32(OP, "y")?);
            let (weight, rstd) = (weight.f32(OP, "weight")?, rstd.into_f32(OP, "rstd")?);
            cpu::add_forward(inputs, weight, epsilon, outputs, rstd);
        }
        Device::Cuda(driver) => {
            cuda::add_forward(&driver, OP, [x, residual, weight], epsilon, outputs)?;
        }
    }
    Ok(())
}

/// The gradient of the input: with `g = dy · w` and `x̂ = x · r`,
/// `dx = r · (g − x̂ · mean_j(g_j x̂_j))`.
///
/// # Shapes
/// `dy`, `x`, `dx`: `[R, N]`; `weight`: `[N]`; `rstd`: `[R]`, from the forward pass.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    dy: View<'_>,
    x: View<'_>,
    weight: View<'_>,
    rstd: View<'_>,
    dx: ViewMut<'_>,
    write: Write,
) -> Result<()> {
    const OP: &str = "rmsnorm::backward";
    let [rows, width] = check::matrix(OP, "x", x.dims())?;
    check::shape(OP, "dy", dy.dims(), &[rows, width])?;
    check::shape(OP, "weight", weight.dims(), &[width])?;
    check::shape(OP, "rstd", rstd.dims(), &[rows])?;
    check::shape(OP, "dx", dx.dims(), &[rows, width])?;
    match x.device() {
        Device::Cpu => {
            let (dy, x) = (dy.f32(OP, "dy")?, x.f32(OP, "x")?);
            let (weight, rstd) = (weight.f32(OP, "weight")?, rstd.f32(OP, "rstd")?);
            cpu::backward(dy, x, weight, rstd, dx.into_f32(OP, "dx")?, write);
        }
        Device::Cuda(driver) => {
            cuda::backward(&driver, OP, [dy, x, weight, rstd], dx, write)?;
        }
    }
    Ok(())
}

/// The gradient of the weight: `dw_j += Σ_t dy_tj · x_tj · r_t`.
///
/// # Shapes
/// `dy`, `x`: `[R, N]`; `rstd`: `[R]`; `dweight`: `[N]`.
///
/// # Errors
/// As [`forward`].
pub fn backward_weight(
    dy: View<'_>,
    x: View<'_>,
    rstd: View<'_>,
    dweight: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "rmsnorm::backward_weight";
    let [rows, width] = check::matrix(OP, "x", x.dims())?;
    check::shape(OP, "dy", dy.dims(), &[rows, width])?;
    check::shape(OP, "rstd", rstd.dims(), &[rows])?;
    check::shape(OP, "dweight", dweight.dims(), &[width])?;
    match x.device() {
        Device::Cpu => {
            let (dy, x, rstd) = (dy.f32(OP, "dy")?, x.f32(OP, "x")?, rstd.f32(OP, "rstd")?);
            cpu::backward_weight(dy, x, rstd, dweight.into_f32(OP, "dweight")?);
        }
        Device::Cuda(driver) => {
            cuda::backward_weight(&driver, OP, [dy, x, rstd], dweight)?;
        }
    }
    Ok(())
}
