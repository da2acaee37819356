//! The CPU side of [`super`]: tiles of queries against tiles of keys.

mod backward;
mod packed;
pub(in crate::ops) mod tiles;

pub(super) use backward::{Saved, backward};
pub(super) use packed::forward;

use std::ops::Range;

use super::{Attention, Segment, Sizes, segment::Stretch};
use crate::ops::matmul::Factor;

/// Queries of one tile.
const QUERY_TILE: usize = 64;
/// Keys of one tile.
pub(in crate::ops) const KEY_TILE: usize = 128;

/// Consecutive queries of one segment.
#[derive(Debug, Clone)]
struct Queries<'a> {
    segment: &'a Segment,
    /// Counted from the segment's first query.
    range: Range<usize>,
}

/// Consecutive keys that some of a tile's queries see.
#[derive(Debug, Clone)]
struct Keys {
    /// Rows of the key tensor.
    rows: Range<usize>,
    stretch: Stretch,
    /// Where `rows` begins in the stretch.
    start: usize,
}

impl<'a> Queries<'a> {
    /// The tiles of a segment's queries.
    fn tiles(segment: &'a Segment) -> impl Iterator<Item = Queries<'a>> {
        let len = segment.q.len();
        (0..len)
            .step_by(QUERY_TILE)
            .map(move |i| Queries { segment, range: i..(i + QUERY_TILE).min(len) })
    }

    /// The tiles of keys that at least one of these queries sees.
    fn key_tiles(&self, window: Option<usize>) -> impl Iterator<Item = Keys> + use<'a> {
        let first = self.segment.position(self.range.start);
        let last = self.segment.position(self.range.end - 1);
        self.segment.stretches().into_iter().flat_map(move |stretch| {
            let seen = stretch.visible(first, window).start..stretch.visible(last, window).end;
            let (end, base) = (seen.end, stretch.rows.start);
            seen.step_by(KEY_TILE).map(move |start| Keys {
                rows: base + start..base + (start + KEY_TILE).min(end),
                stretch: stretch.clone(),
                start,
            })
        })
    }

    /// Which of `keys`, counted from the tile's first, query `i` of this tile sees.
    fn visible(&self, i: usize, keys: &Keys, window: Option<usize>) -> Range<usize> {
        let position = self.segment.position(self.range.start + i);
        let seen = keys.stretch.visible(position, window);
        let within = |at: usize| at.clamp(keys.start, keys.start + keys.rows.len()) - keys.start;
        within(seen.start)..within(seen.end)
    }

    /// Rows of the query tensor.
    fn rows(&self) -> Range<usize> {
        self.segment.q.start + self.range.start..self.segment.q.start + self.range.end
    }

    fn len(&self) -> usize {
        self.range.len()
    }
}

/// One head's columns of a `[rows, heads, width]` tensor, from row `row` on.
fn head(data: &[f32], row: usize, head: usize, heads: usize, width: usize) -> Factor<'_> {
    Factor { data: &data[(row * heads + head) * width..], rows: heads * width, cols: 1 }
}

/// The same values with rows and columns exchanged.
fn flip(factor: Factor<'_>) -> Factor<'_> {
    Factor { rows: factor.cols, cols: factor.rows, ..factor }
}

/// A contiguous tile as a factor.
fn tile(data: &[f32], cols: usize) -> Factor<'_> {
    Factor { data, rows: cols, cols: 1 }
}
