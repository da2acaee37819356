//! Products of f32 from the tiles of bf16 products that some processors have (Intel AMX), as exact as
//! chains of multiply-adds and several times as fast.
//!
//! Both factors are split into three bf16 parts ([`split`]); of the nine products of parts the six that
//! reach f32's last bit are summed, small ones first, chunk after chunk of the inner axis. An element
//! depends on its row and its column alone and the order never changes, so a row of a product has the
//! same bits alone, in a batch, in decoding and in training, on every processor that has such tiles; they
//! are not the bits of [`rows`](super::rows). The tests hold a plain twin.

#[cfg(test)]
mod tests;
mod tiles;

use std::{cell::Cell, ops::Range};

use rayon::prelude::*;

pub(super) use tiles::available;

use self::tiles::Tiles;
use super::{
    Output, Product, Target, combine_panels, combined_fits,
    rows::Panels,
    split::{DEPTH, LEFT_ROWS, Left, Right},
    tile::PANEL,
};
use crate::{
    Write,
    simd::{SECOND_LEVEL, prefetch, simd},
    threads::with_scratch,
};

/// Rows of the left factor that one task takes: their parts stay in the second-level cache.
const BLOCK_ROWS: usize = 128;

/// Multiply-adds that are worth handing to another thread.
const TASK_WORK: usize = 1 << 20;

/// Chunks of a weight between what is split and what is asked for.
const AHEAD: usize = 12;

/// Rows of a panel between two lines that are asked for.
const APART: usize = 8;

/// Multiply-adds beside which splitting the rows does not count.
const WORTH_SPLITTING: usize = 1 << 25;

/// `y (+)= x wᵀ` for each of some weights.
///
/// # Panics
/// If the sizes do not fit or this processor has no tiles: faults of this crate, not of its user.
pub(super) fn products([m, k]: [usize; 2], x: &[f32], products: &mut [Product<'_>], write: Write) {
    let weights: Vec<Weight<'_>> =
        products.iter_mut().map(|product| product.weight([m, k], write)).collect();
    if m == 0 || k == 0 {
        return;
    }
    let panels = weights.iter().map(|weight| weight.n.div_ceil(PANEL)).sum();
    in_tasks([m, k], x, panels, 1, |task| {
        let mut before = 0;
        for weight in &weights {
            let own = weight.n.div_ceil(PANEL);
            let within = |at: usize| at.clamp(before, before + own) - before;
            let panels = within(task.panels.start)..within(task.panels.end);
            task.multiply(weight, panels);
            before += own;
        }
    });
}

/// What `combine` makes of `x wᵀ` for two weights.
///
/// # Panics
/// As [`products`].
pub(super) fn combined(
    [m, n, k]: [usize; 3],
    x: &[f32],
    weights: [&Panels; 2],
    out: &mut [f32],
    combine: impl Fn([&[f32]; 2], &mut [f32]) + Sync,
) {
    assert!(combined_fits([m, n, k], x, weights, out), "amx::combined: sizes");
    let output = Output(out.as_mut_ptr());
    in_tasks([m, k], x, n.div_ceil(PANEL), 2, |task| {
        let multiply = |which: usize, panels, target| {
            let weight = Weight { w: weights[which], n, target, write: Write::Overwrite };
            task.multiply(&weight, panels);
        };
        let here = (task.rows.clone(), task.panels.clone());
        combine_panels(here, (n, output), multiply, &combine);
    });
}

/// A [`Product`] for the tasks that write parts of it.
struct Weight<'a> {
    w: &'a Panels,
    n: usize,
    target: Target,
    write: Write,
}

impl Product<'_> {
    /// Checks the sizes; an empty sum is done here.
    fn weight(&mut self, [m, k]: [usize; 2], write: Write) -> Weight<'_> {
        let Self { w, n, y } = self;
        assert!(y.len() == m * *n && w.holds([*n, k]), "amx: sizes");
        if k == 0 && write == Write::Overwrite {
            y.fill(0.0);
        }
        let target = Target::whole(Output(y.as_mut_ptr()), *n);
        Weight { w, n: *n, target, write }
    }
}

/// Runs `f` for tasks that together have all rows of `x` and all of `panels`, of `weights` weights each.
fn in_tasks(
    [m, k]: [usize; 2],
    x: &[f32],
    panels: usize,
    weights: usize,
    f: impl Fn(&Task<'_>) + Sync,
) {
    assert!(available(), "amx: no tiles");
    assert!(x.len() == m * k, "amx: sizes");
    let blocks = m.div_ceil(BLOCK_ROWS);
    // Each task splits its rows for itself: fetching the parts from another core's cache would take
    // longer. So there are no more tasks than threads, or their work is worth it.
    let work = weights * panels * PANEL * k * m.clamp(2 * LEFT_ROWS, BLOCK_ROWS);
    let most = rayon::current_num_threads().max(work / WORTH_SPLITTING);
    let across = panels.min(most).min(work.div_ceil(TASK_WORK)).max(1);
    let task = |task: usize| {
        let (block, group) = (task / across, task % across);
        let rows = block * m / blocks..(block + 1) * m / blocks;
        let panels = group * panels / across..(group + 1) * panels / across;
        with_scratch(&LEFT, |left| {
            // Rows that a tile has beyond the last keep what was there: nobody reads their sums.
            let len = rows.len().div_ceil(LEFT_ROWS) * k.div_ceil(DEPTH);
            left.resize(left.len().max(len), Left::ZERO);
            Left::split(&x[rows.start * k..rows.end * k], k, left);
            f(&Task { rows, panels, k, left: &left[..len], tiles: Tiles::new() });
        });
    };
    match blocks * across {
        1 => task(0),
        tasks => (0..tasks).into_par_iter().with_max_len(1).for_each(task),
    }
}

thread_local! {
    static LEFT: Cell<Vec<Left>> = const { Cell::new(Vec::new()) };
    static RIGHT: Cell<Vec<Right>> = const { Cell::new(Vec::new()) };
}

/// Some rows and some panels, for one thread.
struct Task<'a> {
    rows: Range<usize>,
    panels: Range<usize>,
    k: usize,
    /// The rows, split.
    left: &'a [Left],
    tiles: Tiles,
}

impl Task<'_> {
    /// The products of the rows with some panels of a weight.
    fn multiply(&self, weight: &Weight<'_>, panels: Range<usize>) {
        if panels.is_empty() {
            return;
        }
        let chunks = self.k.div_ceil(DEPTH);
        let part = Part { rows: self.rows.clone(), panels, k: self.k, weight };
        with_scratch(&RIGHT, |right| {
            // A strip of two tiles of rows needs a chunk and the one after it; several strips a whole
            // panel and the first chunk of the next.
            let slots = if self.left.len() <= 2 * chunks { 2 } else { chunks + 1 };
            right.resize(right.len().max(slots), Right::ZERO);
            simd(
                #[inline(always)]
                || part.multiply(&self.tiles, self.left, &mut right[..slots]),
            );
        });
    }
}

/// Some rows, and some panels of one weight.
struct Part<'a> {
    rows: Range<usize>,
    panels: Range<usize>,
    k: usize,
    weight: &'a Weight<'a>,
}

impl Part<'_> {
    /// All panels in turn. While one chunk of a panel is multiplied, the next is split.
    #[inline(always)]
    fn multiply(&self, tiles: &Tiles, left: &[Left], right: &mut [Right]) {
        let n = self.weight.n;
        let chunks = self.k.div_ceil(DEPTH);
        let mut padded = [[0.0; PANEL]; DEPTH];
        right[0].split(self.depth(self.panels.start, 0, &mut padded));
        let (mut first, mut edge) = (0, Sums::ZERO);
        for panel in self.panels.clone() {
            let columns = panel * PANEL..(panel * PANEL + PANEL).min(n);
            for (strip, left) in left.chunks(2 * chunks).enumerate() {
                let from = self.rows.start + strip * 2 * LEFT_ROWS;
                let rows = from..(from + 2 * LEFT_ROWS).min(self.rows.end);
                let (upper, lower) = left.split_at(chunks);
                self.begin(tiles, &rows, &columns, &mut edge);
                for (chunk, left) in upper.iter().enumerate() {
                    let slot = (first + chunk) % right.len();
                    let a = [left, lower.get(chunk).unwrap_or(left)];
                    let last = panel + 1 == self.panels.end && chunk + 1 == chunks;
                    if strip > 0 || last {
                        tiles.add(a, lower.is_empty(), &right[slot], drop);
                        continue;
                    }
                    self.fetch(panel, chunk);
                    let ahead = self.depth(panel, chunk + 1, &mut padded);
                    let [now, next] = pair(right, slot);
                    tiles.add(
                        a,
                        lower.is_empty(),
                        now,
                        #[inline(always)]
                        |steps| next.split_steps(ahead, steps),
                    );
                }
                self.end(tiles, &rows, &columns, &mut edge);
            }
            first = (first + chunks) % right.len();
        }
    }

    /// The rows of a chunk of a panel; the first after a panel's last is the next panel's first. What
    /// is missing of a panel's last chunk is filled up in `padded`.
    #[inline(always)]
    fn depth<'s>(
        &'s self,
        panel: usize,
        chunk: usize,
        padded: &'s mut [[f32; PANEL]; DEPTH],
    ) -> &'s [[f32; PANEL]; DEPTH] {
        let (k, chunks) = (self.k, self.k.div_ceil(DEPTH));
        let (panel, chunk) = (panel + chunk / chunks, chunk % chunks);
        let (rows, _) = self.weight.w.panel(panel, k).as_chunks::<PANEL>();
        let rows = &rows[chunk * DEPTH..k.min(chunk * DEPTH + DEPTH)];
        if let Some(rows) = rows.as_array() {
            return rows;
        }
        padded[..rows.len()].copy_from_slice(rows);
        padded[rows.len()..].fill([0.0; PANEL]);
        padded
    }

    /// Asks for a few lines of the weights that are needed in a while: they make the processor's own guesses
    /// begin, for which waiting for tiles leaves no time. More lines would wait for each other.
    #[inline(always)]
    fn fetch(&self, panel: usize, chunk: usize) {
        let row = panel * self.k + (chunk + AHEAD) * DEPTH;
        for row in (row..row + DEPTH).step_by(APART) {
            prefetch::<SECOND_LEVEL>(self.weight.w.values(), row * PANEL);
        }
    }

    /// Sets the sums of some rows and columns to what is there already, or to zero.
    #[inline(always)]
    fn begin(&self, tiles: &Tiles, rows: &Range<usize>, columns: &Range<usize>, edge: &mut Sums) {
        let target = &self.weight.target;
        if self.weight.write == Write::Overwrite {
            tiles.clear();
        } else if rows.len() == 2 * LEFT_ROWS && columns.len() == PANEL {
            // SAFETY: the rows are below m and the columns below n, so all of these values are inside y,
            // whose length `Product::weight` has checked, or inside the scratch of `combine_panels`; nobody else touches these rows of these columns.
            unsafe { tiles.load(target.at(rows.start, columns.start), target.stride) };
        } else {
            for (row, sums) in rows.clone().zip(&mut edge.0) {
                // SAFETY: as above, a row at a time.
                let y = unsafe { target.columns(row, columns) };
                sums[..y.len()].copy_from_slice(y);
            }
            // SAFETY: all of `edge`, whose rows are a panel wide.
            unsafe { tiles.load(edge.0.as_mut_ptr().cast(), PANEL) };
        }
    }

    /// Writes the sums of some rows and columns. Not by way of memory of our own if it can be helped:
    /// reading back what tiles wrote waits until all stores before it are done.
    #[inline(always)]
    fn end(&self, tiles: &Tiles, rows: &Range<usize>, columns: &Range<usize>, edge: &mut Sums) {
        let target = &self.weight.target;
        if rows.len() == 2 * LEFT_ROWS && columns.len() == PANEL {
            // SAFETY: as in `begin`: these rows and columns are inside y, and this task's alone to write.
            return unsafe { tiles.store(target.at(rows.start, columns.start), target.stride) };
        }
        // SAFETY: all of `edge`, whose rows are a panel wide.
        unsafe { tiles.store(edge.0.as_mut_ptr().cast(), PANEL) };
        for (row, sums) in rows.clone().zip(&edge.0) {
            // SAFETY: as in `begin`.
            let y = unsafe { target.columns(row, columns) };
            y.copy_from_slice(&sums[..y.len()]);
        }
    }
}

/// A slot of a ring and the one after it.
#[inline(always)]
fn pair(ring: &mut [Right], slot: usize) -> [&mut Right; 2] {
    let next = (slot + 1) % ring.len();
    ring.get_disjoint_mut([slot, next]).expect("a ring has two slots at least")
}

/// Sums that lie on an edge, on their way. Beyond the edge is what was there before, which nobody reads.
#[repr(C, align(64))]
struct Sums([[f32; PANEL]; 2 * LEFT_ROWS]);

impl Sums {
    const ZERO: Self = Self([[0.0; PANEL]; 2 * LEFT_ROWS]);
}
