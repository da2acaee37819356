//! The gradient norm and the factor that clips it, as torch's `clip_grad_norm_`.
//!
//! ```text
//! |g| = √(Σ_tensors Σ_i g_i²)        factor = min(1, max_norm / (|g| + 1e-6))
//! ```
//!
//! The root is the caller's; the factor goes to
//! [`adamw::step`](super::adamw::step), so that clipping costs no pass over the gradients.

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use crate::{Device, View, error::Result};

/// `Σ_tensors Σ_i x_i²`, summed in f64: squares of f32 values are exact there and cannot overflow. On
/// CUDA the host waits once, for the sum of all.
///
/// An infinite element gives infinity, a NaN gives NaN.
///
/// # Shapes
/// Any; 0 for no tensors, or none with elements.
///
/// # Errors
/// [`crate::Error::Dtype`] if an `x` does not hold f32, [`crate::Error::Device`] if two are on different
/// devices.
pub fn sum_of_squares(tensors: &[View<'_>]) -> Result<f64> {
    const OP: &str = "grad_norm::sum_of_squares";
    let Some(first) = tensors.first() else { return Ok(0.0) };
    match first.device() {
        Device::Cpu => {
            let add = |sum, x: &View<'_>| Ok(sum + cpu::sum_of_squares(x.f32(OP, "x")?));
            tensors.iter().try_fold(0.0, add)
        }
        Device::Cuda(driver) => cuda::sum_of_squares(&driver, OP, tensors),
    }
}

/// `min(1, max_norm / (norm + 1e-6))`: what to multiply gradients with so that their norm is at
/// most `max_norm`.
///
/// An infinite `max_norm` clips nothing. A norm that is not finite is the caller's to catch before
/// a step: infinity gives 0, which turns the infinite gradient itself into NaN, and NaN gives NaN.
///
/// ```
/// use infuser_kernels::ops::grad_norm::clip_factor;
///
/// assert_eq!(clip_factor(0.5, 1.0), 1.0);
/// assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
/// ```
pub fn clip_factor(norm: f64, max_norm: f64) -> f32 {
    let factor = max_norm / (norm + 1e-6);
    // Not `min`, which would turn NaN into 1.
    if factor > 1.0 { 1.0 } else { factor as f32 }
}
