//! Launches of `paged.cu`: the cache of keys and values in blocks, and attention over it. Meaning and
//! segments are those of [`crate::ops::paged`]; all tensors are bf16.

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

    /// The most parts that a row is cut into, as `span_of` of the source cuts it; with room, that a row
    /// may come to be cut into.
    fn splits(&self, window: usize) -> usize {
        if let Some(room) = self.room {
            // A window that does not begin with a part reaches into one more.
            return room.div_ceil(SPLIT).min(window.div_ceil(SPLIT).saturating_add(1)).max(1);
        }
        let parts = |&len: &usize| len.div_ceil(SPLIT) - len.saturating_sub(window) / SPLIT;
        self.lens.iter().map(parts).max().unwrap_or(0).max(1)
    }
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

/// Attention of the plan's rows over the cache. The parts of long rows are allocated here.
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
    (q, heads): (Slice<'_, bf16>, usize),
    cache: &Cache,
    (mut out, mut lse): (SliceMut<'_, bf16>, SliceMut<'_, f32>),
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
    let splits = plan.splits(sizes.window as usize);
    let parts = if splits > 1 { rows * splits * heads * (width + 2) } else { 0 };
    let mut partial = Memory::<f32>::unset(driver, parts)?;
    visit(driver, plan, sizes, q, cache, (out.reborrow(), lse.reborrow()), (&mut partial, splits))?;
    if splits == 1 {
        return Ok(());
    }
    let arguments = [
        partial.slice().into(),
        plan.spans.slice().into(),
        out.into(),
        lse.into(),
        sizes.width.into(),
        sizes.window.into(),
        (splits as u32).into(),
    ];
    let grid = [rows, heads];
    let launch = Launch { kernel: Kernel::PagedCombine, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: partial has room for `splits` parts of each row and head, at least as many as any row
    // is cut into, and the launch before wrote those; out and lse are borrowed exclusively.
    unsafe { driver.launch(&launch) }
}

/// The first launch: what one block sees goes to the outputs, parts of more to `partial`.
fn visit(
    driver: &Driver,
    plan: &Plan,
    sizes: Sizes,
    q: Slice<'_, bf16>,
    cache: &Cache,
    (out, lse): (SliceMut<'_, bf16>, SliceMut<'_, f32>),
    (partial, splits): (&mut Memory<f32>, usize),
) -> Result<()> {
    let Sizes { heads, kv_heads, width, scale, window } = sizes;
    let arguments = [
        q.into(),
        cache.k.slice().into(),
        cache.v.slice().into(),
        out.into(),
        lse.into(),
        partial.slice_mut().into(),
        plan.spans.slice().into(),
        plan.table.slice().into(),
        heads.into(),
        kv_heads.into(),
        width.into(),
        (cache.tokens as u32).into(),
        window.into(),
        (splits as u32).into(),
        scale.into(),
    ];
    let chunks = (heads / kv_heads).div_ceil(HEADS_PER_BLOCK as u32);
    let grid = [plan.lens.len() * splits, (kv_heads * chunks) as usize];
    let kernel = if width <= 64 { Kernel::PagedAttention64 } else { Kernel::PagedAttention128 };
    // SAFETY: the caller checked the lengths of the header's `Tensors`; spans and table are those of a
    // checked plan for a cache of this shape; partial has room for the parts of every row that has
    // more than one; out, lse and partial are borrowed exclusively.
    unsafe { driver.launch(&Launch { kernel, grid, block: BLOCK, arguments: &arguments }) }
}
