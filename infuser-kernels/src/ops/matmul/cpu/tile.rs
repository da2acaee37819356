//! The tile from which products are built: sums that stay in registers for the whole of the inner axis.

use pulp::Simd;

use crate::{lines::LINE, simd::prefetch};

#[cfg(test)]
mod tests;

/// Columns that a tile computes side by side.
pub(crate) const PANEL: usize = 32;
/// Rows of a tile, at most.
pub(crate) const MAX_ROWS: usize = 12;

/// A tile of a product; only as many rows as were asked for mean anything.
pub(crate) type Tile = [[f32; PANEL]; MAX_ROWS];

/// Terms of the inner axis between fetches.
const STEP: usize = 4;

/// Rows that are `stride` apart.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

impl Rows<'_> {
    /// Whether these are so many rows, one at least, of so many values.
    #[inline(always)]
    fn hold(&self, rows: usize, width: usize) -> bool {
        (rows - 1) * self.stride + width <= self.data.len()
    }
}

/// Memory that is needed next, to be fetched into a level of the cache while a tile is computed: the processor's
/// own guesses end with each page, and weights that are used once a token come from memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ahead<'a, const LEVEL: i32>(pub(crate) [&'a [f32]; 2]);

impl<'a, const LEVEL: i32> Ahead<'a, LEVEL> {
    /// One of `parts` shares, cut up for so many steps.
    #[inline(always)]
    fn share(self, [part, parts, steps]: [usize; 3]) -> Fetch<'a, LEVEL> {
        Fetch(self.0.map(|place| {
            let lines = place.len().div_ceil(LINE);
            let [from, to] = [part, part + 1].map(|part| part * lines / parts);
            let place = &place[from * LINE..place.len().min(to * LINE)];
            place.chunks((to - from).div_ceil(steps.max(1)).max(1) * LINE)
        }))
    }
}

/// What is left to fetch, a step's lines at a time.
struct Fetch<'a, const LEVEL: i32>([std::slice::Chunks<'a, f32>; 2]);

impl<const LEVEL: i32> Fetch<'_, LEVEL> {
    #[inline(always)]
    fn step(&mut self) {
        for place in &mut self.0 {
            for line in place.next().unwrap_or_default().chunks(LINE) {
                prefetch::<LEVEL>(line, 0);
            }
        }
    }
}

/// How often [`accumulate`] reads the right factor of so many rows.
#[inline(always)]
pub(crate) fn passes<S: Simd>(rows: usize) -> usize {
    let (vectors, at_once) = shape::<S>(rows);
    PANEL / (vectors * S::F32_LANES) * rows.div_ceil(at_once)
}

/// Vectors and rows of sums that registers hold at once, with a few left for the factors: 24 of 32, or 12 of 16.
/// With a row or two, multiply-adds would wait for each other if all columns were not summed together.
#[inline(always)]
const fn shape<S: Simd>(rows: usize) -> (usize, usize) {
    match S::F32_LANES {
        16 => (2, 12),
        8 if rows <= 2 => (4, 2),
        8 => (2, 6),
        4 => (4, 6),
        _ => (8, 1),
    }
}

/// `tile_ij += Σ_k x_ik w_kj` for the first `rows` rows of `tile`; a row of `w` has [`PANEL`] columns.
///
/// Every element is one fused multiply-add after another, in the order of `k`, whatever the shape. `ahead` is fetched
/// meanwhile.
///
/// # Panics
/// If a factor is too short: a fault of this crate, not of its user.
#[inline(always)]
pub(crate) fn accumulate<S: Simd, const LEVEL: i32>(
    simd: S,
    [rows, depth]: [usize; 2],
    x: Rows<'_>,
    w: Rows<'_>,
    tile: &mut Tile,
    ahead: Ahead<'_, LEVEL>,
) {
    if depth == 0 {
        return;
    }
    let factors = Factors { depth, x, w };
    match shape::<S>(rows) {
        (2, 12) => in_parts::<S, 2, 12, LEVEL>(simd, rows, factors, tile, ahead),
        (4, 2) => in_parts::<S, 4, 2, LEVEL>(simd, rows, factors, tile, ahead),
        (2, 6) => in_parts::<S, 2, 6, LEVEL>(simd, rows, factors, tile, ahead),
        (4, 6) => in_parts::<S, 4, 6, LEVEL>(simd, rows, factors, tile, ahead),
        (8, 1) => in_parts::<S, 8, 1, LEVEL>(simd, rows, factors, tile, ahead),
        other => unreachable!("{other:?} is no shape"),
    }
}

/// What is multiplied, along an inner axis of `depth`.
#[derive(Clone, Copy)]
struct Factors<'a> {
    depth: usize,
    x: Rows<'a>,
    w: Rows<'a>,
}

/// The tile in parts of `V` vectors and about `M` rows.
#[inline(always)]
fn in_parts<S: Simd, const V: usize, const M: usize, const LEVEL: i32>(
    simd: S,
    rows: usize,
    Factors { depth, x, w }: Factors<'_>,
    tile: &mut Tile,
    ahead: Ahead<'_, LEVEL>,
) {
    let (down, across) = (rows.div_ceil(M), PANEL / (V * S::F32_LANES));
    for part in 0..down {
        let (from, to) = (part * rows / down, (part + 1) * rows / down);
        let x = Rows { data: &x.data[from * x.stride..], ..x };
        for i in 0..across {
            let column = i * V * S::F32_LANES;
            let factors = Factors { depth, x, w: Rows { data: &w.data[column..], ..w } };
            let fetch = ahead.share([part * across + i, down * across, depth / STEP]);
            let tile = &mut tile[from..to];
            macro_rules! by_rows {
                ($($n:literal)*) => {
                    match to - from {
                        $($n if $n <= M => {
                            part_of::<S, V, $n, LEVEL>(simd, factors, tile, column, fetch);
                        })*
                        _ => unreachable!("a part has 1 to M rows"),
                    }
                };
            }
            by_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }
}

/// `R` rows and `V` vectors of columns, in registers.
#[inline(always)]
fn part_of<S: Simd, const V: usize, const R: usize, const LEVEL: i32>(
    simd: S,
    Factors { depth, x, w }: Factors<'_>,
    tile: &mut [[f32; PANEL]],
    column: usize,
    mut fetch: Fetch<'_, LEVEL>,
) {
    let columns = column..column + V * S::F32_LANES;
    assert!(x.hold(R, depth) && w.hold(depth, columns.len()), "tile::part_of: sizes");
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (sums, row) in sums.iter_mut().zip(tile.iter()) {
        sums.copy_from_slice(S::as_simd_f32s(&row[columns.clone()]).0);
    }
    let (mut w, apart) = (w.data.as_ptr(), w.stride);
    let x: [*const f32; R] = std::array::from_fn(|i| x.data.as_ptr().wrapping_add(i * x.stride));
    let whole = depth / STEP * STEP;
    for k in (0..whole).step_by(STEP) {
        fetch.step();
        // SAFETY: every k is below `depth`, and the assertion above shows that both factors go as far.
        // Written out: the compiler would not unroll a loop with so many sums.
        unsafe {
            add_term::<S, V, R>(simd, k, x, w, &mut sums);
            w = w.wrapping_add(apart);
            add_term::<S, V, R>(simd, k + 1, x, w, &mut sums);
            w = w.wrapping_add(apart);
            add_term::<S, V, R>(simd, k + 2, x, w, &mut sums);
            w = w.wrapping_add(apart);
            add_term::<S, V, R>(simd, k + 3, x, w, &mut sums);
            w = w.wrapping_add(apart);
        }
    }
    for k in whole..depth {
        // SAFETY: `k` is below `depth`, as far as both factors go by the assertion above.
        unsafe { add_term::<S, V, R>(simd, k, x, w, &mut sums) };
        w = w.wrapping_add(apart);
    }
    for (sums, row) in sums.iter().zip(tile) {
        S::as_mut_simd_f32s(&mut row[columns.clone()]).0.copy_from_slice(sums);
    }
}

/// `sums_ij += x_ik w_kj`, for `x` the beginnings of rows and `w` a row.
///
/// Checks of every index would take registers that addresses need: with 16 of them, rows would be looked up in memory
/// at each term.
///
/// # Safety
/// The rows of `x` must have more than `k` values, that of `w` `V` vectors.
#[inline(always)]
unsafe fn add_term<S: Simd, const V: usize, const R: usize>(
    simd: S,
    k: usize,
    x: [*const f32; R],
    w: *const f32,
    sums: &mut [[S::f32s; V]; R],
) {
    // SAFETY: the caller says that `V` vectors are there; they are plain values, read at any alignment.
    let w: [S::f32s; V] =
        std::array::from_fn(|v| unsafe { w.cast::<S::f32s>().add(v).read_unaligned() });
    for i in 0..R {
        // SAFETY: the caller says that each row of `x` has more than `k` values.
        let x = simd.splat_f32s(unsafe { *x[i].add(k) });
        for v in 0..V {
            sums[i][v] = simd.mul_add_f32s(x, w[v], sums[i][v]);
        }
    }
}
