//! The CUDA side of [`super`]: the vocabulary in tiles, whose logits exist one tile at a time.

use std::ops::Range;

use super::{Head, Outputs, Sizes, Upstream};
use crate::{
    View, ViewMut, Write,
    cuda::{
        self, Driver, Memory, Operands, Slice,
        head::{State, Targets, Tile},
        matmul,
    },
    error::Result,
};

/// Size of the logits that exist at one time: enough columns for the products of many rows.
const SCRATCH_BYTES: usize = 128 << 20;
/// Columns of a tile are a multiple of this, so that its rows of the weight are aligned.
const COLUMNS: usize = 8;

/// The tiles of the vocabulary.
fn tiles(sizes: &Sizes) -> impl Iterator<Item = Range<usize>> {
    let Sizes { rows, vocab, .. } = *sizes;
    let step = (SCRATCH_BYTES / (4 * rows.max(1))).max(COLUMNS) / COLUMNS * COLUMNS;
    let step = step.min(vocab.next_multiple_of(COLUMNS)).max(COLUMNS);
    (0..vocab).step_by(step).map(move |start| start..vocab.min(start + step))
}

/// The product behind a tile, before the temperature.
struct Logits<'a> {
    on: Operands<'a>,
    x: Slice<'a, half::bf16>,
    weight: View<'a>,
    sizes: Sizes,
    temperature: f32,
    memory: Memory<f32>,
}

impl<'a> Logits<'a> {
    fn new(on: Operands<'a>, head: &Head<'a>, sizes: &Sizes, columns: usize) -> Result<Self> {
        Ok(Self {
            on,
            x: on.bf16("x", head.x)?,
            weight: head.weight,
            sizes: *sizes,
            temperature: head.temperature,
            memory: Memory::unset(on.driver, sizes.rows * columns)?,
        })
    }

    fn weight(&self, columns: Range<usize>) -> Result<Slice<'a, half::bf16>> {
        self.on.bf16("weight", self.weight.rows(columns)?)
    }

    fn tile(&mut self, columns: Range<usize>) -> Result<Tile<'_>> {
        let Sizes { rows, width, .. } = self.sizes;
        let (len, weight) = (rows * columns.len(), self.weight(columns.clone())?);
        let axes = [rows, columns.len(), width];
        let logits = self.memory.slice_mut().range(0..len)?;
        matmul::nt(self.on.driver, axes, self.x, weight, logits, Write::Overwrite)?;
        let logits = self.memory.slice().range(0..len)?;
        Ok(Tile { logits, columns, temperature: self.temperature })
    }
}

fn targets(on: &Operands<'_>, head: &Head<'_>, sizes: &Sizes) -> Result<std::sync::Arc<Targets>> {
    on.u32("targets", head.targets)?.targets(sizes.vocab)
}

fn upstream<'a>(on: &Operands<'_>, upstream: &Upstream<'a>) -> Result<cuda::head::Upstream<'a>> {
    Ok(cuda::head::Upstream {
        lse: on.f32("lse", upstream.lse)?,
        entropy: on.f32("entropy", upstream.entropy)?,
        dlogp: on.f32("dlogp", upstream.dlogp)?,
        dentropy: upstream.dentropy.map(|d| on.f32("dentropy", d)).transpose()?,
    })
}

pub(super) fn forward(
    driver: &Driver,
    op: &'static str,
    head: &Head<'_>,
    sizes: &Sizes,
    outputs: Outputs<'_>,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let targets = targets(&on, head, sizes)?;
    let Outputs { logp, entropy, lse } = outputs;
    let outputs = cuda::head::Outputs {
        logp: on.f32_mut("logp", logp)?,
        entropy: on.f32_mut("entropy", entropy)?,
        lse: on.f32_mut("lse", lse)?,
    };
    let widest = tiles(sizes).next().map_or(0, |tile| tile.len());
    let mut logits = Logits::new(on, head, sizes, widest)?;
    let mut state = State::new(driver, &targets)?;
    for columns in tiles(sizes) {
        state.add(driver, &logits.tile(columns)?)?;
    }
    state.finish(driver, outputs)
}

/// `dx` is added up over the tiles in f32 and rounded once.
pub(super) fn backward(
    driver: &Driver,
    op: &'static str,
    head: &Head<'_>,
    sizes: &Sizes,
    upstream: &Upstream<'_>,
    (dx, dweight): (ViewMut<'_>, Option<ViewMut<'_>>),
) -> Result<()> {
    let on = Operands::new(driver, op);
    let Sizes { rows, width, .. } = *sizes;
    let targets = targets(&on, head, sizes)?;
    let upstream = self::upstream(&on, upstream)?;
    let dx = on.bf16_mut("dx", dx)?;
    let mut dweight = dweight.map(|dweight| on.f32_mut("dweight", dweight)).transpose()?;
    let widest = tiles(sizes).next().map_or(0, |tile| tile.len());
    let mut logits = Logits::new(on, head, sizes, widest)?;
    let mut dz = Memory::unset(driver, rows * widest)?;
    let mut sum = Memory::<f32>::unset(driver, rows * width)?;
    sum.slice_mut().clear()?;
    if rows == 0 {
        return Ok(());
    }
    for columns in tiles(sizes) {
        let (len, weight) = (rows * columns.len(), logits.weight(columns.clone())?);
        let tile = logits.tile(columns.clone())?;
        let out = dz.slice_mut().range(0..len)?;
        cuda::head::dlogits(driver, &tile, &targets, &upstream, out)?;
        let (dz, axes) = (dz.slice().range(0..len)?, [rows, columns.len(), width]);
        matmul::nn(driver, axes, dz, weight, sum.slice_mut(), Write::Add)?;
        if let Some(dweight) = &mut dweight {
            let part = columns.start * width..columns.end * width;
            let part = dweight.reborrow().range(part)?;
            matmul::tn(driver, axes, dz, logits.x, part, Write::Add)?;
        }
    }
    cuda::cast::narrow(driver, sum.slice(), dx)
}

pub(super) fn dlogits(
    driver: &Driver,
    op: &'static str,
    head: &Head<'_>,
    sizes: &Sizes,
    columns: Range<usize>,
    (upstream, out): (&Upstream<'_>, ViewMut<'_>),
) -> Result<()> {
    let on = Operands::new(driver, op);
    let targets = targets(&on, head, sizes)?;
    let (upstream, out) = (self::upstream(&on, upstream)?, on.bf16_mut("out", out)?);
    if sizes.rows == 0 || columns.is_empty() {
        return Ok(());
    }
    let mut logits = Logits::new(on, head, sizes, columns.len())?;
    cuda::head::dlogits(driver, &logits.tile(columns)?, &targets, &upstream, out)
}
