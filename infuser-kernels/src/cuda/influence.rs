//! The launch of `influence.cu`. Formulas are those of [`crate::ops::influence`].

use std::ops::Range;

use super::embedding::Ids;
use super::{
    Driver, Kernel, Memory, Slice, SliceMut, columns,
    launch::{Launch, size},
    memory::{check_aligned, check_len},
};
use crate::{
    error::Result,
    ops::influence::{Preconditioner, Sums, check_preconditioner, cpu::Factors},
};

const BLOCK: u32 = 256;
/// Elements a block owns: `TILE` of the source.
const TILE: usize = 4096;
/// Blocks from which on questions need not be shared out as well. What one question gets from a tile
/// does not depend on it.
const BLOCKS: usize = 1024;
/// Sums a question, in the order of the fields of [`Sums`].
const KINDS: usize = 4;

/// What gradients are compared with, as [`crate::ops::question_sums::Against`].
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The reference gradient `m`.
    pub target: Slice<'a, f32>,
    /// The optimizer's mean square `v`; `None` before its first step.
    pub exp_avg_sq: Option<Slice<'a, f32>>,
    /// The rest of the optimizer's state.
    pub preconditioner: Preconditioner,
}

impl Against<'_> {
    /// The tensors are aligned and of one length, and the preconditioner is in range.
    fn check(&self, op: &'static str) -> Result<()> {
        check_aligned(op, "target", self.target.address)?;
        if let Some(exp_avg_sq) = self.exp_avg_sq {
            check_len(op, "exp_avg_sq", exp_avg_sq.len, &[self.target.len])?;
            check_aligned(op, "exp_avg_sq", exp_avg_sq.address)?;
        }
        check_preconditioner(op, &self.preconditioner, self.exp_avg_sq.is_some())
    }
}

/// Sums of questions on the device.
#[derive(Debug)]
pub struct QuestionSums {
    memory: Memory<f64>,
    questions: usize,
}

impl QuestionSums {
    /// Zeros for `questions` questions.
    ///
    /// # Errors
    /// As [`Memory::unset`]; [`crate::Error::Driver`] if the driver refuses.
    pub fn zeros(driver: &Driver, questions: usize) -> Result<Self> {
        let mut memory = Memory::unset(driver, questions * KINDS)?;
        memory.slice_mut().clear()?;
        Ok(Self { memory, questions })
    }

    /// How many questions it is for.
    pub fn questions(&self) -> usize {
        self.questions
    }

    /// Adds the sums of the gradients of `questions` of all by one tensor, or by a tile of it, of which
    /// `against` holds the same elements: in f64 as on the CPU, but for `Γ`, which is an f32 before it
    /// is multiplied. Partial sums are allocated here.
    ///
    /// # Shapes
    /// `gradients`: `[Q, n]`, for the Q questions of the range; `against`: `[n]`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] naming the tensor that does not fit; [`crate::Error::Argument`] for one
    /// that is not aligned to 16 bytes, questions that are not there or a preconditioner out of range; [`crate::Error::Memory`]
    /// without room for the partial sums; [`crate::Error::Launch`] if the driver refuses.
    pub fn add(
        &mut self,
        driver: &Driver,
        questions: Range<usize>,
        gradients: Slice<'_, f32>,
        against: &Against<'_>,
    ) -> Result<()> {
        const OP: &str = "cuda::influence::add";
        let Against { target, exp_avg_sq, preconditioner } = *against;
        let out = self.at(&questions)?;
        let (questions, len) = (questions.len(), target.len);
        check_len(OP, "gradients", gradients.len, &[questions, len])?;
        check_aligned(OP, "gradients", gradients.address)?;
        against.check(OP)?;
        let tiles = len.div_ceil(TILE);
        if tiles == 0 || questions == 0 {
            return Ok(());
        }
        let per_block = questions.div_ceil(BLOCKS.div_ceil(tiles).min(questions));
        let width = size(OP, "questions", questions * KINDS)?;
        let mut partial = Memory::<f64>::unset(driver, tiles * questions * KINDS)?;
        let f = Factors::new(&preconditioner);
        let arguments = [
            gradients.into(),
            // Not read before the first step.
            exp_avg_sq.unwrap_or(target).into(),
            target.into(),
            partial.slice_mut().into(),
            size(OP, "questions", questions)?.into(),
            size(OP, "elements", len)?.into(),
            size(OP, "questions", per_block)?.into(),
            u32::from(exp_avg_sq.is_some()).into(),
            (f.keep.sqrt() as f32).into(),
            (f.square.sqrt() as f32).into(),
            (f.epsilon as f32).into(),
        ];
        let grid = [tiles, questions.div_ceil(per_block)];
        let kernel = Kernel::InfluenceSums;
        let launch = Launch { kernel, grid, block: BLOCK, arguments: &arguments };
        // SAFETY: the lengths above are those of the header's `Tensors`; partial has four values for
        // each of the grid's tiles and each question, and was made here, so nothing overlaps it.
        unsafe { driver.launch(&launch) }?;
        let sizes = [size(OP, "tiles", tiles)?, width];
        columns::add_f64(driver, partial.slice(), out, sizes)
    }

    fn at(&mut self, questions: &Range<usize>) -> Result<SliceMut<'_, f64>> {
        self.memory.slice_mut().range(questions.start * KINDS..questions.end * KINDS)
    }

    /// The sums of some questions so far.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for questions that are not there; as [`Memory::download`].
    pub fn download(&self, questions: Range<usize>) -> Result<Vec<Sums>> {
        let range = questions.start * KINDS..questions.end * KINDS;
        Ok(named(&self.memory.slice().range(range)?.download()?))
    }

    /// Overwrites the sums of `places` with those of single rows of a table's gradient, each compared with
    /// the row of its id.
    ///
    /// # Shapes
    /// `rows`: `[R, width]`, for the R places and ids; `against`: `[V, width]` with the V that `ids` were
    /// checked against.
    ///
    /// # Errors
    /// As [`QuestionSums::add`].
    pub fn set_rows(
        &mut self,
        driver: &Driver,
        places: Range<usize>,
        width: usize,
        (rows, ids): (Slice<'_, f32>, &Ids),
        against: &Against<'_>,
    ) -> Result<()> {
        const OP: &str = "cuda::influence::set_rows";
        let Against { target, exp_avg_sq, preconditioner } = *against;
        let columns = ids.check(OP, ("target", target.len), ("rows", rows.len), width)?;
        check_aligned(OP, "rows", rows.address)?;
        against.check(OP)?;
        let out = self.at(&places)?;
        check_len(OP, "places", places.len(), &[ids.len()])?;
        let f = Factors::new(&preconditioner);
        let arguments = [
            rows.into(),
            // Not read before the first step.
            exp_avg_sq.unwrap_or(target).into(),
            target.into(),
            ids.slice().into(),
            out.into(),
            columns.into(),
            u32::from(exp_avg_sq.is_some()).into(),
            (f.keep.sqrt() as f32).into(),
            (f.square.sqrt() as f32).into(),
            (f.epsilon as f32).into(),
        ];
        let kernel = Kernel::InfluenceRows;
        let launch = Launch { kernel, grid: [ids.len(), 1], block: BLOCK, arguments: &arguments };
        // SAFETY: the lengths above are those of the header's `Tensors`; every id is below the rows of
        // the table, as `Ids` has checked; out has four values for each of the grid's rows and is
        // borrowed exclusively.
        unsafe { driver.launch(&launch) }
    }
}

/// Numbers of a kernel as sums.
fn named(values: &[f64]) -> Vec<Sums> {
    let sums = |&[dot, gradient_sq, gamma_dot, gamma_sq]: &[f64; KINDS]| Sums {
        dot,
        gradient_sq,
        gamma_dot,
        gamma_sq,
    };
    values.as_chunks().0.iter().map(sums).collect()
}
