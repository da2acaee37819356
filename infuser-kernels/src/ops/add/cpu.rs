//! The CPU side of [`super`]: one pass over all elements.

use rayon::prelude::*;

use crate::simd::simd;

/// Elements one task works on, whatever the number of threads.
const TASK: usize = 16 * 1024;

pub(super) fn add(x: &[f32], out: &mut [f32]) {
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(out, x)| {
        simd(
            #[inline(always)]
            || out.iter_mut().zip(x).for_each(|(out, x)| *out += x),
        );
    });
}

pub(super) fn scale(factor: f32, x: &mut [f32]) {
    x.par_chunks_mut(TASK).for_each(|x| {
        simd(
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x *= factor),
        );
    });
}
