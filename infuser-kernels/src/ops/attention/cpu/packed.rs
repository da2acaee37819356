//! Attention over the rows of a batch: their keys are laid out tile by tile.

use std::ops::Range;

use super::{
    Attention, Segment, Sizes,
    tiles::{self, Heads, KeyTile, Source, Span, TileScratch, padded},
};
use crate::ops::matmul::tile::{PANEL, Rows};

/// The keys and values of a batch, `[S, K, E]`.
struct Batch<'a> {
    segments: &'a [Segment],
    sizes: &'a Sizes,
    k: &'a [f32],
    v: &'a [f32],
}

pub(in super::super) fn forward(
    attention: &Attention,
    segments: &[Segment],
    sizes: &Sizes,
    [q, k, v]: [&[f32]; 3],
    out: &mut [f32],
    lse: &mut [f32],
) {
    let spans: Vec<Span> = segments
        .iter()
        .map(|segment| Span { q: segment.q.clone(), len: segment.prefix.len() + segment.kv.len() })
        .collect();
    let heads = Heads { queries: sizes.heads, keys: sizes.kv_heads, width: sizes.width };
    let source = Batch { segments, sizes, k, v };
    tiles::forward(attention, &spans, heads, q, &source, [out, lse]);
}

impl Source for Batch<'_> {
    fn tile<'s>(
        &'s self,
        span: usize,
        kv_head: usize,
        positions: Range<usize>,
        scratch: &'s mut TileScratch,
    ) -> KeyTile<'s> {
        let Sizes { kv_heads, width, .. } = *self.sizes;
        let (start, stride) = (positions.start / super::KEY_TILE * super::KEY_TILE, padded(width));
        scratch.keys.resize(super::KEY_TILE * width, 0.0);
        scratch.values.resize(super::KEY_TILE * stride, 0.0);
        for panel in (positions.start - start) / PANEL..(positions.end - start).div_ceil(PANEL) {
            let first = start + panel * PANEL;
            let keys = &mut scratch.keys[panel * width * PANEL..][..width * PANEL];
            let rows = (first..positions.end.min(first + PANEL)).map(|position| {
                let row = self.segments[span].row(position) * kv_heads + kv_head;
                row * width..(row + 1) * width
            });
            for (column, row) in rows.enumerate() {
                for (to, from) in keys.chunks_exact_mut(PANEL).zip(&self.k[row.clone()]) {
                    to[column] = *from;
                }
                let to = &mut scratch.values[(first - start + column) * stride..][..width];
                to.copy_from_slice(&self.v[row]);
            }
        }
        let mut tile = KeyTile::default();
        for panel in (positions.start - start) / PANEL..(positions.end - start).div_ceil(PANEL) {
            let keys = &scratch.keys[panel * width * PANEL..][..width * PANEL];
            tile.keys[panel] = Rows { data: keys, stride: PANEL };
            let values = &scratch.values[panel * PANEL * stride..][..PANEL * stride];
            tile.values[panel] = Rows { data: values, stride };
        }
        tile
    }
}
