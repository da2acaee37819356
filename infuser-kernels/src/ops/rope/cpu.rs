//! The CPU side of [`super`]: tokens in parallel, one row of the tables for all heads of a token.

use rayon::prelude::*;

use super::Direction;
use crate::simd::simd;

/// Rows one task works on, whatever the number of threads: about 16k elements.
fn rows_per_task(width: usize) -> usize {
    (16 * 1024 / width.max(1)).max(1)
}

pub(super) fn tables(frequencies: &[f32], factor: f32, cos: &mut [f32], sin: &mut [f32]) {
    let width = frequencies.len();
    if width == 0 {
        return;
    }
    let rows = cos.par_chunks_exact_mut(width).zip(sin.par_chunks_exact_mut(width));
    rows.enumerate().for_each(|(position, (cos, sin))| {
        for ((cos, sin), frequency) in cos.iter_mut().zip(sin).zip(frequencies) {
            let angle = f64::from(position as f32 * frequency);
            *cos = (angle.cos() * f64::from(factor)) as f32;
            *sin = (angle.sin() * f64::from(factor)) as f32;
        }
    });
}

/// Rotates one head; `sign` is -1 to rotate back.
#[inline(always)]
fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let (low, high) = head.split_at_mut(cos.len());
    for (((x, y), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        let s = sign * s;
        (*x, *y) = (*x * c - *y * s, *y * c + *x * s);
    }
}

pub(super) fn apply(
    x: &mut [f32],
    [heads, width]: [usize; 2],
    positions: &[u32],
    (cos, sin): (&[f32], &[f32]),
    direction: Direction,
) {
    let (token, half) = (heads * width, width / 2);
    if token == 0 {
        return;
    }
    let sign = match direction {
        Direction::Forward => 1.0,
        Direction::Backward => -1.0,
    };
    let rows = rows_per_task(token);
    x.par_chunks_mut(rows * token).zip(positions.par_chunks(rows)).for_each(|(x, positions)| {
        simd(
            #[inline(always)]
            || {
                for (x, &position) in x.chunks_exact_mut(token).zip(positions) {
                    let start = position as usize * half;
                    let (cos, sin) = (&cos[start..][..half], &sin[start..][..half]);
                    x.chunks_exact_mut(width).for_each(|head| rotate(head, cos, sin, sign));
                }
            },
        );
    });
}
