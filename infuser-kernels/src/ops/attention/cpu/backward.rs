//! The backward pass: one task per family of segments that share keys, and key head.
//!
//! A task owns every query that reads its keys, so it sums their gradients alone, in order.

use std::ops::Range;

use rayon::prelude::*;

use super::{Attention, KEY_TILE, Keys, QUERY_TILE, Queries, Segment, Sizes, flip, head, tile};
use crate::{
    Write,
    ops::matmul::block,
    simd::{dot, exp, simd},
};

/// The tensors of the forward pass and the gradient of its output.
#[derive(Clone, Copy)]
pub(in super::super) struct Saved<'a> {
    pub(in super::super) q: &'a [f32],
    pub(in super::super) k: &'a [f32],
    pub(in super::super) v: &'a [f32],
    pub(in super::super) out: &'a [f32],
    pub(in super::super) lse: &'a [f32],
    pub(in super::super) dout: &'a [f32],
}

/// Segments that are linked by shared key rows, and the ranges of those rows.
#[derive(Debug, Default)]
struct Family<'a> {
    segments: Vec<&'a Segment>,
    /// Disjoint ranges of key rows, ascending.
    kv: Vec<Range<usize>>,
}

/// The gradients of one task, in its own memory.
struct Part<'a> {
    family: &'a Family<'a>,
    kv_head: usize,
    /// `[queries of the family, heads of the group, E]`.
    dq: Vec<f32>,
    /// `[key rows of the family, E]` each.
    dk: Vec<f32>,
    dv: Vec<f32>,
}

pub(in super::super) fn backward(
    attention: &Attention,
    segments: &[Segment],
    sizes: &Sizes,
    saved: Saved<'_>,
    [dq, dk, dv]: [&mut [f32]; 3],
) {
    let families = families(segments);
    let tasks: Vec<_> =
        families.iter().flat_map(|f| (0..sizes.kv_heads).map(move |head| (f, head))).collect();
    let parts: Vec<Part<'_>> = tasks
        .into_par_iter()
        .map(|(family, kv_head)| Part::compute(attention, sizes, &saved, family, kv_head))
        .collect();
    for gradient in [&mut *dq, &mut *dk, &mut *dv] {
        gradient.fill(0.0);
    }
    for part in parts {
        part.write(sizes, [dq, dk, dv]);
    }
}

/// Groups the segments whose key ranges touch, directly or through others.
fn families(segments: &[Segment]) -> Vec<Family<'_>> {
    let mut ranges: Vec<(Range<usize>, usize)> = Vec::new();
    for (i, segment) in segments.iter().enumerate().filter(|(_, s)| !s.q.is_empty()) {
        ranges.push((segment.kv.clone(), i));
        if !segment.prefix.is_empty() {
            ranges.push((segment.prefix.clone(), i));
        }
    }
    ranges.sort_by_key(|(range, _)| range.start);
    // Union-find over segments; overlapping ranges merge into one cluster.
    let mut leader: Vec<usize> = (0..segments.len()).collect();
    let mut clusters: Vec<(Range<usize>, usize)> = Vec::new();
    for (range, i) in ranges {
        match clusters.last_mut() {
            Some((cluster, first)) if range.start < cluster.end => {
                cluster.end = cluster.end.max(range.end);
                let (a, b) = (find(&leader, i), find(&leader, *first));
                leader[a.max(b)] = a.min(b);
            }
            _ => clusters.push((range, i)),
        }
    }
    let mut index = vec![usize::MAX; segments.len()];
    let mut families: Vec<Family<'_>> = Vec::new();
    for (i, segment) in segments.iter().enumerate().filter(|(_, s)| !s.q.is_empty()) {
        let root = find(&leader, i);
        if index[root] == usize::MAX {
            index[root] = families.len();
            families.push(Family::default());
        }
        families[index[root]].segments.push(segment);
    }
    for (cluster, i) in clusters {
        families[index[find(&leader, i)]].kv.push(cluster);
    }
    families
}

fn find(leader: &[usize], mut i: usize) -> usize {
    while leader[i] != i {
        i = leader[i];
    }
    i
}

impl Family<'_> {
    fn query_count(&self) -> usize {
        self.segments.iter().map(|s| s.q.len()).sum()
    }

    fn key_count(&self) -> usize {
        self.kv.iter().map(Range::len).sum()
    }

    /// Where a key row of the tensor stands among the family's own.
    fn local_key(&self, row: usize) -> usize {
        let mut before = 0;
        for range in &self.kv {
            if range.contains(&row) {
                return before + row - range.start;
            }
            before += range.len();
        }
        unreachable!("every key row of a family's segments is in one of its ranges")
    }
}

/// Scores of one tile and their gradients.
struct Scratch {
    p: Vec<f32>,
    ds: Vec<f32>,
    /// `<dout_t, out_t>` of each query.
    pull: Vec<f32>,
}

/// One head of one tile of queries against one tile of keys.
struct Tile<'a> {
    sizes: &'a Sizes,
    attention: &'a Attention,
    saved: &'a Saved<'a>,
    queries: &'a Queries<'a>,
    keys: &'a Keys,
    head: usize,
}

impl<'a> Part<'a> {
    fn compute(
        attention: &Attention,
        sizes: &Sizes,
        saved: &Saved<'_>,
        family: &'a Family<'a>,
        kv_head: usize,
    ) -> Self {
        let (group, width) = (sizes.heads / sizes.kv_heads, sizes.width);
        let mut part = Self {
            family,
            kv_head,
            dq: vec![0.0; family.query_count() * group * width],
            dk: vec![0.0; family.key_count() * width],
            dv: vec![0.0; family.key_count() * width],
        };
        let mut scratch = Scratch {
            p: vec![0.0; QUERY_TILE * KEY_TILE],
            ds: vec![0.0; QUERY_TILE * KEY_TILE],
            pull: vec![0.0; QUERY_TILE],
        };
        let mut before = 0;
        for segment in &family.segments {
            for queries in Queries::tiles(segment) {
                for g in 0..group {
                    let head = kv_head * group + g;
                    scratch.pull(sizes, saved, &queries, head);
                    let dq_from = ((before + queries.range.start) * group + g) * width;
                    for keys in queries.key_tiles(attention.window) {
                        let (queries, keys) = (&queries, &keys);
                        let tile = Tile { sizes, attention, saved, queries, keys, head };
                        tile.scores(&mut scratch);
                        let dk_from = family.local_key(keys.rows.start) * width;
                        let part = [
                            &mut part.dq[dq_from..],
                            &mut part.dk[dk_from..],
                            &mut part.dv[dk_from..],
                        ];
                        tile.accumulate(&scratch, part);
                    }
                }
            }
            before += segment.q.len();
        }
        part
    }

    /// Copies the task's gradients to where they belong; no other task has these elements.
    fn write(&self, sizes: &Sizes, [dq, dk, dv]: [&mut [f32]; 3]) {
        let (group, width) = (sizes.heads / sizes.kv_heads, sizes.width);
        let query_rows = self.family.segments.iter().flat_map(|s| s.q.clone());
        for (row, values) in query_rows.zip(self.dq.chunks_exact(group * width)) {
            let to = (row * sizes.heads + self.kv_head * group) * width;
            dq[to..to + group * width].copy_from_slice(values);
        }
        let key_rows = self.family.kv.iter().cloned().flatten();
        let values = self.dk.chunks_exact(width).zip(self.dv.chunks_exact(width));
        for (row, (dk_row, dv_row)) in key_rows.zip(values) {
            let to = (row * sizes.kv_heads + self.kv_head) * width;
            dk[to..to + width].copy_from_slice(dk_row);
            dv[to..to + width].copy_from_slice(dv_row);
        }
    }
}

impl Scratch {
    fn pull(&mut self, sizes: &Sizes, saved: &Saved<'_>, queries: &Queries<'_>, head: usize) {
        let width = sizes.width;
        simd(
            #[inline(always)]
            || {
                for (row, pull) in queries.rows().zip(&mut self.pull) {
                    let at =
                        (row * sizes.heads + head) * width..(row * sizes.heads + head + 1) * width;
                    *pull = dot(&saved.dout[at.clone()], &saved.out[at]);
                }
            },
        );
    }
}

impl Tile<'_> {
    /// Fills `scratch.p` with probabilities and `scratch.ds` with scaled score gradients.
    fn scores(&self, scratch: &mut Scratch) {
        let Self { sizes, attention, saved, queries, keys, head: h } = *self;
        let (count, n, width) = (queries.len(), keys.rows.len(), sizes.width);
        let kv_head = h / (sizes.heads / sizes.kv_heads);
        let first = queries.rows().start;
        let q = head(saved.q, first, h, sizes.heads, width);
        let dout = head(saved.dout, first, h, sizes.heads, width);
        let k = head(saved.k, keys.rows.start, kv_head, sizes.kv_heads, width);
        let v = head(saved.v, keys.rows.start, kv_head, sizes.kv_heads, width);
        let (p, ds) = (&mut scratch.p[..count * n], &mut scratch.ds[..count * n]);
        block([count, n, width], q, flip(k), p, n, Write::Overwrite);
        block([count, n, width], dout, flip(v), ds, n, Write::Overwrite);
        simd(
            #[inline(always)]
            || {
                let rows = p.chunks_exact_mut(n).zip(ds.chunks_exact_mut(n));
                for (i, (p, ds)) in rows.enumerate() {
                    let seen = queries.visible(i, keys, attention.window);
                    for masked in [0..seen.start, seen.end..n] {
                        p[masked.clone()].fill(0.0);
                        ds[masked].fill(0.0);
                    }
                    let (lse, pull) = (saved.lse[(first + i) * sizes.heads + h], scratch.pull[i]);
                    for (p, ds) in p[seen.clone()].iter_mut().zip(&mut ds[seen]) {
                        *p = exp(*p * attention.scale - lse);
                        *ds = *p * (*ds - pull) * attention.scale;
                    }
                }
            },
        );
    }

    /// Adds the tile's share to the gradients, given from its first query and key on.
    fn accumulate(&self, scratch: &Scratch, [dq, dk, dv]: [&mut [f32]; 3]) {
        let Self { sizes, saved, queries, keys, head: h, .. } = *self;
        let (count, n, width) = (queries.len(), keys.rows.len(), sizes.width);
        let group = sizes.heads / sizes.kv_heads;
        let first = queries.rows().start;
        let q = head(saved.q, first, h, sizes.heads, width);
        let dout = head(saved.dout, first, h, sizes.heads, width);
        let k = head(saved.k, keys.rows.start, h / group, sizes.kv_heads, width);
        let (p, ds) = (tile(&scratch.p[..count * n], n), tile(&scratch.ds[..count * n], n));
        block([count, width, n], ds, k, dq, group * width, Write::Add);
        block([n, width, count], flip(ds), q, dk, width, Write::Add);
        block([n, width, count], flip(p), dout, dv, width, Write::Add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_share_keys_are_one_family() {
        let segments = [
            Segment::causal(0..4),
            Segment::after(0..4, 4..6),
            Segment::causal(6..9),
            Segment::after(0..4, 9..12),
            Segment::after(6..9, 12..13),
        ];
        let families = families(&segments);
        let ranges: Vec<_> = families.iter().map(|f| f.kv.clone()).collect();
        assert_eq!(ranges, [vec![0..4, 4..6, 9..12], vec![6..9, 12..13]]);
        assert_eq!(families[0].local_key(10), 7);
        assert_eq!(families[1].query_count(), 4);
    }
}
