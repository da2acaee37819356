//! The CPU side of [`super`]: blocks hold keys as the panels that the products read.

use std::ops::Range;

use super::{Attention, Blocks, Segment};
use crate::{
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

impl Blocks {
    /// Where the panel of some 32 places begins in `k`.
    fn keys_at(&self, block: usize, head: usize, place: usize) -> usize {
        (block * self.heads + head) * self.tokens * self.width + place / PANEL * PANEL * self.width
    }

    /// Where the row of a place begins in `v`.
    fn values_at(&self, block: usize, head: usize, place: usize) -> usize {
        ((block * self.heads + head) * self.tokens + place) * padded(self.width)
    }
}

pub(super) fn copy(blocks: &mut Blocks, from: usize, to: usize) -> Result<()> {
    const OP: &str = "paged::copy";
    for buffer in [&mut blocks.k, &mut blocks.v] {
        let len = buffer.dims().row_len();
        let values = buffer.view_mut().into_f32(OP, "blocks")?;
        values.copy_within(from * len..(from + 1) * len, to * len);
    }
    Ok(())
}

pub(super) fn append(
    blocks: &mut Blocks,
    segments: &[Segment],
    k: &[f32],
    v: &[f32],
) -> Result<()> {
    const OP: &str = "paged::append";
    let (heads, width, tokens) = (blocks.heads, blocks.width, blocks.tokens);
    for segment in segments {
        for (i, row) in segment.q.clone().enumerate() {
            let position = segment.start() + i;
            let (block, place) = (segment.blocks[position / tokens] as usize, position % tokens);
            for head in 0..heads {
                let from = (row * heads + head) * width..(row * heads + head + 1) * width;
                let at = blocks.keys_at(block, head, place);
                let keys = blocks.k.view_mut().into_f32(OP, "k")?;
                let panel = keys[at..at + width * PANEL].chunks_exact_mut(PANEL);
                panel.zip(&k[from.clone()]).for_each(|(to, from)| to[place % PANEL] = *from);
                let at = blocks.values_at(block, head, place);
                let values = blocks.v.view_mut().into_f32(OP, "v")?;
                values[at..at + width].copy_from_slice(&v[from]);
            }
        }
    }
    Ok(())
}

pub(super) fn attention(
    attention: &Attention,
    segments: &[Segment],
    q: &[f32],
    query_heads: usize,
    blocks: &Blocks,
    outputs: [&mut [f32]; 2],
) -> Result<()> {
    const OP: &str = "paged::attention";
    let spans: Vec<Span> =
        segments.iter().map(|Segment { q, len, .. }| Span { q: q.clone(), len: *len }).collect();
    let heads = Heads { queries: query_heads, keys: blocks.heads, width: blocks.width };
    let (k, v) = (blocks.k.view().f32(OP, "k")?, blocks.v.view().f32(OP, "v")?);
    let source = Paged { blocks, segments, k, v };
    tiles::forward(attention, &spans, heads, q, &source, outputs);
    Ok(())
}

struct Paged<'a> {
    blocks: &'a Blocks,
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
        let Blocks { tokens, width, .. } = *self.blocks;
        let start = positions.start / KEY_TILE * KEY_TILE;
        let mut tile = KeyTile::default();
        for panel in (positions.start - start) / PANEL..(positions.end - start).div_ceil(PANEL) {
            let position = start + panel * PANEL;
            let block = self.segments[span].blocks[position / tokens] as usize;
            let at = self.blocks.keys_at(block, kv_head, position % tokens);
            tile.keys[panel] = Rows { data: &self.k[at..at + width * PANEL], stride: PANEL };
            let at = self.blocks.values_at(block, kv_head, position % tokens);
            let stride = padded(width);
            tile.values[panel] = Rows { data: &self.v[at..at + PANEL * stride], stride };
        }
        tile
    }
}
