//! Online softmax over key tiles, one task per tile of queries.

use rayon::prelude::*;

use super::{Attention, KEY_TILE, QUERY_TILE, Queries, Segment, Sizes, flip, head, tile};
use crate::{
    Write,
    ops::matmul::block,
    simd::{exp, max, simd, sum},
};

/// One tile of queries with all its heads, and the rows of the outputs it owns.
struct Task<'a> {
    queries: Queries<'a>,
    out: &'a mut [f32],
    lse: &'a mut [f32],
}

/// What one thread needs besides the outputs.
struct Scratch {
    /// Scores, then probabilities of one tile.
    scores: Vec<f32>,
    /// Running maximum, and running sum of exponentials, of each query.
    max: Vec<f32>,
    sum: Vec<f32>,
    /// Unnormalised output of one head.
    mixed: Vec<f32>,
}

pub(in super::super) fn forward(
    attention: &Attention,
    segments: &[Segment],
    sizes: &Sizes,
    qkv: [&[f32]; 3],
    mut out: &mut [f32],
    mut lse: &mut [f32],
) {
    let row_len = sizes.heads * sizes.width;
    let mut tasks = Vec::new();
    let mut done = 0;
    for queries in segments.iter().flat_map(Queries::tiles) {
        let rows = queries.rows();
        let (gap_out, rest) = out.split_at_mut((rows.start - done) * row_len);
        let (gap_lse, rest_lse) = lse.split_at_mut((rows.start - done) * sizes.heads);
        gap_out.fill(0.0);
        gap_lse.fill(f32::NEG_INFINITY);
        let (own_out, rest) = rest.split_at_mut(rows.len() * row_len);
        let (own_lse, rest_lse) = rest_lse.split_at_mut(rows.len() * sizes.heads);
        (out, lse) = (rest, rest_lse);
        tasks.push(Task { queries, out: own_out, lse: own_lse });
        done = rows.end;
    }
    out.fill(0.0);
    lse.fill(f32::NEG_INFINITY);

    let scratch = || Scratch {
        scores: vec![0.0; QUERY_TILE * KEY_TILE],
        max: vec![0.0; QUERY_TILE],
        sum: vec![0.0; QUERY_TILE],
        mixed: vec![0.0; QUERY_TILE * sizes.width],
    };
    tasks.into_par_iter().for_each_init(scratch, |scratch, task| {
        run(attention, sizes, qkv, task, scratch);
    });
}

/// All heads of one tile of queries.
fn run(
    attention: &Attention,
    sizes: &Sizes,
    [q, k, v]: [&[f32]; 3],
    task: Task<'_>,
    scratch: &mut Scratch,
) {
    let Task { queries, out, lse } = task;
    let (count, width) = (queries.len(), sizes.width);
    for h in 0..sizes.heads {
        let kv_head = h / (sizes.heads / sizes.kv_heads);
        scratch.max.fill(f32::NEG_INFINITY);
        scratch.sum.fill(0.0);
        scratch.mixed.fill(0.0);
        let q_head = head(q, queries.rows().start, h, sizes.heads, width);
        for keys in queries.key_tiles(attention.window) {
            let n = keys.rows.len();
            let k_head = head(k, keys.rows.start, kv_head, sizes.kv_heads, width);
            let v_head = head(v, keys.rows.start, kv_head, sizes.kv_heads, width);
            let scores = &mut scratch.scores[..count * n];
            block([count, n, width], q_head, flip(k_head), scores, n, Write::Overwrite);
            simd(
                #[inline(always)]
                || {
                    for (i, row) in scores.chunks_exact_mut(n).enumerate() {
                        let seen = queries.visible(i, &keys, attention.window);
                        let mixed = &mut scratch.mixed[i * width..(i + 1) * width];
                        let state = (&mut scratch.max[i], &mut scratch.sum[i], mixed);
                        absorb(row, seen, attention.scale, state);
                    }
                },
            );
            let mixed = &mut scratch.mixed[..count * width];
            block([count, width, n], tile(scores, n), v_head, mixed, width, Write::Add);
        }
        for i in 0..count {
            let to = &mut out[(i * sizes.heads + h) * width..][..width];
            let (max, sum) = (scratch.max[i], scratch.sum[i]);
            lse[i * sizes.heads + h] = max + sum.ln();
            let from = &scratch.mixed[i * width..(i + 1) * width];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from / sum);
        }
    }
}

/// Turns one row of raw scores into exponentials relative to the running maximum, which it raises,
/// rescaling what was summed under the old one.
#[inline(always)]
fn absorb(
    row: &mut [f32],
    seen: std::ops::Range<usize>,
    scale: f32,
    (running_max, running_sum, mixed): (&mut f32, &mut f32, &mut [f32]),
) {
    row[..seen.start].fill(0.0);
    row[seen.end..].fill(0.0);
    let row = &mut row[seen];
    if row.is_empty() {
        return;
    }
    row.iter_mut().for_each(|z| *z *= scale);
    let top = max(row).max(*running_max);
    let keep = exp(*running_max - top);
    row.iter_mut().for_each(|z| *z = exp(*z - top));
    *running_sum = *running_sum * keep + sum(row);
    *running_max = top;
    if keep != 1.0 {
        mixed.iter_mut().for_each(|x| *x *= keep);
    }
}
