//! The CPU side of [`super`]: copies in parallel over tokens, additions over table rows.

use rayon::prelude::*;

use crate::simd::simd;

/// Columns of one task where a single table row gets many additions.
const COLUMNS: usize = 64;
/// Additions into one row from which its columns are shared out.
const MANY: usize = 256;

pub(super) fn gather(table: &[f32], ids: &[u32], width: usize, out: &mut [f32]) {
    if width == 0 {
        return;
    }
    let rows = (16 * 1024 / width).max(1);
    out.par_chunks_mut(rows * width).zip(ids.par_chunks(rows)).for_each(|(out, ids)| {
        for (out, &id) in out.chunks_exact_mut(width).zip(ids) {
            out.copy_from_slice(&table[id as usize * width..][..width]);
        }
    });
}

/// The additions into one table row: which row, and where in `dout` they come from.
struct Row<'a> {
    sum: &'a mut [f32],
    tokens: &'a [(u32, usize)],
}

/// Cuts the rows that `order`, sorted by id, names out of the table.
fn named_rows<'a>(order: &'a [(u32, usize)], width: usize, table: &'a mut [f32]) -> Vec<Row<'a>> {
    let (mut rest, mut next) = (table, 0);
    let mut rows = Vec::new();
    for tokens in order.chunk_by(|a, b| a.0 == b.0) {
        let row = tokens[0].0 as usize;
        let (sum, tail) = rest[(row - next) * width..].split_at_mut(width);
        rows.push(Row { sum, tokens });
        (rest, next) = (tail, row + 1);
    }
    rows
}

/// Adds columns `first..first + sum.len()` of every token, in order.
fn add_columns(dout: &[f32], width: usize, tokens: &[(u32, usize)], first: usize, sum: &mut [f32]) {
    simd(
        #[inline(always)]
        || {
            for &(_, t) in tokens {
                let row = &dout[t * width + first..][..sum.len()];
                sum.iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
            }
        },
    );
}

pub(super) fn scatter_add(dout: &[f32], ids: &[u32], width: usize, dtable: &mut [f32]) {
    if width == 0 {
        return;
    }
    // Sorted by id and then by token: each row's additions lie together, in the order of t.
    let mut order: Vec<(u32, usize)> = ids.iter().copied().zip(0..).collect();
    order.par_sort_unstable();
    named_rows(&order, width, dtable).into_par_iter().for_each(|Row { sum, tokens }| {
        if tokens.len() < MANY {
            add_columns(dout, width, tokens, 0, sum);
            return;
        }
        sum.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, sum)| {
            add_columns(dout, width, tokens, i * COLUMNS, sum);
        });
    });
}
