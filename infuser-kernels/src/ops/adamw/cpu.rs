//! The CPU side of [`super`]: one fused pass, elementwise in f32.

use rayon::prelude::*;

use super::AdamW;
use crate::simd::simd;

/// Elements one task works on, whatever the number of threads.
const TASK: usize = 16 * 1024;

/// What a step multiplies with: computed in f64, rounded once.
pub(crate) struct Factors {
    pub(crate) gradient_scale: f32,
    /// `1 − η λ`.
    pub(crate) keep: f32,
    /// `1 − β₁`.
    pub(crate) lerp: f32,
    /// `1 −` the rounded `1 − β₁`.
    pub(crate) unlerp: f32,
    pub(crate) beta2: f32,
    /// `1 − β₂`.
    pub(crate) square: f32,
    /// `√(1 − β₂ᵗ)`.
    pub(crate) correction: f32,
    pub(crate) epsilon: f32,
    /// `−η / (1 − β₁ᵗ)`.
    pub(crate) step_size: f32,
}

impl Factors {
    pub(crate) fn new(hyper: &AdamW, step: u64, gradient_scale: f32) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        let lerp = (1.0 - hyper.beta1) as f32;
        Self {
            gradient_scale,
            keep: (1.0 - hyper.learning_rate * hyper.weight_decay) as f32,
            lerp,
            unlerp: 1.0 - lerp,
            beta2: hyper.beta2 as f32,
            square: (1.0 - hyper.beta2) as f32,
            correction: correction(hyper.beta2).sqrt() as f32,
            epsilon: hyper.epsilon as f32,
            step_size: (-hyper.learning_rate / correction(hyper.beta1)) as f32,
        }
    }
}

/// torch's `lerp` from `m` to `g`: from the nearer end, so that a weight of 1 gives `g` exactly.
#[inline(always)]
fn lerp(f: &Factors, m: f32, g: f32) -> f32 {
    if f.lerp < 0.5 { m + f.lerp * (g - m) } else { g - (g - m) * f.unlerp }
}

pub(super) fn step(
    f: &Factors,
    gradient: &[f32],
    weight: &mut [f32],
    exp_avg: &mut [f32],
    exp_avg_sq: &mut [f32],
) {
    let moments = exp_avg.par_chunks_mut(TASK).zip(exp_avg_sq.par_chunks_mut(TASK));
    let tasks = gradient.par_chunks(TASK).zip(weight.par_chunks_mut(TASK)).zip(moments);
    tasks.for_each(|((gradient, weight), (exp_avg, exp_avg_sq))| {
        simd(
            #[inline(always)]
            || {
                let moments = exp_avg.iter_mut().zip(exp_avg_sq);
                for ((g, w), (m, v)) in gradient.iter().zip(weight).zip(moments) {
                    let g = f.gradient_scale * g;
                    *m = lerp(f, *m, g);
                    *v = *v * f.beta2 + f.square * g * g;
                    let denominator = v.sqrt() / f.correction + f.epsilon;
                    *w = *w * f.keep + f.step_size * *m / denominator;
                }
            },
        );
    });
}
