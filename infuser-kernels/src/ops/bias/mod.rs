//! A vector added to every row: the bias of a linear layer.
//!
//! ```text
//! y_tj += b_j        db_j += Σ_t dy_tj
//! ```

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use crate::{Device, View, ViewMut, check, error::Result};

/// `y_t += bias` for every row.
///
/// # Shapes
/// `bias`: `[N]`; `y`: `[T, N]`.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::Rank`] naming the tensor that does not fit.
pub fn forward(bias: View<'_>, y: ViewMut<'_>) -> Result<()> {
    const OP: &str = "bias::forward";
    let [_, width] = check::matrix(OP, "y", y.dims())?;
    check::shape(OP, "bias", bias.dims(), &[width])?;
    match bias.device() {
        Device::Cpu => cpu::forward(bias.f32(OP, "bias")?, y.into_f32(OP, "y")?),
        Device::Cuda(driver) => cuda::forward(&driver, OP, bias, y)?,
    }
    Ok(())
}

/// The gradient of the bias: `dbias += Σ_t dy_t`. That of `y` is `dy` itself.
///
/// # Shapes
/// `dy`: `[T, N]`; `dbias`: `[N]`.
///
/// # Errors
/// As [`forward`].
pub fn backward(dy: View<'_>, dbias: ViewMut<'_>) -> Result<()> {
    const OP: &str = "bias::backward";
    let [_, width] = check::matrix(OP, "dy", dy.dims())?;
    check::shape(OP, "dbias", dbias.dims(), &[width])?;
    match dy.device() {
        Device::Cpu => cpu::backward(dy.f32(OP, "dy")?, dbias.into_f32(OP, "dbias")?),
        Device::Cuda(driver) => cuda::backward(&driver, OP, dy, dbias)?,
    }
    Ok(())
}
