//! The CPU side of [`super`]: blocks hold keys as the panels that the products read.

use std::{ops::Range, slice};

use rayon::prelude::*;

use super::{Attention, Segment, Sizes};
use crate::{
    Buffer,
    error::Result,
    ops::{
        attention::{
            KEY_TILE,
            tiles::{self, Heads, KeyTile, Source, Span, TileScratch, padded},
        },
        matmul::tile::{PANEL, Rows},
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
    let keys = keys.view_mut().into_f32(OP, "keys")?;
    let values = values.view_mut().into_f32(OP, "values")?;
    let elements = sizes.count * sizes.heads * sizes.tokens;
    assert!(keys.len() == elements * sizes.width, "paged::append: keys");
    assert!(values.len() == elements * padded(sizes.width), "paged::append: values");
    let places = Places { sizes, keys: keys.as_mut_ptr(), values: values.as_mut_ptr() };
    // SAFETY: the caller has checked that the blocks are there, and so are all places in them. Tasks write
    // to no block in common; on this thread alone it does not matter.
    let store = |segment: &Segment| unsafe { places.store(segment, k, v) };
    if write_apart(sizes.tokens, segments) {
        segments.par_iter().for_each(store);
    } else {
        segments.iter().for_each(store);
    }
    Ok(())
}

/// Whether no two segments write to the same block.
pub(super) fn write_apart(tokens: usize, segments: &[Segment]) -> bool {
    let mut blocks: Vec<u32> = Vec::with_capacity(segments.len());
    for segment in segments.iter().filter(|segment| !segment.q.is_empty()) {
        let (first, last) = (segment.start() / tokens, (segment.len - 1) / tokens);
        blocks.extend(&segment.blocks[first..=last]);
    }
    blocks.sort_unstable();
    blocks.windows(2).all(|pair| pair[0] != pair[1])
}

/// All keys and values of a cache, for tasks that write to blocks of their own.
struct Places {
    sizes: Sizes,
    keys: *mut f32,
    values: *mut f32,
}

// SAFETY: tasks that share this write to different blocks, as `store` asks.
unsafe impl Sync for Places {}

impl Places {
    /// Stores the keys and values of a segment's queries.
    ///
    /// # Safety
    /// The segment's blocks must be there, and nobody else may touch those that this writes to.
    unsafe fn store(&self, segment: &Segment, k: &[f32], v: &[f32]) {
        let Sizes { heads, width, tokens, .. } = self.sizes;
        for (i, row) in segment.q.clone().enumerate() {
            let position = segment.start() + i;
            let (block, place) = (segment.blocks[position / tokens] as usize, position % tokens);
            for head in 0..heads {
                let from = (row * heads + head) * width..(row * heads + head + 1) * width;
                let at = [
                    self.sizes.keys_at(block, head, place),
                    self.sizes.values_at(block, head, place),
                ];
                // SAFETY: a panel and a row of a block that is there and in nobody else's hands.
                let (panel, value) = unsafe {
                    (
                        slice::from_raw_parts_mut(self.keys.add(at[0]), width * PANEL),
                        slice::from_raw_parts_mut(self.values.add(at[1]), width),
                    )
                };
                let columns = panel.chunks_exact_mut(PANEL).zip(&k[from.clone()]);
                columns.for_each(|(to, from)| to[place % PANEL] = *from);
                value.copy_from_slice(&v[from]);
            }
        }
    }
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
