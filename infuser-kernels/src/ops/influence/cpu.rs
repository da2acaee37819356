//! The CPU side of [`super`]: f64 lanes within a task, tasks added in order.

use rayon::prelude::*;

use super::{Preconditioner, Sums};
use crate::simd::simd;

/// Elements one task works on, whatever the number of threads.
const TASK: usize = 16 * 1024;

/// Partial sums of each kind within a task; with four kinds, eight AVX-512 registers.
const LANES: usize = 16;

/// `v̂ = keep · v + square · g²`.
#[derive(Clone, Copy)]
pub(crate) struct Factors {
    pub(crate) keep: f64,
    pub(crate) square: f64,
    pub(crate) epsilon: f64,
}

impl Factors {
    pub(crate) fn new(preconditioner: &Preconditioner) -> Self {
        let Preconditioner { beta2, epsilon, step } = *preconditioner;
        let correction = 1.0 - beta2.powf(step as f64 + 1.0);
        Self { keep: beta2 / correction, square: (1.0 - beta2) / correction, epsilon }
    }
}

/// The four sums on their way, lane by lane.
#[derive(Default)]
pub(crate) struct Lanes {
    dot: [f64; LANES],
    gradient_sq: [f64; LANES],
    gamma_dot: [f64; LANES],
    gamma_sq: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, f: Factors, g: &[f32; LANES], v: &[f32; LANES], m: &[f32; LANES]) {
        for i in 0..LANES {
            let (g, v, m) = (f64::from(g[i]), f64::from(v[i]), f64::from(m[i]));
            let square = g * g;
            let denominator = (f.keep * v + f.square * square).sqrt() + f.epsilon;
            let gamma = if denominator == 0.0 { 0.0 } else { g / denominator };
            self.dot[i] += g * m;
            self.gradient_sq[i] += square;
            self.gamma_dot[i] += gamma * m;
            self.gamma_sq[i] += gamma * gamma;
        }
    }

    /// Adds the elements of three slices of one length.
    #[inline(always)]
    pub(crate) fn add_slices(&mut self, f: Factors, g: &[f32], v: Option<&[f32]>, m: &[f32]) {
        let (g_chunks, g_tail) = g.as_chunks::<LANES>();
        let (m_chunks, m_tail) = m.as_chunks::<LANES>();
        if let Some(v) = v {
            let (v_chunks, v_tail) = v.as_chunks::<LANES>();
            for ((g, v), m) in g_chunks.iter().zip(v_chunks).zip(m_chunks) {
                self.add(f, g, v, m);
            }
            if !g_tail.is_empty() {
                self.add(f, &padded(g_tail), &padded(v_tail), &padded(m_tail));
            }
        } else {
            for (g, m) in g_chunks.iter().zip(m_chunks) {
                self.add(f, g, &[0.0; LANES], m);
            }
            if !g_tail.is_empty() {
                self.add(f, &padded(g_tail), &[0.0; LANES], &padded(m_tail));
            }
        }
    }

    /// The sums over all lanes.
    pub(crate) fn sums(&self) -> Sums {
        let sum = |lanes: &[f64; LANES]| lanes.iter().sum();
        Sums {
            dot: sum(&self.dot),
            gradient_sq: sum(&self.gradient_sq),
            gamma_dot: sum(&self.gamma_dot),
            gamma_sq: sum(&self.gamma_sq),
        }
    }
}

/// The last, incomplete chunk, filled up with zeros: those add nothing to any sum.
fn padded(tail: &[f32]) -> [f32; LANES] {
    let mut chunk = [0.0; LANES];
    chunk[..tail.len()].copy_from_slice(tail);
    chunk
}

pub(super) fn sums(
    gradient: &[f32],
    exp_avg_sq: Option<&[f32]>,
    target: &[f32],
    preconditioner: &Preconditioner,
) -> Sums {
    let factors = Factors::new(preconditioner);
    let tasks = gradient.par_chunks(TASK).zip(target.par_chunks(TASK)).enumerate();
    let partials: Vec<Sums> = tasks
        .map(|(i, (g, m))| {
            let v = exp_avg_sq.map(|v| &v[i * TASK..i * TASK + g.len()]);
            simd(
                #[inline(always)]
                || {
                    let mut lanes = Lanes::default();
                    lanes.add_slices(factors, g, v, m);
                    lanes.sums()
                },
            )
        })
        .collect();
    let mut total = Sums::default();
    for partial in partials {
        total += partial;
    }
    total
}
