//! The segments of a batch as the kernels read them: tiles of queries with the keys they see.

use super::{Driver, size};
use crate::{
    cuda::Memory,
    error::Result,
    ops::attention::{Segment, check_segments},
};

/// Queries of one tile: `QUERY_TILE` of the sources.
const QUERY_TILE: usize = 64;
/// Keys of one tile of the backward pass: `KEYS` of its source.
const KEY_TILE: usize = 64;

/// Checked segments, uploaded: made once for a batch and read by every layer.
#[derive(Debug)]
pub struct Packing {
    /// `QueryTile` of the sources, eight words each; they cover all rows.
    pub(super) tiles: Memory<u32>,
    pub(super) tile_count: usize,
    /// `Visit` of the backward source, eight words each, by key tile; where each tile's begin.
    pub(super) visits: Memory<u32>,
    pub(super) starts: Memory<u32>,
    pub(super) key_tile_count: usize,
    /// T and S.
    pub(super) rows: usize,
    pub(super) kv_rows: usize,
}

impl Packing {
    /// Whether it was made on this driver for so many rows.
    pub(crate) fn is_for(&self, driver: &Driver, rows: [usize; 2]) -> bool {
        self.tiles.slice().driver() == driver && [self.rows, self.kv_rows] == rows
    }

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
        let visits = visits(segments, kv_rows);
        let mut starts = vec![0; visits.len() + 1];
        for (tile, visits) in visits.iter().enumerate() {
            starts[tile + 1] = starts[tile] + visits.len();
        }
        size(OP, "segments times key tiles", starts[visits.len()])?;
        let words = |all: &[[usize; 8]]| all.iter().flatten().map(|word| *word as u32).collect();
        let [tile_words, visit_words]: [Vec<u32>; 2] = [words(&tiles), words(&visits.concat())];
        let starts: Vec<u32> = starts.into_iter().map(|start| start as u32).collect();
        Ok(Self {
            tiles: Memory::upload(driver, &tile_words)?,
            tile_count: tiles.len(),
            visits: Memory::upload(driver, &visit_words)?,
            starts: Memory::upload(driver, &starts)?,
            key_tile_count: visits.len(),
            rows,
            kv_rows,
        })
    }
}

/// For each tile of key rows the fields of `Visit`, in its order: who sees which of them, segments in
/// order. Queries before the first key of a visit do not see it and are left out.
fn visits(segments: &[Segment], kv_rows: usize) -> Vec<Vec<[usize; 8]>> {
    let mut tiles = vec![Vec::new(); kv_rows.div_ceil(KEY_TILE)];
    for segment in segments {
        let (q, prefix) = (&segment.q, &segment.prefix);
        for (keys, at) in [(prefix, 0), (&segment.kv, prefix.len())] {
            if keys.is_empty() || q.is_empty() {
                continue;
            }
            let range = keys.start / KEY_TILE..keys.end.div_ceil(KEY_TILE);
            for (tile, visits) in range.clone().zip(&mut tiles[range]) {
                let first = keys.start.max(tile * KEY_TILE);
                let end = keys.end.min((tile + 1) * KEY_TILE);
                let key_position = at + first - keys.start;
                let skip = key_position.saturating_sub(segment.position(0));
                if skip >= q.len() {
                    continue;
                }
                let [row, count] = [q.start + skip, q.len() - skip];
                let [first, end] = [first, end].map(|key| key - tile * KEY_TILE);
                let position = segment.position(skip);
                visits.push([row, count, position, first, end, key_position, 0, 0]);
            }
        }
    }
    tiles
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
