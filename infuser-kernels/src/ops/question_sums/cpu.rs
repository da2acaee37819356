//! The CPU side of [`super`]: tiles in parallel, each with all questions in turn, so that the tile of
//! target and mean square is read from memory once for many questions.

use rayon::prelude::*;

use super::{Against, Questions, Touched};
use crate::{
    Write,
    error::Result,
    ops::{
        influence::{
            Sums,
            cpu::{Factors, Lanes},
        },
        matmul::{Factor, block},
    },
    simd::simd,
};

/// Rows and columns of a tile. Gradient, target and mean square of one together fill a part of the
/// second-level cache, and its sides are long enough for the product's kernels.
const TILE: [usize; 2] = [128, 256];

/// Tasks from which on questions need not be shared out as well.
const TASKS: usize = 64;

/// What a gradient is compared with, as slices.
pub(super) struct Slices<'a> {
    factors: Factors,
    target: &'a [f32],
    exp_avg_sq: Option<&'a [f32]>,
}

impl<'a> Slices<'a> {
    pub(super) fn new(op: &'static str, against: &Against<'a>) -> Result<Self> {
        Ok(Self {
            factors: Factors::new(&against.preconditioner),
            target: against.target.f32(op, "target")?,
            exp_avg_sq: against.exp_avg_sq.map(|v| v.f32(op, "exp_avg_sq")).transpose()?,
        })
    }

    /// Adds the sums of a piece of gradient that lies at `start` of the tensor.
    #[inline(always)]
    fn add(&self, lanes: &mut Lanes, gradient: &[f32], start: usize) {
        let here = start..start + gradient.len();
        let v = self.exp_avg_sq.map(|v| &v[here.clone()]);
        lanes.add_slices(self.factors, gradient, v, &self.target[here]);
    }
}

/// A part of the output: rows and columns of a tile, and some questions.
struct Task {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    questions: std::ops::Range<usize>,
}

/// Tasks in the order in which their sums are added. What one question gets from a tile does not
/// depend on how questions are shared out.
fn tasks([n, k]: [usize; 2], questions: usize) -> Vec<Task> {
    let tiles = n.div_ceil(TILE[0]) * k.div_ceil(TILE[1]);
    let parts = TASKS.div_ceil(tiles.max(1)).min(questions.max(1));
    let mut tasks = Vec::with_capacity(tiles * parts);
    for row in (0..n).step_by(TILE[0]) {
        for column in (0..k).step_by(TILE[1]) {
            tasks.extend((0..parts).map(|part| Task {
                rows: row..n.min(row + TILE[0]),
                columns: column..k.min(column + TILE[1]),
                questions: part * questions / parts..(part + 1) * questions / parts,
            }));
        }
    }
    tasks
}

pub(super) fn linear(
    [dy, x]: [&[f32]; 2],
    [n, k]: [usize; 2],
    questions: &Questions,
    slices: &Slices<'_>,
    sums: &mut [Sums],
) {
    let tasks = tasks([n, k], questions.len());
    let scratch = || vec![0.0f32; TILE[0].min(n) * TILE[1].min(k)];
    let one = |gradient: &mut Vec<f32>, task: &Task| -> Vec<Sums> {
        let (rows, columns) = (task.rows.len(), task.columns.len());
        let gradient = &mut gradient[..rows * columns];
        let each = task.questions.clone().map(|question| {
            let ranges = questions.ranges(question);
            if ranges.is_empty() {
                return Sums::default();
            }
            let mut write = Write::Overwrite;
            for range in ranges {
                let dy = &dy[range.start * n + task.rows.start..];
                let x = &x[range.start * k + task.columns.start..];
                let a = Factor { data: dy, rows: 1, cols: n };
                let b = Factor { data: x, rows: k, cols: 1 };
                block([rows, columns, range.len()], a, b, gradient, columns, write);
                write = Write::Add;
            }
            simd(
                #[inline(always)]
                || {
                    let mut lanes = Lanes::default();
                    for (row, gradient) in task.rows.clone().zip(gradient.chunks_exact(columns)) {
                        slices.add(&mut lanes, gradient, row * k + task.columns.start);
                    }
                    lanes.sums()
                },
            )
        });
        each.collect()
    };
    let partials: Vec<Vec<Sums>> = tasks.par_iter().map_init(scratch, one).collect();
    for (task, partial) in tasks.iter().zip(partials) {
        for (sum, part) in sums[task.questions.clone()].iter_mut().zip(partial) {
            *sum += part;
        }
    }
}

pub(super) fn take_rows(
    (dy, n): (&mut [f32], usize),
    x: &[f32],
    questions: &Questions,
    (touched, first): (&[Touched], usize),
    rows: &mut [f32],
) {
    if touched.is_empty() {
        return;
    }
    let k = rows.len() / touched.len();
    let values: &[f32] = dy;
    if k > 0 {
        rows.par_chunks_exact_mut(k).zip(touched).for_each(|(row, touched)| {
            let column = touched.id as usize - first;
            simd(
                #[inline(always)]
                || {
                    for t in questions.ranges(touched.question as usize).iter().cloned().flatten() {
                        let factor = values[t * n + column];
                        let x = &x[t * k..][..k];
                        row.iter_mut().zip(x).for_each(|(row, x)| *row = factor.mul_add(*x, *row));
                    }
                },
            );
        });
    }
    for touched in touched {
        let column = touched.id as usize - first;
        for t in questions.ranges(touched.question as usize).iter().cloned().flatten() {
            dy[t * n + column] = 0.0;
        }
    }
}

pub(super) fn touched(
    rows: &[f32],
    k: usize,
    touched: &[Touched],
    slices: &Slices<'_>,
    sums: &mut [Sums],
) {
    if k == 0 {
        return;
    }
    let one = |(row, touched): (&[f32], &Touched)| {
        simd(
            #[inline(always)]
            || {
                let mut lanes = Lanes::default();
                slices.add(&mut lanes, row, touched.id as usize * k);
                lanes.sums()
            },
        )
    };
    let partials: Vec<Sums> = rows.par_chunks_exact(k).zip(touched).map(one).collect();
    for (touched, part) in touched.iter().zip(partials) {
        sums[touched.question as usize] += part;
    }
}
