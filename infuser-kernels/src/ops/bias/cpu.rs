//! The CPU side of [`super`]: rows in parallel.

use rayon::prelude::*;

use crate::simd::simd;

/// Rows one task works on, whatever the number of threads: about 16k elements, and enough rows
/// that the partial sums of [`backward`] stay few.
fn rows_per_task(width: usize) -> usize {
    (16 * 1024 / width.max(1)).max(32)
}

#[inline(always)]
fn add_row(row: &[f32], sum: &mut [f32]) {
    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
}

pub(super) fn forward(bias: &[f32], y: &mut [f32]) {
    let width = bias.len();
    if width == 0 {
        return;
    }
    y.par_chunks_mut(rows_per_task(width) * width).for_each(|y| {
        simd(
            #[inline(always)]
            || y.chunks_exact_mut(width).for_each(|y| add_row(bias, y)),
        );
    });
}

pub(super) fn backward(dy: &[f32], dbias: &mut [f32]) {
    let width = dbias.len();
    if width == 0 {
        return;
    }
    // One partial sum a task, added in task order: the number of threads cannot show.
    let partials: Vec<Vec<f32>> = dy
        .par_chunks(rows_per_task(width) * width)
        .map(|dy| {
            let mut partial = vec![0.0f32; width];
            simd(
                #[inline(always)]
                || dy.chunks_exact(width).for_each(|dy| add_row(dy, &mut partial)),
            );
            partial
        })
        .collect();
    for partial in partials {
        add_row(&partial, dbias);
    }
}
