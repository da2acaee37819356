//! The segments of a batch as the kernels read them: tiles of queries with the keys they see.

use super::{Driver, size};
use crate::{
    cuda::Memory,
    error::Result,
    ops::attention::{Segment, check_segments},
};

/// Queries of one tile: `QUERY_TILE` of the sources.
const QUERY_TILE: usize = 64;

/// Checked segments, uploaded: made once for a batch and read by every layer.
#[derive(Debug)]
pub struct Packing {
    /// `QueryTile` of the sources, eight words each; they cover all rows.
    pub(super) tiles: Memory<u32>,
    pub(super) tile_count: usize,
    /// T and S.
    pub(super) rows: usize,
    pub(super) kv_rows: usize,
}

impl Packing {
    /// Checks the segments of `rows` queries and `kv_rows` keys, and uploads what the kernels need of
    /// them: a kernel cannot check.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for segments that leave the rows, overlap in their queries, are out
    /// of order, or have fewer keys of their own than queries; as [`Memory::upload`].
    pub fn upload(
        driver: &Driver,
        segments: &[Segment],
        [rows, kv_rows]: [usize; 2],
    ) -> Result<Self> {
        const OP: &str = "cuda::attention::Packing";
        check_segments(OP, segments, [rows, kv_rows])?;
        // A prefix and keys of its own: positions are below twice the keys.
        size(OP, "rows", rows)?;
        size(OP, "twice the key rows", kv_rows.saturating_mul(2))?;
        let tiles = query_tiles(segments, rows);
        let words: Vec<u32> = tiles.iter().flatten().map(|word| *word as u32).collect();
        Ok(Self { tiles: Memory::upload(driver, &words)?, tile_count: tiles.len(), rows, kv_rows })
    }
}

/// The fields of `QueryTile`, in its order. Rows of no segment are in tiles without keys.
fn query_tiles(segments: &[Segment], rows: usize) -> Vec<[usize; 8]> {
    let (mut tiles, mut next_row) = (Vec::new(), 0);
    let gap = |from: usize, to: usize| {
        (from..to)
            .step_by(QUERY_TILE)
            .map(move |row| [row, QUERY_TILE.min(to - row), 0, 0, 0, 0, 0, 0])
    };
    for segment in segments {
        let Segment { q, kv, prefix } = segment;
        tiles.extend(gap(next_row, q.start));
        tiles.extend((0..q.len()).step_by(QUERY_TILE).map(|i| {
            let (count, position) = (QUERY_TILE.min(q.len() - i), segment.position(i));
            [
                q.start + i,
                count,
                position,
                position + count,
                prefix.start,
                prefix.len(),
                kv.start,
                0,
            ]
        }));
        next_row = q.end;
    }
    tiles.extend(gap(next_row, rows));
    tiles
}
