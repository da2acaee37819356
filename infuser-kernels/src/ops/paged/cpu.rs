//! The CPU side of [`super`]: blocks hold keys as the panels that the products read.

use std::ops::Range;

use super::{Attention, Segment, Sizes};
use crate::{
    Buffer,
    error::Result,
    ops::{
        attention::{
            KEY_TILE,
            tiles::{self, Heads, KeyTile, Source, Span, TileScratch, padded},
        },
        matmul::rows::{PANEL, Rows},
    },
};

const _: () = assert!(super::BLOCK_UNIT == PANEL);

impl Sizes {
    /// Where the panel of some 32 places begins in `k`.
    fn keys_at(&self, block: usize, head: usize, place: usize) -> usize {
        (block * self.heads + head) * self.tokens * self.width + place / PANEL * PANEL * self.width
    }

    /// Where the row of a place begins in `v`.
    fn values_at(&self, block: usize, head: usize, place: usize) -> usize {
        ((block * self.heads + head) * self.tokens + place) * padded(self.width)
    }
}

pub(super) fn copy(both: &mut [Buffer; 2], from: usize, to: usize) -> Result<()> {
    const OP: &str = "paged::copy";
    for buffer in both {
        let len = buffer.dims().row_len();
        let values = buffer.view_mut().into_f32(OP, "blocks")?;
        values.copy_within(from * len..(from + 1) * len, to * len);
    }
    Ok(())
}

pub(super) fn append(
    sizes: Sizes,
    [keys, values]: &mut [Buffer; 2],
    segments: &[Segment],
    k: &[f32],
    v: &[f32],
) -> Result<()> {
    const OP: &str = "paged::append";
    let Sizes { heads, width, tokens, .. } = sizes;
    let keys = keys.view_mut().into_f32(OP, "keys")?;
    let values = values.view_mut().into_f32(OP, "values")?;
    for segment in segments {
        for (i, row) in segment.q.clone().enumerate() {
            let position = segment.start() + i;
            let (block, place) = (segment.blocks[position / tokens] as usize, position % tokens);
            for head in 0..heads {
                let from = (row * heads + head) * width..(row * heads + head + 1) * width;
                let at = sizes.keys_at(block, head, place);
                let panel = keys[at..at + width * PANEL].chunks_exact_mut(PANEL);
                panel.zip(&k[from.clone()]).for_each(|(to, from)| to[place % PANEL] = *from);
                let at = sizes.values_at(block, head, place);
                values[at..at + width].copy_from_slice(&v[from]);
            }
        }
    }
    Ok(())
}

pub(super) fn attention(
    (attention, segments): (&Attention, &[Segment]),
    (q, query_heads): (&[f32], usize),
    sizes: Sizes,
    [keys, values]: &[Buffer; 2],
    outputs: [&mut [f32]; 2],
) -> Result<()> {
    const OP: &str = "paged::attention";
    let spans: Vec<Span> =
        segments.iter().map(|Segment { q, len, .. }| Span { q: q.clone(), len: *len }).collect();
    let heads = Heads { queries: query_heads, keys: sizes.heads, width: sizes.width };
    let (k, v) = (keys.view().f32(OP, "keys")?, values.view().f32(OP, "values")?);
    let source = Paged { sizes, segments, k, v };
    tiles::forward(attention, &spans, heads, q, &source, outputs);
    Ok(())
}

struct Paged<'a> {
    sizes: Sizes,
    segments: &'a [Segment],
    k: &'a [f32],
    v: &'a [f32],
}

impl Source for Paged<'_> {
    fn tile<'s>(
        &'s self,
        span: usize,
        kv_head: usize,
        positions: Range<usize>,
        _: &'s mut TileScratch,
    ) -> KeyTile<'s> {
        let Sizes { tokens, width, .. } = self.sizes;
        let start = positions.start / KEY_TILE * KEY_TILE;
        let mut tile = KeyTile::default();
        for panel in (positions.start - start) / PANEL..(positions.end - start).div_ceil(PANEL) {
            let position = start + panel * PANEL;
            let block = self.segments[span].blocks[position / tokens] as usize;
            let at = self.sizes.keys_at(block, kv_head, position % tokens);
            tile.keys[panel] = Rows { data: &self.k[at..at + width * PANEL], stride: PANEL };
            let at = self.sizes.values_at(block, kv_head, position % tokens);
            let stride = padded(width);
            tile.values[panel] = Rows { data: &self.v[at..at + PANEL * stride], stride };
        }
        tile
    }
}
