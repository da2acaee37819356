//! Launches of `head.cu`: what stands around the product of hidden states and head weight, a tile of
//! the vocabulary at a time. Formulas are those of [`crate::ops::head`]. Logits are f32, as the product
//! gives them; their gradient is bf16, as the next products take it.

use std::ops::Range;

use half::bf16;

use super::{
    Driver, Kernel, Memory, Slice, SliceMut,
    launch::{Launch, size},
    memory::check_len,
};
use crate::error::{Error, Result};

/// Threads a block of every kernel here: `THREADS` of the source.
const BLOCK: u32 = 256;
/// Columns that a block of the backward pass owns: `COLUMNS_PER_BLOCK` of the source.
const COLUMNS_PER_BLOCK: usize = 2048;
/// Numbers that a row keeps between tiles: `State` of the source.
const STATE: usize = 4;

/// One token a row, each known to be in the vocabulary.
#[derive(Debug)]
pub struct Targets {
    memory: Memory<u32>,
    rows: usize,
    vocab: usize,
}

impl Targets {
    /// Checks tokens against a vocabulary, and uploads them: the kernel cannot check.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first token outside; as [`Memory::upload`].
    pub fn upload(driver: &Driver, targets: &[u32], vocab: usize) -> Result<Self> {
        const OP: &str = "cuda::head::Targets";
        size(OP, "rows", targets.len())?;
        size(OP, "vocabulary", vocab)?;
        if let Some(row) = targets.iter().position(|&token| token as usize >= vocab) {
            let token = targets[row];
            let problem = format!("row {row}: target {token} of a vocabulary of {vocab}");
            return Err(Error::argument(OP, problem));
        }
        let memory = Memory::upload(driver, targets)?;
        Ok(Self { memory, rows: targets.len(), vocab })
    }

    /// The vocabulary that they were checked against.
    pub fn vocab(&self) -> usize {
        self.vocab
    }
}

/// Logits `[rows, columns]`, before the temperature.
#[derive(Debug, Clone)]
pub struct Tile<'a> {
    /// Their values.
    pub logits: Slice<'a, f32>,
    /// Which part of the vocabulary they are of.
    pub columns: Range<usize>,
    /// τ > 0.
    pub temperature: f32,
}

impl Tile<'_> {
    fn check(&self, op: &'static str, targets: &Targets) -> Result<()> {
        let Range { start, end } = self.columns;
        if start > end || end > targets.vocab {
            let problem = format!("columns {start}..{end} of a vocabulary of {}", targets.vocab);
            return Err(Error::argument(op, problem));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let problem = format!("temperature {} is not positive and finite", self.temperature);
            return Err(Error::argument(op, problem));
        }
        check_len(op, "logits", self.logits.len, &[targets.rows, self.columns.len()])
    }

    fn is_empty(&self, targets: &Targets) -> bool {
        targets.rows == 0 || self.columns.is_empty()
    }
}

/// What the forward pass writes; each `[rows]`, overwritten.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// Log-probability of the target.
    pub logp: SliceMut<'a, f32>,
    /// Entropy of the row's distribution.
    pub entropy: SliceMut<'a, f32>,
    /// Log-sum-exp, for the backward pass.
    pub lse: SliceMut<'a, f32>,
}

/// The sums of rows whose tiles come one after the other.
#[derive(Debug)]
pub struct State<'t> {
    memory: Memory<f32>,
    targets: &'t Targets,
    /// Where the next tile begins.
    next: usize,
}

impl<'t> State<'t> {
    /// Nothing summed yet.
    ///
    /// # Errors
    /// [`Error::Memory`] without room for four numbers a row.
    pub fn new(driver: &Driver, targets: &'t Targets) -> Result<Self> {
        let memory = Memory::unset(driver, STATE * targets.rows)?;
        Ok(Self { memory, targets, next: 0 })
    }

    /// Takes the next columns in.
    ///
    /// # Errors
    /// [`Error::Argument`] for columns that do not begin where the last ones ended, and for a
    /// temperature that is not positive; [`Error::Shape`] for logits of another size;
    /// [`Error::Launch`] if the driver refuses.
    pub fn add(&mut self, driver: &Driver, tile: &Tile<'_>) -> Result<()> {
        const OP: &str = "cuda::head::add";
        tile.check(OP, self.targets)?;
        if tile.columns.start != self.next {
            let problem = format!("columns {:?}, but the next one is {}", tile.columns, self.next);
            return Err(Error::argument(OP, problem));
        }
        if tile.is_empty(self.targets) {
            self.next = tile.columns.end;
            return Ok(());
        }
        let arguments = [
            tile.logits.into(),
            self.targets.memory.slice().into(),
            self.memory.slice_mut().into(),
            size(OP, "columns", tile.columns.len())?.into(),
            size(OP, "the first column", tile.columns.start)?.into(),
            tile.temperature.recip().into(),
        ];
        let grid = [self.targets.rows, 1];
        let launch =
            Launch { kernel: Kernel::HeadForwardTile, grid, block: BLOCK, arguments: &arguments };
        // SAFETY: logits and targets have the checked lengths, the state four numbers for each of the
        // grid's rows; the first tile overwrites them, so none is read unset.
        unsafe { driver.launch(&launch) }?;
        self.next = tile.columns.end;
        Ok(())
    }

    /// Writes the results of all rows.
    ///
    /// # Errors
    /// [`Error::Argument`] if columns are missing; [`Error::Shape`] naming the tensor that does not
    /// fit; [`Error::Launch`] if the driver refuses.
    pub fn finish(self, driver: &Driver, outputs: Outputs<'_>) -> Result<()> {
        const OP: &str = "cuda::head::finish";
        let (rows, vocab) = (self.targets.rows, self.targets.vocab);
        if self.next != vocab {
            let problem = format!("columns {}..{vocab} are missing", self.next);
            return Err(Error::argument(OP, problem));
        }
        let Outputs { logp, entropy, lse } = outputs;
        for (tensor, slice) in [("logp", &logp), ("entropy", &entropy), ("lse", &lse)] {
            check_len(OP, tensor, slice.len, &[rows])?;
        }
        let arguments = [
            self.memory.slice().into(),
            logp.into(),
            entropy.into(),
            lse.into(),
            (rows as u32).into(),
        ];
        let grid = [rows.div_ceil(BLOCK as usize), 1];
        let launch =
            Launch { kernel: Kernel::HeadForwardFinish, grid, block: BLOCK, arguments: &arguments };
        // SAFETY: the state holds four numbers a row, all written by the tiles before; the outputs
        // have the checked lengths and are borrowed exclusively.
        unsafe { driver.launch(&launch) }
    }
}

/// What the backward pass reads besides the tile; each `[rows]`.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a> {
    /// From the forward pass.
    pub lse: Slice<'a, f32>,
    /// From the forward pass.
    pub entropy: Slice<'a, f32>,
    /// Gradient of the loss by `logp`.
    pub dlogp: Slice<'a, f32>,
    /// Gradient of the loss by `entropy`; `None` if the loss does not contain it.
    pub dentropy: Option<Slice<'a, f32>>,
}

/// The gradient of the loss by a tile's logits; the temperature is in it.
///
/// # Shapes
/// `out`: `[rows, columns]`, overwritten.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit; [`Error::Argument`] for columns outside the
/// vocabulary or a temperature that is not positive; [`Error::Launch`] if the driver refuses.
pub fn dlogits(
    driver: &Driver,
    tile: &Tile<'_>,
    targets: &Targets,
    upstream: &Upstream<'_>,
    out: SliceMut<'_, bf16>,
) -> Result<()> {
    const OP: &str = "cuda::head::dlogits";
    tile.check(OP, targets)?;
    let (rows, columns) = (targets.rows, tile.columns.len());
    let Upstream { lse, entropy, dlogp, dentropy } = *upstream;
    for (tensor, slice) in [("lse", lse), ("entropy", entropy), ("dlogp", dlogp)] {
        check_len(OP, tensor, slice.len, &[rows])?;
    }
    // Not read without the flag beside it.
    let slopes = dentropy.unwrap_or(dlogp);
    check_len(OP, "dentropy", slopes.len, &[rows])?;
    check_len(OP, "out", out.len, &[rows, columns])?;
    if tile.is_empty(targets) {
        return Ok(());
    }
    let arguments = [
        tile.logits.into(),
        targets.memory.slice().into(),
        lse.into(),
        entropy.into(),
        dlogp.into(),
        slopes.into(),
        out.into(),
        size(OP, "columns", columns)?.into(),
        size(OP, "the first column", tile.columns.start)?.into(),
        u32::from(dentropy.is_some()).into(),
        tile.temperature.recip().into(),
    ];
    let grid = [rows, columns.div_ceil(COLUMNS_PER_BLOCK)];
    let launch =
        Launch { kernel: Kernel::HeadBackwardTile, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: the lengths above are those of the header's `Tensors`; out is borrowed exclusively.
    unsafe { driver.launch(&launch) }
}
