//! The global norm of a gradient, and the factor that clips it.

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::{Device, View, error::Result, simd::simd};

/// Elements of one partial sum, whatever the number of threads.
const TASK: usize = 64 * 1024;

/// `Σ x²` over any shape, in f64. Add those of all tensors and take the root for the global norm.
///
/// Squares are taken in f64, so nothing overflows; NaN and infinities come out as such.
///
/// # Errors
/// [`crate::Error::Dtype`] if `x` does not hold f32.
pub fn sum_of_squares(x: View<'_>) -> Result<f64> {
    const OP: &str = "grad_norm::sum_of_squares";
    match x.device() {
        Device::Cpu => {
            let partials: Vec<f64> = x.f32(OP, "x")?.par_chunks(TASK).map(partial).collect();
            Ok(partials.iter().sum())
        }
    }
}

fn partial(x: &[f32]) -> f64 {
    const LANES: usize = 16;
    simd(|| {
        let (chunks, tail) = x.as_chunks::<LANES>();
        let mut lanes = [0.0f64; LANES];
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] += f64::from(chunk[i]) * f64::from(chunk[i]);
            }
        }
        lanes.iter().sum::<f64>() + tail.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
    })
}

/// The factor `min(1, max_norm / (norm + 1e-6))` of `torch.nn.utils.clip_grad_norm_`. A norm that is
/// not finite gives NaN or 0: the caller must not take that step.
///
/// ```
/// use infuser_kernels::ops::grad_norm::clip_factor;
/// assert_eq!(clip_factor(0.5, 1.0), 1.0);
/// assert_eq!(clip_factor(4.0, 1.0), (1.0 / 4.000001) as f32);
/// ```
pub fn clip_factor(norm: f64, max_norm: f64) -> f32 {
    let factor = max_norm / (norm + 1e-6);
    (if factor > 1.0 { 1.0 } else { factor }) as f32
}
