//! The CPU side of [`super`]: one pass over all elements, rows do not matter.

use rayon::prelude::*;

use crate::simd::{sigmoid, simd};

/// Elements one task works on, whatever the number of threads.
const TASK: usize = 16 * 1024;

pub(super) fn forward(gate: &[f32], up: &[f32], out: &mut [f32]) {
    let inputs = gate.par_chunks(TASK).zip(up.par_chunks(TASK));
    let tasks = out.par_chunks_mut(TASK).zip(inputs);
    tasks.for_each(|(out, (gate, up))| stretch(gate, up, out));
}

/// [`forward`] on this thread.
pub(super) fn stretch(gate: &[f32], up: &[f32], out: &mut [f32]) {
    simd(
        #[inline(always)]
        || {
            for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
                *out = g * sigmoid(g) * u;
            }
        },
    );
}

pub(super) fn backward(dout: &[f32], gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    let inputs = dout.par_chunks(TASK).zip(gate.par_chunks(TASK)).zip(up.par_chunks(TASK));
    let outputs = dgate.par_chunks_mut(TASK).zip(dup.par_chunks_mut(TASK));
    outputs.zip(inputs).for_each(|((dgate, dup), ((dout, gate), up))| {
        simd(
            #[inline(always)]
            || {
                let input = dout.iter().zip(gate).zip(up);
                for ((dgate, dup), ((&d, &g), &u)) in dgate.iter_mut().zip(dup).zip(input) {
                    let s = sigmoid(g);
                    *dgate = d * u * (s * (g * (1.0 - s) + 1.0));
                    *dup = d * (g * s);
                }
            },
        );
    });
}
