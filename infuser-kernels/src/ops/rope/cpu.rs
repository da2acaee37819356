//! The CPU side of [`super`].

use rayon::prelude::*;

use super::Direction;
use crate::simd::simd;

/// Rows one task turns.
const TASK_ROWS: usize = 64;

pub(super) fn apply(
    x: &mut [f32],
    positions: &[u32],
    [cos, sin]: [&[f32]; 2],
    [heads, width]: [usize; 2],
    direction: Direction,
) {
    let (row_len, half) = (heads * width, width / 2);
    if row_len == 0 {
        return;
    }
    let sign = match direction {
        Direction::Forward => 1.0f32,
        Direction::Backward => -1.0,
    };
    let tasks = x.par_chunks_mut(TASK_ROWS * row_len).zip(positions.par_chunks(TASK_ROWS));
    tasks.for_each(|(rows, positions)| {
        simd(|| {
            for (row, &position) in rows.chunks_exact_mut(row_len).zip(positions) {
                let at = position as usize * half..(position as usize + 1) * half;
                let (cos, sin) = (&cos[at.clone()], &sin[at]);
                for head in row.chunks_exact_mut(width) {
                    let (low, high) = head.split_at_mut(half);
                    let lanes = low.iter_mut().zip(high).zip(cos.iter().zip(sin));
                    for ((a, b), (cos, sin)) in lanes {
                        let sin = sign * sin;
                        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                    }
                }
            }
        });
    });
}
