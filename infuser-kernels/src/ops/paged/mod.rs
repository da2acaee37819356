//! Attention over keys and values that lie in blocks of a cache.
//!
//! A sequence owns a list of blocks; the key of position `p` is in its block `p / tokens`, at place
//! `p % tokens`. Sequences may share blocks, as the samples of one prompt share the prompt's
//! (PagedAttention, Kwon et al. 2023). The arithmetic is [`attention`](super::attention)'s: a row has
//! the bits it would have in a batch of whole sequences, whatever the size and order of the blocks.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use std::{
    ops::{Deref, Range},
    sync::{Arc, OnceLock},
};

pub use super::attention::Attention;
use super::attention::check_window;
use crate::{
    Buffer, Device, View, ViewMut, check,
    cuda::{
        Arena, in_place, kept,
        paged::{Cache, Plan},
    },
    error::{Error, Result},
};

/// Block sizes are multiples of this many tokens.
pub const BLOCK_UNIT: usize = 32;

/// The keys and values of one layer, in blocks.
#[derive(Debug)]
pub struct Blocks {
    sizes: Sizes,
    storage: Storage,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    count: usize,
    tokens: usize,
    /// K and E.
    heads: usize,
    width: usize,
}

/// Keys and values in the layout of the device.
#[derive(Debug)]
enum Storage {
    /// Keys `[blocks, K, panels, E, 32]`, a column a token; values `[blocks, K, tokens, E]`, rows padded
    /// to multiples of 32.
    Cpu([Buffer; 2]),
    Cuda(Cache),
}

/// Consecutive queries of one sequence, the last of which stands at its last position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Rows of the query tensor. Segments are listed in this order and do not overlap in it.
    pub q: Range<usize>,
    /// Positions of the sequence, those of the queries included.
    pub len: usize,
    /// The blocks of its positions.
    pub blocks: Vec<u32>,
}

/// The segments of a step, with what a device has made of them: every layer reads that, and it is made
/// once.
#[derive(Debug, Default)]
pub struct Segments {
    list: Vec<Segment>,
    /// Positions that a row may come to see, if others are to take the place of these.
    room: Option<usize>,
    plan: OnceLock<Arc<Plan>>,
}

impl From<Vec<Segment>> for Segments {
    fn from(list: Vec<Segment>) -> Self {
        Self { list, room: None, plan: OnceLock::new() }
    }
}

impl Deref for Segments {
    type Target = [Segment];

    fn deref(&self) -> &[Segment] {
        &self.list
    }
}

impl Segments {
    /// These segments, with room for others of up to `room` positions in their place. More room takes more
    /// work, and changes no result.
    pub fn with_room(list: Vec<Segment>, room: usize) -> Self {
        Self { list, room: Some(room), plan: OnceLock::new() }
    }

    /// Puts others, of as many rows, in the place of these: what was recorded with these
    /// ([`crate::cuda::Graph`]) sees the new ones.
    ///
    /// # Errors
    /// [`Error::Argument`] for segments that leave rows, blocks or room; [`Error::Driver`] if they cannot
    /// be uploaded.
    pub fn set(&mut self, list: Vec<Segment>) -> Result<()> {
        self.list = list;
        in_place(&mut self.plan, |plan| plan.set(&self.list))
    }

    /// Uploaded for so many rows and a cache of this shape.
    fn plan(&self, rows: usize, cache: &Cache) -> Result<Arc<Plan>> {
        let driver = cache.driver().in_arena(Arena::Activations);
        let upload = || Plan::upload(&driver, &self.list, (rows, self.room), cache);
        kept(&self.plan, |plan| plan.is_for(rows, cache), upload)
    }
}

impl Segment {
    /// The position of the first query.
    pub(crate) fn start(&self) -> usize {
        self.len - self.q.len()
    }
}

impl Blocks {
    /// `count` blocks of `tokens` tokens, for K heads of width E. What they hold is not read before
    /// [`append`] wrote it.
    ///
    /// # Errors
    /// [`Error::Argument`] if `tokens` is no multiple of [`BLOCK_UNIT`]; [`Error::Memory`] if there
    /// is no room.
    pub fn new(
        device: &Device,
        count: usize,
        tokens: usize,
        [heads, width]: [usize; 2],
    ) -> Result<Self> {
        if tokens == 0 || !tokens.is_multiple_of(BLOCK_UNIT) {
            let problem = format!("blocks of {tokens} tokens, expected a multiple of {BLOCK_UNIT}");
            return Err(Error::argument("paged::Blocks", problem));
        }
        let padded = width.next_multiple_of(BLOCK_UNIT);
        let storage = match device {
            Device::Cpu => Storage::Cpu([
                device.zeros_f32(&[count, heads, tokens * width])?,
                device.zeros_f32(&[count, heads, tokens * padded])?,
            ]),
            Device::Cuda(driver) => {
                Storage::Cuda(Cache::new(driver, count, tokens, [heads, width])?)
            }
        };
        Ok(Self { sizes: Sizes { count, tokens, heads, width }, storage })
    }

    /// Tokens of a block.
    pub fn tokens(&self) -> usize {
        self.sizes.tokens
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        match &self.storage {
            Storage::Cpu(both) => both.iter().map(Buffer::size_bytes).sum(),
            Storage::Cuda(cache) => cache.size_bytes(),
        }
    }

    /// Bytes that one token takes on a device, with K heads of width E.
    pub fn bytes_per_token(device: &Device, sizes: [usize; 2]) -> u128 {
        let [heads, width] = sizes.map(|size| size as u128);
        match device {
            Device::Cpu => 4 * heads * (width + width.next_multiple_of(BLOCK_UNIT as u128)),
            Device::Cuda(_) => 2 * 2 * heads * width,
        }
    }

    /// Copies what block `from` holds into block `to`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such block.
    pub fn copy(&mut self, from: u32, to: u32) -> Result<()> {
        for block in [from, to] {
            if block as usize >= self.sizes.count {
                let problem = format!("block {block} of {}", self.sizes.count);
                return Err(Error::argument("paged::copy", problem));
            }
        }
        match &mut self.storage {
            Storage::Cpu(both) => cpu::copy(both, from as usize, to as usize),
            Storage::Cuda(cache) => cache.copy(from, to),
        }
    }

    fn check(&self, op: &'static str, segments: &[Segment], rows: usize) -> Result<()> {
        check_segments(op, segments, rows, [self.sizes.count, self.sizes.tokens])
    }
}

/// Checks that the segments fit `rows` rows and `count` blocks of `tokens` tokens.
pub(crate) fn check_segments(
    op: &'static str,
    segments: &[Segment],
    rows: usize,
    [count, tokens]: [usize; 2],
) -> Result<()> {
    let mut next_row = 0;
    for (i, Segment { q, len, blocks }) in segments.iter().enumerate() {
        let fail = |what: String| Err(Error::argument(op, format!("segment {i}: {what}")));
        if q.start > q.end || q.start < next_row || q.end > rows {
            return fail(format!("queries {q:?} are not after row {next_row} and within {rows}"));
        }
        if *len < q.len() {
            return fail(format!("{} queries but only {len} positions", q.len()));
        }
        if blocks.len() * tokens < *len {
            let held = blocks.len();
            return fail(format!("{len} positions in {held} blocks of {tokens} tokens"));
        }
        if let Some(block) = blocks.iter().find(|block| **block as usize >= count) {
            return fail(format!("block {block} of {count}"));
        }
        next_row = q.end;
    }
    Ok(())
}

/// Stores the keys and values of the segments' queries at their positions.
///
/// A block that this writes to must belong to one sequence alone.
///
/// # Shapes
/// `k`, `v`: `[T, K, E]`.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit; [`Error::Argument`] for segments that leave
/// the rows or the blocks.
pub fn append(blocks: &mut Blocks, segments: &Segments, k: View<'_>, v: View<'_>) -> Result<()> {
    const OP: &str = "paged::append";
    let [rows, _, _] = check::cube(OP, "k", k.dims())?;
    let Sizes { heads, width, .. } = blocks.sizes;
    check::shape(OP, "k", k.dims(), &[rows, heads, width])?;
    check::shape(OP, "v", v.dims(), &[rows, heads, width])?;
    blocks.check(OP, segments, rows)?;
    match &mut blocks.storage {
        Storage::Cpu(both) => {
            cpu::append(blocks.sizes, both, segments, k.f32(OP, "k")?, v.f32(OP, "v")?)
        }
        Storage::Cuda(cache) => cuda::append(OP, cache, segments, [k, v]),
    }
}

/// [`attention::forward`](super::attention::forward) with keys and values in blocks.
///
/// # Shapes
/// `q`, `out`: `[T, H, E]`, with the blocks' heads dividing H; `lse`: `[T, H]`.
///
/// # Errors
/// As [`append`], and [`Error::Argument`] for a window of 0.
pub fn attention(
    attention: &Attention,
    segments: &Segments,
    q: View<'_>,
    blocks: &Blocks,
    out: ViewMut<'_>,
    lse: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "paged::attention";
    let [rows, heads, _] = check::cube(OP, "q", q.dims())?;
    let Sizes { heads: kv_heads, width, .. } = blocks.sizes;
    check::shape(OP, "q", q.dims(), &[rows, heads, width])?;
    check::shape(OP, "out", out.dims(), q.dims().axes())?;
    check::shape(OP, "lse", lse.dims(), &[rows, heads])?;
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        let problem = format!("{heads} query heads cannot share {kv_heads} key heads evenly");
        return Err(Error::argument(OP, problem));
    }
    check_window(OP, attention)?;
    blocks.check(OP, segments, rows)?;
    match &blocks.storage {
        Storage::Cpu(both) => {
            let outputs = [out.into_f32(OP, "out")?, lse.into_f32(OP, "lse")?];
            let q = (q.f32(OP, "q")?, heads);
            cpu::attention((attention, segments), q, blocks.sizes, both, outputs)
        }
        Storage::Cuda(cache) => {
            cuda::attention(OP, (attention, segments), (q, heads), cache, [out, lse])
        }
    }
}
