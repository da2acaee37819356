//! Products whose rows do not know of each other.
//!
//! An element is one fused multiply-add after another, in the order of the inner axis, whatever the
//! shapes, the tile it falls in, the thread and the width of the processor's vectors. So a row of a
//! product has the same bits alone, in a batch, in decoding and in training.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    COMBINED, Output, Target, combine_panels, combined_fits,
    tile::{Ahead, MAX_ROWS, PANEL, Rows, Tile, accumulate, passes},
};
use crate::{
    Dims, Write,
    error::Result,
    lines::{LINE, Lines},
    simd::FIRST_LEVEL,
};

/// Rows of the left factor that one task takes: their values stay in the second-level cache.
const BLOCK_ROWS: usize = 96;

/// Multiply-adds that are worth handing to another thread.
const TASK_WORK: usize = 1 << 18;

/// Cache lines of a row of a panel.
const ROW_LINES: usize = PANEL / LINE;

/// How many rows of a panel are fetched ahead where each is used once.
const AHEAD: usize = 48;

/// A weight `[N, K]` as panels of [`PANEL`] of its rows, each `[K, PANEL]`; the last is filled up with
/// zeros.
#[derive(Debug)]
pub(crate) struct Panels {
    values: Lines,
}

impl Panels {
    pub(crate) fn new(w: &[f32], [n, k]: [usize; 2]) -> Result<Self> {
        let mut values = Lines::zeros(Dims::new(&[n.div_ceil(PANEL) * k, PANEL])?)?;
        if k > 0 {
            values
                .par_chunks_mut(PANEL * k)
                .zip(w.par_chunks(PANEL * k))
                .for_each(|(panel, rows)| pack(panel, rows, k));
        }
        Ok(Self { values })
    }

    pub(crate) fn bytes_of([n, k]: [usize; 2]) -> u128 {
        (n.div_ceil(PANEL) * PANEL) as u128 * k as u128 * size_of::<f32>() as u128
    }

    pub(crate) fn size_bytes(&self) -> usize {
        size_of_val(&self.values[..])
    }

    /// Whether this can be a weight of these sizes.
    pub(super) fn holds(&self, [n, k]: [usize; 2]) -> bool {
        self.values.len() == n.div_ceil(PANEL) * PANEL * k
    }

    /// All panels, one after another.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Panel `index` of a weight with an inner axis of `k`; empty after the last.
    pub(super) fn panel(&self, index: usize, k: usize) -> &[f32] {
        self.values.chunks_exact(PANEL * k).nth(index).unwrap_or_default()
    }
}

/// Up to [`PANEL`] rows of `k` values as a panel.
pub(crate) fn pack(panel: &mut [f32], rows: &[f32], k: usize) {
    /// Columns at a time, so that both sides stay in the first-level cache.
    const BLOCK: usize = 64;
    for from in (0..k).step_by(BLOCK) {
        let to = (from + BLOCK).min(k);
        for (j, row) in rows.chunks_exact(k).enumerate() {
            for (column, value) in row[from..to].iter().enumerate() {
                panel[(from + column) * PANEL + j] = *value;
            }
        }
    }
}

/// `y (+)= x wᵀ`, with `w` in panels.
pub(in crate::ops) fn product(
    [m, n, k]: [usize; 3],
    x: &[f32],
    w: &Panels,
    y: &mut [f32],
    write: Write,
) {
    assert!(x.len() == m * k && y.len() == m * n && w.holds([n, k]), "rows::product: sizes");
    if m == 0 || n == 0 || k == 0 {
        return if write == Write::Overwrite {
            y.fill(0.0)
        };
    }
    let (blocks, panels) = (m.div_ceil(BLOCK_ROWS), n.div_ceil(PANEL));
    let rows = m.min(BLOCK_ROWS);
    let together = TASK_WORK.div_ceil(rows * PANEL * k).min(panels);
    let across = panels.div_ceil(together);
    let target = Target::whole(Output(y.as_mut_ptr()), n);
    in_tasks([blocks, across], |block, group| {
        let rows = block * m / blocks..(block + 1) * m / blocks;
        let panels = group * panels / across..(group + 1) * panels / across;
        pulp::Arch::new().dispatch(Part { rows, panels, sizes: [n, k], x, w, target, write });
    });
}

/// Runs `f` for all blocks of rows and all groups of panels.
fn in_tasks([blocks, across]: [usize; 2], f: impl Fn(usize, usize) + Sync) {
    match blocks * across {
        1 => f(0, 0),
        tasks => (0..tasks).into_par_iter().for_each(|task| f(task / across, task % across)),
    }
}

/// What `combine` makes of `x wᵀ` for two weights.
pub(in crate::ops) fn combined(
    [m, n, k]: [usize; 3],
    x: &[f32],
    weights: [&Panels; 2],
    out: &mut [f32],
    combine: impl Fn([&[f32]; 2], &mut [f32]) + Sync,
) {
    assert!(combined_fits([m, n, k], x, weights, out), "rows::combined: sizes");
    let (blocks, panels) = (m.div_ceil(BLOCK_ROWS), n.div_ceil(PANEL));
    let across = panels.div_ceil(COMBINED);
    let output = Output(out.as_mut_ptr());
    in_tasks([blocks, across], |block, group| {
        let rows = block * m / blocks..(block + 1) * m / blocks;
        let panels = group * COMBINED..panels.min((group + 1) * COMBINED);
        let multiply = |which: usize, panels, target| {
            let (w, write) = (weights[which], Write::Overwrite);
            let rows = rows.clone();
            pulp::Arch::new().dispatch(Part { rows, panels, sizes: [n, k], x, w, target, write });
        };
        combine_panels((rows.clone(), panels), (n, output), multiply, &combine);
    });
}

/// What one task computes.
struct Part<'a> {
    rows: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
    /// N and K.
    sizes: [usize; 2],
    x: &'a [f32],
    w: &'a Panels,
    target: Target,
    write: Write,
}

impl Part<'_> {
    /// What to fetch while so many rows, one of `parts`, meet the first panel of `w`: a share of the next panel, so
    /// that memory is never idle; a single pass stays a little ahead of itself.
    #[inline(always)]
    fn ahead<'w, S: Simd>(
        &self,
        w: &'w [f32],
        [part, parts]: [usize; 2],
        rows: usize,
    ) -> Ahead<'w, FIRST_LEVEL> {
        let [_, k] = self.sizes;
        let next = if parts == 1 && passes::<S>(rows) == 1 {
            w.get(AHEAD * PANEL..w.len().min((AHEAD + k) * PANEL))
        } else {
            let [from, to] = [part, part + 1].map(|part| part * k * ROW_LINES / parts * LINE);
            w.get(PANEL * k + from..PANEL * k + to)
        };
        Ahead([next.unwrap_or_default(), &[]])
    }
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [n, k] = self.sizes;
        let mut tile: Tile = [[0.0; PANEL]; MAX_ROWS];
        let parts = self.rows.len().div_ceil(MAX_ROWS);
        for panel in self.panels.clone() {
            let w = &self.w.values[panel * PANEL * k..];
            let w = Rows { data: w, stride: PANEL };
            let columns = panel * PANEL..(panel * PANEL + PANEL).min(n);
            for part in 0..parts {
                let from = self.rows.start + part * self.rows.len() / parts;
                let to = self.rows.start + (part + 1) * self.rows.len() / parts;
                let x = Rows { data: &self.x[from * k..], stride: k };
                for (row, tile) in (from..to).zip(&mut tile) {
                    match self.write {
                        Write::Overwrite => *tile = [0.0; PANEL],
                        Write::Add => {
                            // SAFETY: as below; this reads what this task alone writes.
                            let y = unsafe { self.target.columns(row, &columns) };
                            tile[..y.len()].copy_from_slice(y);
                        }
                    }
                }
                let ahead = self.ahead::<S>(w.data, [part, parts], to - from);
                accumulate(simd, [to - from, k], x, w, &mut tile, ahead);
                for (row, tile) in (from..to).zip(&tile) {
                    // SAFETY: the row is below m and the columns below n, so they are inside the target,
                    // which has room for this part; no other task has both this row and these columns.
                    let y = unsafe { self.target.columns(row, &columns) };
                    y.copy_from_slice(&tile[..y.len()]);
                }
            }
        }
    }
}
