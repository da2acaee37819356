//! The CPU side of [`super`]: rows in parallel, sums in f32 lanes.

use rayon::prelude::*;

use crate::{
    Write,
    simd::{dot, dot3, simd},
};

/// Rows one task works on, whatever the number of threads: about 16k elements.
fn rows_per_task(width: usize) -> usize {
    (16 * 1024 / width.max(1)).max(1)
}

#[inline(always)]
fn normalise(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32]) -> f32 {
    let rstd = 1.0 / (dot(x, x) / x.len() as f32 + epsilon).sqrt();
    for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
        *y = x * rstd * w;
    }
    rstd
}

pub(super) fn forward(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32], rstd: &mut [f32]) {
    let width = weight.len();
    let rows = rows_per_task(width);
    if width == 0 {
        return;
    }
    let outputs = y.par_chunks_mut(rows * width).zip(rstd.par_chunks_mut(rows));
    x.par_chunks(rows * width).zip(outputs).for_each(|(x, (y, rstd))| {
        simd(
            #[inline(always)]
            || {
                let row = x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(rstd);
                for ((x, y), rstd) in row {
                    *rstd = normalise(x, weight, epsilon, y);
                }
            },
        );
    });
}

pub(super) fn add_forward(
    [x, residual]: [&[f32]; 2],
    weight: &[f32],
    epsilon: f32,
    (sum, y): (&mut [f32], &mut [f32]),
    rstd: &mut [f32],
) {
    let width = weight.len();
    let rows = rows_per_task(width);
    if width == 0 {
        return;
    }
    let outputs = y.par_chunks_mut(rows * width).zip(rstd.par_chunks_mut(rows));
    let inputs = x.par_chunks(rows * width).zip(residual.par_chunks(rows * width));
    let tasks = inputs.zip(sum.par_chunks_mut(rows * width)).zip(outputs);
    tasks.for_each(|(((x, residual), sum), (y, rstd))| {
        simd(
            #[inline(always)]
            || {
                let input = x.chunks_exact(width).zip(residual.chunks_exact(width));
                let output = sum.chunks_exact_mut(width).zip(y.chunks_exact_mut(width)).zip(rstd);
                for ((x, residual), ((sum, y), rstd)) in input.zip(output) {
                    for ((sum, x), residual) in sum.iter_mut().zip(x).zip(residual) {
                        *sum = x + residual;
                    }
                    *rstd = normalise(sum, weight, epsilon, y);
                }
            },
        );
    });
}

pub(super) fn backward(
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    dx: &mut [f32],
    write: Write,
) {
    let width = weight.len();
    let rows = rows_per_task(width);
    if width == 0 {
        return;
    }
    let inputs = dy.par_chunks(rows * width).zip(x.par_chunks(rows * width));
    let outputs = dx.par_chunks_mut(rows * width).zip(rstd.par_chunks(rows));
    inputs.zip(outputs).for_each(|((dy, x), (dx, rstd))| {
        simd(
            #[inline(always)]
            || {
                let input = dy.chunks_exact(width).zip(x.chunks_exact(width));
                for (((dy, x), dx), &r) in input.zip(dx.chunks_exact_mut(width)).zip(rstd) {
                    // dx = r g − x (r³ mean(g x)), with g = dy w.
                    let pull = dot3(dy, weight, x) / width as f32 * r * r * r;
                    let terms =
                        dy.iter().zip(weight).zip(x).map(|((dy, w), x)| r * dy * w - pull * x);
                    match write {
                        Write::Overwrite => {
                            dx.iter_mut().zip(terms).for_each(|(dx, term)| *dx = term)
                        }
                        Write::Add => dx.iter_mut().zip(terms).for_each(|(dx, term)| *dx += term),
                    }
                }
            },
        );
    });
}

pub(super) fn backward_weight(dy: &[f32], x: &[f32], rstd: &[f32], dweight: &mut [f32]) {
    let width = dweight.len();
    let rows = rows_per_task(width);
    if width == 0 {
        return;
    }
    // One partial sum a task, added in task order: the number of threads cannot show.
    let partials: Vec<Vec<f32>> = dy
        .par_chunks(rows * width)
        .zip(x.par_chunks(rows * width))
        .zip(rstd.par_chunks(rows))
        .map(|((dy, x), rstd)| {
            let mut partial = vec![0.0f32; width];
            simd(
                #[inline(always)]
                || {
                    let row = dy.chunks_exact(width).zip(x.chunks_exact(width)).zip(rstd);
                    for ((dy, x), r) in row {
                        for ((sum, dy), x) in partial.iter_mut().zip(dy).zip(x) {
                            *sum += dy * x * r;
                        }
                    }
                },
            );
            partial
        })
        .collect();
    for partial in partials {
        dweight.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
    }
}
