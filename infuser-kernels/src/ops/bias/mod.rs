//! The bias of a linear layer.

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::{Device, View, ViewMut, check, error::Result, simd::simd};

/// Rows one task sums, whatever the number of threads.
const TASK_ROWS: usize = 256;

/// `y_tj += bias_j`.
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
        Device::Cpu => {
            let (bias, y) = (bias.f32(OP, "bias")?, y.into_f32(OP, "y")?);
            y.par_chunks_mut((TASK_ROWS * width).max(1)).for_each(|rows| {
                simd(|| {
                    for row in rows.chunks_exact_mut(width) {
                        row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                    }
                });
            });
        }
    }
    Ok(())
}

/// `dbias_j += Σ_t dy_tj`.
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
        Device::Cpu => {
            let (dy, dbias) = (dy.f32(OP, "dy")?, dbias.into_f32(OP, "dbias")?);
            // One partial sum a task, added in task order: the number of threads cannot show.
            let partials: Vec<Vec<f32>> = dy
                .par_chunks((TASK_ROWS * width).max(1))
                .map(|rows| column_sums(rows, width))
                .collect();
            for partial in partials {
                dbias.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
            }
        }
    }
    Ok(())
}

fn column_sums(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0f32; width];
    simd(|| {
        for row in rows.chunks_exact(width) {
            sums.iter_mut().zip(row).for_each(|(sum, dy)| *sum += dy);
        }
    });
    sums
}
