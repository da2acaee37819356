//! The CPU side of [`super`]: f64 lanes within a task, tasks added in order.

use rayon::prelude::*;

use crate::simd::simd;

/// Elements one task works on, whatever the number of threads.
const TASK: usize = 16 * 1024;

/// Partial sums within a task; four AVX-512 registers.
const LANES: usize = 32;

#[inline(always)]
fn add_squares(lanes: &mut [f64; LANES], x: &[f32; LANES]) {
    for (lane, &x) in lanes.iter_mut().zip(x) {
        *lane += f64::from(x) * f64::from(x);
    }
}

#[inline(always)]
fn task(x: &[f32]) -> f64 {
    let (chunks, tail) = x.as_chunks::<LANES>();
    let mut lanes = [0.0f64; LANES];
    for chunk in chunks {
        add_squares(&mut lanes, chunk);
    }
    let mut padded = [0.0f32; LANES];
    padded[..tail.len()].copy_from_slice(tail);
    add_squares(&mut lanes, &padded);
    lanes.iter().sum()
}

pub(super) fn sum_of_squares(x: &[f32]) -> f64 {
    let partials: Vec<f64> = x
        .par_chunks(TASK)
        .map(|x| {
            simd(
                #[inline(always)]
                || task(x),
            )
        })
        .collect();
    partials.iter().fold(0.0, |sum, part| sum + part)
}
