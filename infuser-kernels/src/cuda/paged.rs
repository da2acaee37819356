//! Launches of `paged.cu`: the cache of keys and values in blocks, and attention over it. Meaning and
//! segments are those of [`crate::ops::paged`]; all tensors are bf16.

use std::ops::Range;

use half::bf16;

use super::{
    Driver, Kernel, Memory, Slice, SliceMut,
    attention::Sizes,
    launch::{Launch, size},
    memory::{check_aligned, check_len},
};
use crate::{
    error::{Error, Result},
    ops::{
        attention::Attention,
        paged::{BLOCK_UNIT, Segment, check_segments},
    },
};

/// Threads a block: four warps, `WARPS` of the source.
const BLOCK: u32 = 128;
/// Positions of a row that one block visits: `SPLIT` of the source.
const SPLIT: usize = 256;
/// Query heads that one block computes: `HEADS_PER_BLOCK` of the source.
const HEADS_PER_BLOCK: usize = 4;
/// Bytes of the parts that are held at once, unless one row has more: those of some ten thousand blocks.
const PARTS_BYTES: usize = 64 << 20;
/// A row that stores nothing: `NO_SLOT` of the source.
const NO_SLOT: u32 = u32::MAX;
/// The keys and values of one layer, in blocks: each `[blocks, tokens, K, E]`.
#[derive(Debug)]
pub struct Cache {
    pub(super) k: Memory<bf16>,
    pub(super) v: Memory<bf16>,
    count: usize,
    tokens: usize,
    heads: usize,
    width: usize,
}

impl Cache {
    /// `count` blocks of `tokens` tokens, for K heads of width E. What they hold is not read before
    /// [`append`] wrote it.
    ///
    /// # Errors
    /// [`Error::Argument`] if `tokens` is no multiple of [`BLOCK_UNIT`], or there are more places than
    /// 2³¹; [`Error::Memory`] if there is no room.
    pub fn new(
        driver: &Driver,
        count: usize,
        tokens: usize,
        [heads, width]: [usize; 2],
    ) -> Result<Self> {
        const OP: &str = "cuda::paged::Cache";
        if tokens == 0 || !tokens.is_multiple_of(BLOCK_UNIT) {
            let problem = format!("blocks of {tokens} tokens, expected a multiple of {BLOCK_UNIT}");
            return Err(Error::argument(OP, problem));
        }
        size(OP, "blocks times tokens", count.saturating_mul(tokens))?;
        size(OP, "heads times width", heads.saturating_mul(width))?;
        let len = crate::Dims::new(&[count, tokens, heads, width])?.len();
        let (k, v) = (Memory::unset(driver, len)?, Memory::unset(driver, len)?);
        Ok(Self { k, v, count, tokens, heads, width })
    }

    /// Copies what block `from` holds into block `to`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such block; [`Error::Launch`] if the driver refuses.
    pub fn copy(&mut self, from: u32, to: u32) -> Result<()> {
        const OP: &str = "cuda::paged::copy";
        if let Some(block) = [from, to].into_iter().find(|block| *block as usize >= self.count) {
            return Err(Error::argument(OP, format!("block {block} of {}", self.count)));
        }
        if from == to || self.heads * self.width == 0 {
            return Ok(());
        }
        let (tokens, driver) = (self.tokens as u32, self.driver().clone());
        let arguments = [
            self.k.slice_mut().into(),
            self.v.slice_mut().into(),
            (from * tokens).into(),
            (to * tokens).into(),
            size(OP, "heads times width", self.heads * self.width)?.into(),
        ];
        let grid = [self.tokens, 1];
        let launch = Launch { kernel: Kernel::KvCopy, grid, block: BLOCK, arguments: &arguments };
        // SAFETY: both blocks are in the cache, as checked, and different, so the places of the grid
        // are disjoint rows of both tensors; places number less than 2³¹, as `new` checked.
        unsafe { driver.launch(&launch) }
    }

    /// Its driver.
    pub fn driver(&self) -> &Driver {
        self.k.slice().driver()
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        2 * size_of::<bf16>() * self.k.len()
    }
}

/// Where the rows of a call are stored, and what they see: checked against a cache's shape, uploaded.
#[derive(Debug)]
pub struct Plan {
    /// Place of each row, `[T]`.
    slots: Memory<u32>,
    /// Positions and place in `table` of each row, `[T, 2]`.
    spans: Memory<u32>,
    /// The blocks of all segments.
    table: Memory<u32>,
    /// Positions that each row sees without a window.
    lens: Vec<usize>,
    /// Positions that a row may come to see, if there is room for more than those.
    room: Option<usize>,
    count: usize,
    tokens: usize,
}

/// What a plan is made of, on the host.
struct Words {
    slots: Vec<u32>,
    spans: Vec<u32>,
    table: Vec<u32>,
    lens: Vec<usize>,
}

impl Words {
    /// Checks the segments of `rows` rows against a cache's shape: a kernel cannot check.
    fn new(segments: &[Segment], rows: usize, [count, tokens]: [usize; 2]) -> Result<Self> {
        const OP: &str = "cuda::paged::Plan";
        check_segments(OP, segments, rows, [count, tokens])?;
        size(OP, "blocks", segments.iter().map(|segment| segment.blocks.len()).sum())?;
        let (mut slots, mut lens) = (vec![NO_SLOT; rows], vec![0; rows]);
        let (mut spans, mut table) = (vec![0; 2 * rows], Vec::new());
        for segment in segments {
            for (i, row) in segment.q.clone().enumerate() {
                let position = segment.start() + i;
                let block = segment.blocks[position / tokens] as usize;
                slots[row] = (block * tokens + position % tokens) as u32;
                lens[row] = position + 1;
                let len = size(OP, "positions", position + 1)?;
                spans[2 * row..][..2].copy_from_slice(&[len, table.len() as u32]);
            }
            // Blocks of positions that are not there yet are not read.
            table.extend_from_slice(&segment.blocks[..segment.len.div_ceil(tokens)]);
        }
        Ok(Self { slots, spans, table, lens })
    }
}

impl Plan {
    /// Checks the segments of `rows` rows, and uploads where they are. With `room`, `Plan::set` can put
    /// others in their place that see up to so many positions a row.
    ///
    /// # Errors
    /// [`Error::Argument`] for segments that leave the rows, the blocks or the room; as [`Memory::upload`].
    pub fn upload(
        driver: &Driver,
        segments: &[Segment],
        (rows, room): (usize, Option<usize>),
        cache: &Cache,
    ) -> Result<Self> {
        let Cache { count, tokens, .. } = *cache;
        let Words { slots, spans, mut table, lens } = Words::new(segments, rows, [count, tokens])?;
        check_room(&lens, room)?;
        if let Some(room) = room {
            table.resize(table.len().max(rows * room.div_ceil(tokens)), 0);
        }
        let [slots, spans, table] = [slots, spans, table].map(|all| Memory::upload(driver, &all));
        Ok(Self { slots: slots?, spans: spans?, table: table?, lens, room, count, tokens })
    }

    /// Other segments of as many rows in the place of these.
    ///
    /// # Errors
    /// As [`Plan::upload`]; [`Error::Argument`] too where there are more blocks than there is room for.
    pub(crate) fn set(&mut self, segments: &[Segment]) -> Result<()> {
        let rows = self.lens.len();
        let Words { slots, spans, table, lens } =
            Words::new(segments, rows, [self.count, self.tokens])?;
        check_room(&lens, Some(self.room.unwrap_or(0)))?;
        self.slots.slice_mut().upload(&slots)?;
        self.spans.slice_mut().upload(&spans)?;
        self.table.slice_mut().range(0..table.len())?.upload(&table)?;
        self.lens = lens;
        Ok(())
    }

    /// Whether it was made for so many rows and a cache of this shape, on its driver.
    pub(crate) fn is_for(&self, rows: usize, cache: &Cache) -> bool {
        let same = self.slots.slice().driver() == cache.driver() && self.lens.len() == rows;
        same && [self.count, self.tokens] == [cache.count, cache.tokens]
    }

    fn check(&self, op: &'static str, cache: &Cache) -> Result<()> {
        if [self.count, self.tokens] == [cache.count, cache.tokens] {
            return Ok(());
        }
        let problem = format!(
            "`plan` is for {} blocks of {} tokens, the cache has {} of {}",
            self.count, self.tokens, cache.count, cache.tokens
        );
        Err(Error::argument(op, problem))
    }

    /// How many parts each row is cut into, as `span_of` of the source cuts it, and at least one; with room,
    /// how many it may come to be cut into.
    fn parts(&self, window: usize) -> impl Iterator<Item = usize> {
        let parts = move |len: usize| match self.room {
            // A window that does not begin with a part reaches into one more.
            Some(room) => room.div_ceil(SPLIT).min(window.div_ceil(SPLIT).saturating_add(1)),
            None => len.div_ceil(SPLIT) - len.saturating_sub(window) / SPLIT,
        };
        self.lens.iter().map(move |len| parts(*len).max(1))
    }
}

/// Rows that are computed together, and the most parts that one of them is cut into.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    rows: Range<usize>,
    splits: usize,
}

impl Chunk {
    /// Parts that there is room for: none where all rows are whole.
    fn parts(&self) -> usize {
        if self.splits > 1 { self.rows.len() * self.splits } else { 0 }
    }
}

/// Cuts rows of so many parts each in chunks of up to `most`, or of a single row.
fn chunks(parts: impl Iterator<Item = usize>, most: usize) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for (row, splits) in parts.enumerate() {
        let longer = chunks
            .last()
            .map(|last| Chunk { rows: last.rows.start..row + 1, splits: last.splits.max(splits) });
        match (chunks.last_mut(), longer.filter(|longer| longer.parts() <= most)) {
            (Some(last), Some(longer)) => *last = longer,
            _ => chunks.push(Chunk { rows: row..row + 1, splits }),
        }
    }
    chunks
}

/// No row sees more than there is room for.
fn check_room(lens: &[usize], room: Option<usize>) -> Result<()> {
    let Some(room) = room else { return Ok(()) };
    match lens.iter().find(|len| **len > room) {
        None => Ok(()),
        Some(len) => {
            let problem = format!("a row sees {len} positions, but there is room for {room}");
            Err(Error::argument("cuda::paged::Plan", problem))
        }
    }
}

/// Stores the keys and values of the plan's rows at their positions.
///
/// A block that this writes to must belong to one sequence alone.
///
/// # Shapes
/// `k`, `v`: `[T, K, E]`.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit; [`Error::Argument`] for one that is not
/// aligned to 16 bytes, or a plan for another cache; [`Error::Launch`] if the driver refuses.
pub fn append(
    driver: &Driver,
    cache: &mut Cache,
    plan: &Plan,
    [k, v]: [Slice<'_, bf16>; 2],
) -> Result<()> {
    const OP: &str = "cuda::paged::append";
    plan.check(OP, cache)?;
    let (rows, width) = (plan.lens.len(), cache.heads * cache.width);
    for (tensor, slice) in [("k", &k), ("v", &v)] {
        check_len(OP, tensor, slice.len, &[rows, cache.heads, cache.width])?;
        check_aligned(OP, tensor, slice.address)?;
    }
    if rows == 0 || width == 0 {
        return Ok(());
    }
    let arguments = [
        k.into(),
        v.into(),
        plan.slots.slice().into(),
        cache.k.slice_mut().into(),
        cache.v.slice_mut().into(),
        size(OP, "heads times width", width)?.into(),
    ];
    let grid = [rows, 1];
    let launch = Launch { kernel: Kernel::KvAppend, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: the lengths above are those of the header's `Tensors`; every slot is a place of a cache
    // of this shape, and no two rows of a checked plan have one place unless sequences share a block
    // that is written, where the result is one of both; the cache is borrowed exclusively.
    unsafe { driver.launch(&launch) }
}

/// Attention of the plan's rows over the cache. The parts of long rows are allocated here; where they are too
/// many to hold, rows are computed in turn.
///
/// # Shapes
/// `q`, `out`: `[T, H, E]`, with the cache's heads dividing H; `lse`: `[T, H]`.
///
/// # Errors
/// As [`append`]; [`Error::Argument`] for heads that do not divide, a head of width 0 or above 128, or a
/// window of 0; [`Error::Memory`] without room for the parts.
pub fn attention(
    driver: &Driver,
    attention: &Attention,
    plan: &Plan,
    q: (Slice<'_, bf16>, usize),
    cache: &Cache,
    outputs: (SliceMut<'_, bf16>, SliceMut<'_, f32>),
) -> Result<()> {
    attention_within(driver, attention, plan, q, cache, outputs, PARTS_BYTES)
}

/// As [`attention`], with parts of up to so many bytes at once.
pub(super) fn attention_within(
    driver: &Driver,
    attention: &Attention,
    plan: &Plan,
    (q, heads): (Slice<'_, bf16>, usize),
    cache: &Cache,
    (mut out, mut lse): (SliceMut<'_, bf16>, SliceMut<'_, f32>),
    bytes: usize,
) -> Result<()> {
    const OP: &str = "cuda::paged::attention";
    plan.check(OP, cache)?;
    let (rows, width) = (plan.lens.len(), cache.width);
    check_len(OP, "q", q.len, &[rows, heads, width])?;
    check_aligned(OP, "q", q.address)?;
    check_len(OP, "out", out.len, &[rows, heads, width])?;
    check_len(OP, "lse", lse.len, &[rows, heads])?;
    let sizes = Sizes::new(OP, attention, [heads, cache.heads, width])?;
    if rows == 0 || heads == 0 {
        return Ok(());
    }
    // Floats of a part of one row.
    let part = heads * (width + 2);
    let chunks = chunks(plan.parts(sizes.window as usize), bytes / size_of::<f32>() / part);
    let most = chunks.iter().map(Chunk::parts).max().unwrap_or(0);
    let mut partial = Memory::<f32>::unset(driver, most * part)?;
    for Chunk { rows, splits } in chunks {
        let of = |each: usize| rows.start * each..rows.end * each;
        let mut own = Rows {
            q: q.range(of(heads * width))?,
            spans: plan.spans.slice().range(of(2))?,
            out: out.reborrow().range(of(heads * width))?,
            lse: lse.reborrow().range(of(heads))?,
            count: rows.len(),
            splits,
        };
        visit(driver, plan, sizes, cache, &mut own, &mut partial)?;
        if splits > 1 {
            combine(driver, sizes, own, &partial)?;
        }
    }
    Ok(())
}

/// The rows of a chunk.
struct Rows<'a> {
    q: Slice<'a, bf16>,
    spans: Slice<'a, u32>,
    out: SliceMut<'a, bf16>,
    lse: SliceMut<'a, f32>,
    count: usize,
    /// The most parts that one of them is cut into.
    splits: usize,
}

/// The first launch: what one block sees goes to the outputs, parts of more to `partial`.
fn visit(
    driver: &Driver,
    plan: &Plan,
    sizes: Sizes,
    cache: &Cache,
    rows: &mut Rows<'_>,
    partial: &mut Memory<f32>,
) -> Result<()> {
    let Sizes { heads, kv_heads, width, scale, window } = sizes;
    let arguments = [
        rows.q.into(),
        cache.k.slice().into(),
        cache.v.slice().into(),
        rows.out.reborrow().into(),
        rows.lse.reborrow().into(),
        partial.slice_mut().into(),
        rows.spans.into(),
        plan.table.slice().into(),
        heads.into(),
        kv_heads.into(),
        width.into(),
        (cache.tokens as u32).into(),
        window.into(),
        (rows.splits as u32).into(),
        scale.into(),
    ];
    let chunks = (heads / kv_heads).div_ceil(HEADS_PER_BLOCK as u32);
    let grid = [rows.count * rows.splits, (kv_heads * chunks) as usize];
    let kernel = if width <= 64 { Kernel::PagedAttention64 } else { Kernel::PagedAttention128 };
    // SAFETY: the caller checked the lengths of the header's `Tensors`, of which these are the same rows;
    // spans and table are those of a checked plan for a cache of this shape; partial has room for `splits`
    // parts of every row of a chunk that has more than one; out, lse and partial are borrowed exclusively.
    unsafe { driver.launch(&Launch { kernel, grid, block: BLOCK, arguments: &arguments }) }
}

/// The second launch: puts the parts together.
fn combine(driver: &Driver, sizes: Sizes, rows: Rows<'_>, partial: &Memory<f32>) -> Result<()> {
    let arguments = [
        partial.slice().into(),
        rows.spans.into(),
        rows.out.into(),
        rows.lse.into(),
        sizes.width.into(),
        sizes.window.into(),
        (rows.splits as u32).into(),
    ];
    let grid = [rows.count, sizes.heads as usize];
    let launch = Launch { kernel: Kernel::PagedCombine, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: partial has room for `splits` parts of each row and head, at least as many as any row
    // is cut into, and the launch before wrote those; out and lse are borrowed exclusively.
    unsafe { driver.launch(&launch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_as_many_parts_as_they_may() {
        let cut = |parts: &[usize], most| {
            let chunks = chunks(parts.iter().copied(), most);
            chunks.into_iter().map(|Chunk { rows, splits }| (rows, splits)).collect::<Vec<_>>()
        };
        assert_eq!(cut(&[], 4), []);
        // Whole rows have no parts.
        assert_eq!(cut(&[1; 9], 0), [(0..9, 1)]);
        assert_eq!(cut(&[1, 1, 1, 2, 1, 1], 4), [(0..3, 1), (3..5, 2), (5..6, 1)]);
        // A row with more than all may have is alone.
        assert_eq!(cut(&[1, 2, 9, 2, 2, 3], 6), [(0..2, 2), (2..3, 9), (3..5, 2), (5..6, 3)]);
        assert_eq!(cut(&[2; 5], 4), [(0..2, 2), (2..4, 2), (4..5, 2)]);
        let long: Vec<usize> = (0..8192).map(|row| 120 + row / 1024).collect();
        let most = 4033;
        let all = chunks(long.iter().copied(), most);
        assert!(all.iter().all(|chunk| chunk.parts() <= most) && all.len() < 270);
        assert_eq!(all.iter().map(|chunk| chunk.rows.len()).sum::<usize>(), long.len());
    }
}
