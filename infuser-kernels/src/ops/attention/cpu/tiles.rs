//! Online softmax over tiles of keys that lie at fixed positions, one task per tile of queries.
//!
//! A row of the output has the same bits whatever other rows are computed with it and wherever its
//! keys lie: scores and mixtures are chains of multiply-adds in the order of the positions
//! ([`rows`](crate::ops::matmul::rows)), and the running maximum moves at multiples of [`KEY_TILE`].

use std::{cell::Cell, ops::Range};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{Attention, KEY_TILE, QUERY_TILE};
use crate::{
    ops::matmul::tile::{Ahead, MAX_ROWS, PANEL, Rows, Tile, accumulate},
    simd::{SECOND_LEVEL, exp, max, sum},
    threads::with_scratch,
};

/// Panels of keys in a tile.
pub(in crate::ops) const RUNS: usize = KEY_TILE / PANEL;

/// Consecutive queries at consecutive positions, the last of which sees `len` positions.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Span {
    pub(in crate::ops) q: Range<usize>,
    pub(in crate::ops) len: usize,
}

/// Sizes of one call.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Heads {
    /// Query heads H and key heads K.
    pub(in crate::ops) queries: usize,
    pub(in crate::ops) keys: usize,
    /// Head width E.
    pub(in crate::ops) width: usize,
}

/// Where the keys and values of the spans lie.
pub(in crate::ops) trait Source: Sync {
    /// Those of some positions within one tile, from the start of a panel on.
    fn tile<'s>(
        &'s self,
        span: usize,
        kv_head: usize,
        positions: Range<usize>,
        scratch: &'s mut TileScratch,
    ) -> KeyTile<'s>;
}

/// Memory in which a [`Source`] may lay out a tile; empty until it does.
#[derive(Default)]
pub(in crate::ops) struct TileScratch {
    /// `[RUNS, E, PANEL]`.
    pub(in crate::ops) keys: Vec<f32>,
    /// `[KEY_TILE, E padded to whole panels]`.
    pub(in crate::ops) values: Vec<f32>,
}

/// The panels of a tile; those outside the positions asked for are empty.
#[derive(Default)]
pub(in crate::ops) struct KeyTile<'a> {
    /// `[E, PANEL]` each, a column a position.
    pub(in crate::ops) keys: [Rows<'a>; RUNS],
    /// A row a position, whole panels wide.
    pub(in crate::ops) values: [Rows<'a>; RUNS],
}

/// One tile of queries with all its heads, and the rows of the outputs it owns.
struct Task<'a> {
    span: usize,
    /// Rows of the query tensor, and the position of the first.
    rows: Range<usize>,
    position: usize,
    out: &'a mut [f32],
    lse: &'a mut [f32],
}

/// `width` rounded up to whole panels.
pub(in crate::ops) fn padded(width: usize) -> usize {
    width.next_multiple_of(PANEL)
}

/// Fills `out [T, H, E]` and `lse [T, H]`; rows of no span see nothing.
pub(in crate::ops) fn forward(
    attention: &Attention,
    spans: &[Span],
    heads: Heads,
    q: &[f32],
    source: &impl Source,
    [mut out, mut lse]: [&mut [f32]; 2],
) {
    let row_len = heads.queries * heads.width;
    let mut tasks = Vec::new();
    let mut done = 0;
    for (index, span) in spans.iter().enumerate() {
        for start in span.q.clone().step_by(QUERY_TILE) {
            let rows = start..(start + QUERY_TILE).min(span.q.end);
            let (gap_out, rest) = out.split_at_mut((rows.start - done) * row_len);
            let (gap_lse, rest_lse) = lse.split_at_mut((rows.start - done) * heads.queries);
            gap_out.fill(0.0);
            gap_lse.fill(f32::NEG_INFINITY);
            let (own_out, rest) = rest.split_at_mut(rows.len() * row_len);
            let (own_lse, rest_lse) = rest_lse.split_at_mut(rows.len() * heads.queries);
            (out, lse) = (rest, rest_lse);
            done = rows.end;
            let position = span.len - span.q.len() + start - span.q.start;
            tasks.push(Task { span: index, rows, position, out: own_out, lse: own_lse });
        }
    }
    out.fill(0.0);
    lse.fill(f32::NEG_INFINITY);
    tasks.into_par_iter().for_each(|task| run(attention, heads, q, source, task));
}

/// All heads of one tile of queries.
fn run(attention: &Attention, heads: Heads, q: &[f32], source: &impl Source, task: Task<'_>) {
    let Task { span, rows, position, out, lse } = task;
    let (count, group) = (rows.len(), heads.queries / heads.keys);
    let mix = |kv_head: usize, state: &mut Group| {
        state.reset(group * count, heads.width);
        pulp::Arch::new().dispatch(Mix {
            attention,
            heads,
            q: &q[(rows.start * heads.queries + kv_head * group) * heads.width..],
            source,
            span,
            kv_head,
            count,
            position,
            state,
        });
    };
    let write = |kv_head: usize, state: &Group, out: &mut [f32], lse: &mut [f32]| {
        let padded = padded(heads.width);
        for (at, (max, sum)) in state.max.iter().zip(&state.sum).enumerate() {
            let to = at % count * heads.queries + kv_head * group + at / count;
            lse[to] = max + sum.ln();
            let from = &state.mixed[at * padded..][..heads.width];
            let to = &mut out[to * heads.width..][..heads.width];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from / sum);
        }
    };
    if count == 1 {
        // Little work, and there is such a task for every sequence that decodes.
        return with_scratch(&GROUP, |state| {
            for kv_head in 0..heads.keys {
                mix(kv_head, state);
                write(kv_head, state, out, lse);
            }
        });
    }
    let all: Vec<Group> = (0..heads.keys)
        .into_par_iter()
        .map(|kv_head| {
            let mut state = Group::default();
            mix(kv_head, &mut state);
            state
        })
        .collect();
    for (kv_head, state) in all.iter().enumerate() {
        write(kv_head, state, out, lse);
    }
}

thread_local! {
    static GROUP: Cell<Group> = Cell::default();
}

/// The queries of a tile for the heads that share a key head: row `h·count + i` is query `i` of the
/// group's head `h`.
#[derive(Default)]
struct Group {
    /// Running maximum and sum of exponentials of each row.
    max: Vec<f32>,
    sum: Vec<f32>,
    /// Unnormalised output, a row padded to whole panels.
    mixed: Vec<f32>,
    /// Scores, then exponentials of one tile, `[rows, KEY_TILE]`.
    scores: Vec<f32>,
}

impl Group {
    /// So many rows that have seen nothing yet.
    fn reset(&mut self, rows: usize, width: usize) {
        let Self { max, sum, mixed, scores } = self;
        for (values, len, value) in [
            (max, rows, f32::NEG_INFINITY),
            (sum, rows, 0.0),
            (mixed, rows * padded(width), 0.0),
            (scores, rows * KEY_TILE, 0.0),
        ] {
            values.clear();
            values.resize(len, value);
        }
    }
}

/// What one thread does at a time: a [`Group`].
struct Mix<'a, 's, K> {
    attention: &'a Attention,
    heads: Heads,
    /// From the group's first head of the first query on.
    q: &'a [f32],
    source: &'a K,
    span: usize,
    kv_head: usize,
    count: usize,
    /// Of the first query.
    position: usize,
    state: &'s mut Group,
}

impl<K: Source> WithSimd for Mix<'_, '_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Heads { width, .. } = self.heads;
        let end = self.position + self.count;
        let first = self.seen(0).start / PANEL * PANEL;
        let mut scratch = TileScratch::default();
        let mut tile: Tile = [[0.0; PANEL]; MAX_ROWS];
        for start in (first / KEY_TILE * KEY_TILE..end).step_by(KEY_TILE) {
            let positions = first.max(start)..end.min(start + KEY_TILE);
            let panels = self.source.tile(self.span, self.kv_head, positions.clone(), &mut scratch);
            for part in self.parts() {
                let x = part.queries(&self);
                for run in part.runs(&self, &positions, start).panels {
                    tile[..part.rows.len()].fill([0.0; PANEL]);
                    // What comes next: the values of this panel, and the keys of the one after it.
                    let after = panels.keys.get(run + 1).copied().unwrap_or_default();
                    let ahead = Ahead::<SECOND_LEVEL>(match part.rows.start {
                        0 => [panels.values[run].data, after.data],
                        _ => Default::default(),
                    });
                    let sizes = [part.rows.len(), width];
                    accumulate(simd, sizes, x, panels.keys[run], &mut tile, ahead);
                    for (row, tile) in part.rows.clone().zip(&tile) {
                        let to = row * KEY_TILE + run * PANEL;
                        self.state.scores[to..to + PANEL].copy_from_slice(tile);
                    }
                }
            }
            for row in 0..self.state.max.len() {
                let seen = self.seen(row % self.count);
                let within = |at: usize| at.clamp(start, start + KEY_TILE) - start;
                let seen = within(seen.start)..within(seen.end);
                absorb(self.state, row, seen, self.attention.scale);
            }
            for part in self.parts() {
                let stride = padded(width);
                let runs = part.runs(&self, &positions, start);
                for column in (0..stride).step_by(PANEL) {
                    for (row, tile) in part.rows.clone().zip(&mut tile) {
                        tile.copy_from_slice(&self.state.mixed[row * stride + column..][..PANEL]);
                    }
                    for run in runs.panels.clone() {
                        let data = &self.state.scores[part.rows.start * KEY_TILE + run * PANEL..];
                        let x = Rows { data, stride: KEY_TILE };
                        let values = panels.values[run];
                        let w = Rows { data: &values.data[column..], ..values };
                        let sizes = [part.rows.len(), runs.filled(run)];
                        accumulate(simd, sizes, x, w, &mut tile, Ahead::<SECOND_LEVEL>::default());
                    }
                    for (row, tile) in part.rows.clone().zip(&tile) {
                        self.state.mixed[row * stride + column..][..PANEL].copy_from_slice(tile);
                    }
                }
            }
        }
    }
}

/// Rows of a [`Group`] that one product takes, whose queries are evenly apart.
struct Part {
    rows: Range<usize>,
}

/// The panels of a tile that hold positions somebody sees.
struct Runs {
    panels: Range<usize>,
    /// One past the last position, counted from the tile's start.
    end: usize,
}

impl Runs {
    /// How many places of a panel hold positions.
    fn filled(&self, panel: usize) -> usize {
        (self.end - panel * PANEL).min(PANEL)
    }
}

impl<K> Mix<'_, '_, K> {
    /// The positions that query `i` sees.
    fn seen(&self, i: usize) -> Range<usize> {
        let end = self.position + i + 1;
        end.saturating_sub(self.attention.window.unwrap_or(end))..end
    }

    /// With one query the rows are its heads, which lie side by side; else those of one head.
    fn parts(&self) -> impl Iterator<Item = Part> + use<K> {
        let (rows, count) = (self.state.max.len(), self.count);
        let together = if count == 1 { rows } else { count };
        (0..rows).step_by(together).flat_map(move |from| {
            let to = from + together;
            (from..to)
                .step_by(MAX_ROWS)
                .map(move |row| Part { rows: row..(row + MAX_ROWS).min(to) })
        })
    }
}

impl Part {
    /// The queries of these rows.
    fn queries<'a, K>(&self, mix: &Mix<'a, '_, K>) -> Rows<'a> {
        let Heads { queries, width, .. } = mix.heads;
        let (head, query) = (self.rows.start / mix.count, self.rows.start % mix.count);
        let stride = if mix.count == 1 { width } else { queries * width };
        Rows { data: &mix.q[query * queries * width + head * width..], stride }
    }

    /// The panels of `positions` that some of these rows see.
    fn runs<K>(&self, mix: &Mix<'_, '_, K>, positions: &Range<usize>, start: usize) -> Runs {
        let [first, last] =
            [self.rows.start, self.rows.end - 1].map(|row| mix.seen(row % mix.count));
        let end = last.end.min(positions.end).saturating_sub(start);
        let begin = first.start.max(positions.start) - start;
        Runs { panels: begin / PANEL..end.div_ceil(PANEL), end }
    }
}

/// Turns one row of raw scores into exponentials relative to the running maximum, which it raises,
/// rescaling what was summed under the old one.
#[inline(always)]
fn absorb(state: &mut Group, row: usize, seen: Range<usize>, scale: f32) {
    let stride = state.mixed.len() / state.max.len();
    let scores = &mut state.scores[row * KEY_TILE..][..KEY_TILE];
    scores[..seen.start].fill(0.0);
    scores[seen.end..].fill(0.0);
    let scores = &mut scores[seen];
    if scores.is_empty() {
        return;
    }
    scores.iter_mut().for_each(|z| *z *= scale);
    let (running_max, running_sum) = (&mut state.max[row], &mut state.sum[row]);
    let top = max(scores).max(*running_max);
    let keep = exp(*running_max - top);
    scores.iter_mut().for_each(|z| *z = exp(*z - top));
    *running_sum = *running_sum * keep + sum(scores);
    *running_max = top;
    if keep != 1.0 {
        state.mixed[row * stride..][..stride].iter_mut().for_each(|x| *x *= keep);
    }
}
