//! The CPU side of [`super`]: `nt` by vectors ([`rows`]) or by the tiles of AMX, the others in tiles of the
//! output, each one call of the `gemm` crate.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
pub(crate) mod rows;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod split;
pub(crate) mod tile;

use std::{cell::Cell, ops::Range};

use rayon::prelude::*;

use crate::{Write, error::Result, threads::with_scratch};

/// One factor of a product, as the `gemm` crate sees it: `value(i, j) = data[i·rows + j·cols]`.
#[derive(Clone, Copy)]
pub(crate) struct Factor<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl Factor<'_> {
    fn reaches(&self, rows: usize, cols: usize) -> bool {
        rows == 0 || cols == 0 || (rows - 1) * self.rows + (cols - 1) * self.cols < self.data.len()
    }
}

/// `c (+)= a b` on this thread, for `c` of `m` rows that are `stride` apart and `n` columns.
///
/// # Panics
/// If a factor or the output is too short for the sizes: a fault of this crate, not of its user.
pub(crate) fn block(
    [m, n, k]: [usize; 3],
    a: Factor<'_>,
    b: Factor<'_>,
    c: &mut [f32],
    stride: usize,
    write: Write,
) {
    let fits = m == 0 || n == 0 || (n <= stride && (m - 1) * stride + n <= c.len());
    assert!(fits && a.reaches(m, k) && b.reaches(k, n), "matmul::block: sizes");
    // SAFETY: the assertion above shows that every index gemm forms, up to (m-1, n-1) of c,
    // (m-1, k-1) of a and (k-1, n-1) of b, lies inside the three slices.
    unsafe { gemm_call([m, n, k], a, b, c.as_mut_ptr(), stride, write) }
}

/// The one call of the `gemm` crate.
///
/// # Safety
/// `a` must reach (m, k), `b` (k, n), and `c` must be valid for writes at `i·stride + j` for all
/// `i < m`, `j < n`, with nobody else touching those elements meanwhile.
unsafe fn gemm_call(
    [m, n, k]: [usize; 3],
    a: Factor<'_>,
    b: Factor<'_>,
    c: *mut f32,
    stride: usize,
    write: Write,
) {
    let (read, alpha) = match write {
        Write::Overwrite => (false, 0.0),
        Write::Add => (true, 1.0),
    };
    // SAFETY: forwarded to the caller; strides fit isize because slices do.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            stride as isize,
            read,
            a.data.as_ptr(),
            a.cols as isize,
            a.rows as isize,
            b.data.as_ptr(),
            b.cols as isize,
            b.rows as isize,
            alpha,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Output memory shared by tasks that write disjoint tiles of it.
#[derive(Clone, Copy)]
struct Output(*mut f32);

// SAFETY: `tiled` hands every task a tile that no other task has, and keeps the exclusive borrow
// of the whole output until all tasks are done.
unsafe impl Send for Output {}
// SAFETY: as for Send: tasks that share the pointer write disjoint tiles, and nobody reads.
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// `offset` must be inside the output.
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: the caller promises that `offset` is inside the output that the pointer came from.
        unsafe { self.0.add(offset) }
    }

    /// `len` values of one row, to write.
    ///
    /// # Safety
    /// They must be inside the output, and in nobody else's tile.
    unsafe fn row<'a>(&self, offset: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller promises that the values are inside the output and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset), len) }
    }
}

/// Where the rows and columns of a product lie from `row` and `column` on.
#[derive(Clone, Copy)]
struct Target {
    output: Output,
    stride: usize,
    row: usize,
    column: usize,
}

impl Target {
    /// All of a product with `n` columns.
    fn whole(output: Output, n: usize) -> Self {
        Self { output, stride: n, row: 0, column: 0 }
    }

    /// # Safety
    /// This row and column must be there.
    unsafe fn at(&self, row: usize, column: usize) -> *mut f32 {
        // SAFETY: forwarded to the caller.
        unsafe { self.output.at((row - self.row) * self.stride + column - self.column) }
    }

    /// Some columns of a row.
    ///
    /// # Safety
    /// They must be there, and in nobody else's tile.
    unsafe fn columns<'a>(&self, row: usize, columns: &Range<usize>) -> &'a mut [f32] {
        // SAFETY: forwarded to the caller.
        unsafe { std::slice::from_raw_parts_mut(self.at(row, columns.start), columns.len()) }
    }
}

/// `c (+)= a b` with `c` contiguous, in tiles of `tile` rows and columns.
fn tiled(
    [m, n, k]: [usize; 3],
    a: Factor<'_>,
    b: Factor<'_>,
    c: &mut [f32],
    write: Write,
    tile: [usize; 2],
) {
    assert!(c.len() == m * n && a.reaches(m, k) && b.reaches(k, n), "matmul::tiled: sizes");
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if write == Write::Overwrite {
            c.fill(0.0);
        }
        return;
    }
    let [tile_m, tile_n] = tile;
    let across = n.div_ceil(tile_n);
    let output = Output(c.as_mut_ptr());
    (0..m.div_ceil(tile_m) * across).into_par_iter().for_each(|tile| {
        let (row, col) = (tile / across * tile_m, tile % across * tile_n);
        let (rows, cols) = (tile_m.min(m - row), tile_n.min(n - col));
        let a = Factor { data: &a.data[row * a.rows..], ..a };
        let b = Factor { data: &b.data[col * b.cols..], ..b };
        // SAFETY: row + rows <= m and col + cols <= n, so by the assertion above all three blocks
        // are in bounds; tiles are disjoint, so nobody else writes this one.
        unsafe { gemm_call([rows, cols, k], a, b, output.at(row * n + col), n, write) }
    });
}

pub(super) fn nt(
    [m, n, k]: [usize; 3],
    x: &[f32],
    w: &[f32],
    y: &mut [f32],
    write: Write,
) -> Result<()> {
    let w = &rows::Panels::new(w, [n, k])?;
    nt_each([m, k], x, &mut [Product { w, n, y }], write);
    Ok(())
}

/// Whether this processor has tiles, the system lets this process use them, and there is code for them.
pub(super) fn has_tiles() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return amx::available();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

/// A weight of `n` rows in panels, and where its product goes.
pub(super) struct Product<'a> {
    pub(super) w: &'a rows::Panels,
    pub(super) n: usize,
    pub(super) y: &'a mut [f32],
}

/// [`nt`] of the same `x` with each of some weights in panels.
pub(super) fn nt_each([m, k]: [usize; 2], x: &[f32], products: &mut [Product<'_>], write: Write) {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if super::tiles_in_use() {
        return amx::products([m, k], x, products, write);
    }
    for Product { w, n, y } in products {
        rows::product([m, *n, k], x, w, y, write);
    }
}

/// What `combine` makes of the products of `x` with two weights of `n` rows, a stretch of `out` from the same
/// stretches of the two, which are kept nowhere.
pub(super) fn nt_combined(
    [m, n, k]: [usize; 3],
    x: &[f32],
    weights: [&rows::Panels; 2],
    out: &mut [f32],
    combine: impl Fn([&[f32]; 2], &mut [f32]) + Sync,
) {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if super::tiles_in_use() {
        return amx::combined([m, n, k], x, weights, out, combine);
    }
    rows::combined([m, n, k], x, weights, out, combine);
}

/// Panels of two products that are combined at a time: what they take stays in the second-level cache.
const COMBINED: usize = 4;

/// Whether factors and output fit a product of these sizes with both weights.
fn combined_fits(
    [m, n, k]: [usize; 3],
    x: &[f32],
    weights: [&rows::Panels; 2],
    out: &[f32],
) -> bool {
    weights.iter().all(|w| w.holds([n, k])) && x.len() == m * k && out.len() == m * n
}

/// Combines the products of some rows and panels, those of two weights, [`COMBINED`] panels at a time.
/// `multiply` computes what it is told of one of the two.
fn combine_panels(
    (rows, panels): (Range<usize>, Range<usize>),
    (n, out): (usize, Output),
    multiply: impl Fn(usize, Range<usize>, Target),
    combine: impl Fn([&[f32]; 2], &mut [f32]),
) {
    let width = COMBINED.min(panels.len()) * tile::PANEL;
    with_scratch(&PRODUCTS, |products| {
        products.resize(products.len().max(2 * rows.len() * width), 0.0);
        let (a, b) = products[..2 * rows.len() * width].split_at_mut(rows.len() * width);
        for first in panels.clone().step_by(COMBINED) {
            let here = first..panels.end.min(first + COMBINED);
            let columns = here.start * tile::PANEL..n.min(here.end * tile::PANEL);
            for (which, to) in [&mut *a, &mut *b].into_iter().enumerate() {
                let output = Output(to.as_mut_ptr());
                let target =
                    Target { output, stride: width, row: rows.start, column: columns.start };
                multiply(which, here.clone(), target);
            }
            for (i, row) in rows.clone().enumerate() {
                let [a, b] = [&*a, &*b].map(|from| &from[i * width..][..columns.len()]);
                // SAFETY: the row is below m and the columns below n, and `out` has m n values; no other
                // task has these rows of these columns.
                combine([a, b], unsafe { out.row(row * n + columns.start, columns.len()) });
            }
        }
    });
}

thread_local! {
    static PRODUCTS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

pub(super) fn nn([m, n, k]: [usize; 3], x: &[f32], w: &[f32], y: &mut [f32], write: Write) {
    let a = Factor { data: x, rows: k, cols: 1 };
    let b = Factor { data: w, rows: n, cols: 1 };
    let tile = if m <= 256 { [m.max(1), 512] } else { [256, 4096] };
    tiled([m, n, k], a, b, y, write, tile);
}

pub(super) fn tn([m, n, k]: [usize; 3], x: &[f32], w: &[f32], y: &mut [f32], write: Write) {
    let a = Factor { data: x, rows: 1, cols: m };
    let b = Factor { data: w, rows: n, cols: 1 };
    tiled([m, n, k], a, b, y, write, [2048, 128]);
}
