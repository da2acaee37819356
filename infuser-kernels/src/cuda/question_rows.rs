//! Launches of `question_rows.cu`: rows of a table's gradient, question by question. Meaning is that of
//! [`crate::ops::question_sums::take_rows`].

use half::bf16;

use super::{
    Driver, Kernel, Memory, Slice, SliceMut,
    launch::{Launch, size},
    memory::check_len,
};
use crate::{
    error::Result,
    ops::question_sums::{Questions, Touched},
};

const BLOCK: u32 = 256;

/// Rows of a table that questions touch, and the rows of the batch that are each question's.
#[derive(Debug)]
pub struct Rows {
    /// Column of `dy` and question of each, `[R, 2]`.
    touched: Memory<u32>,
    /// Where the ranges of each question begin, `[Q + 1]`.
    starts: Memory<u32>,
    /// First row and end of each range, `[ranges, 2]`.
    ranges: Memory<u32>,
    len: usize,
    batch: usize,
    columns: usize,
}

impl Rows {
    /// Checks them against a batch of `batch` rows and `columns` columns, the first of which belongs to
    /// row `first` of the table, and uploads them: the kernels cannot check.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for a row outside the batch, a column that is not there, or a question
    /// that is not; as [`Memory::upload`].
    pub fn upload(
        driver: &Driver,
        questions: &Questions,
        (touched, first): (&[Touched], usize),
        [batch, columns]: [usize; 2],
    ) -> Result<Self> {
        const OP: &str = "cuda::question_rows::Rows";
        questions.check(OP, batch)?;
        let end = first.saturating_add(columns);
        Touched::check(OP, touched, questions.len(), first..end)?;
        size(OP, "rows", batch)?;
        size(OP, "columns", columns)?;
        size(OP, "touched rows", touched.len())?;
        let words = |row: &Touched| [row.id - first as u32, row.question];
        let touched_words: Vec<u32> = touched.iter().flat_map(words).collect();
        let (mut starts, mut ranges) = (vec![0], Vec::new());
        for question in 0..questions.len() {
            for range in questions.ranges(question) {
                ranges.extend([range.start as u32, range.end as u32]);
            }
            starts.push(size(OP, "ranges", ranges.len() / 2)?);
        }
        Ok(Self {
            touched: Memory::upload(driver, &touched_words)?,
            starts: Memory::upload(driver, &starts)?,
            ranges: Memory::upload(driver, &ranges)?,
            len: touched.len(),
            batch,
            columns,
        })
    }
}

/// Adds what each touched row gets to `out`, then clears the factors that it came from in `dy`.
///
/// # Shapes
/// `dy`: `[batch, columns]`; `x`: `[batch, width]`; `out`: `[R, width]`.
///
/// # Errors
/// [`crate::Error::Shape`] naming the tensor that does not fit; [`crate::Error::Launch`] if the driver
/// refuses.
pub fn take(
    driver: &Driver,
    rows: &Rows,
    width: usize,
    mut dy: SliceMut<'_, bf16>,
    x: Slice<'_, bf16>,
    out: SliceMut<'_, f32>,
) -> Result<()> {
    const OP: &str = "cuda::question_rows::take";
    check_len(OP, "dy", dy.len, &[rows.batch, rows.columns])?;
    check_len(OP, "x", x.len, &[rows.batch, width])?;
    check_len(OP, "out", out.len, &[rows.len, width])?;
    let (columns, width_word) = (rows.columns as u32, size(OP, "width", width)?);
    let (touched, starts, ranges) = (&rows.touched, &rows.starts, &rows.ranges);
    let arguments = [
        dy.as_slice().into(),
        x.into(),
        touched.slice().into(),
        starts.slice().into(),
        ranges.slice().into(),
        out.into(),
        columns.into(),
        width_word.into(),
    ];
    let grid = [rows.len, width.div_ceil(BLOCK as usize)];
    let kernel = Kernel::QuestionRowsTake;
    // SAFETY: the lengths above are those of the header's `Tensors`; `Rows` has checked that every
    // column, question and row of the batch is there; the exclusive borrow of out overlaps nothing.
    unsafe { driver.launch(&Launch { kernel, grid, block: BLOCK, arguments: &arguments }) }?;
    let arguments = [
        dy.reborrow().into(),
        touched.slice().into(),
        starts.slice().into(),
        ranges.slice().into(),
        columns.into(),
    ];
    let grid = [rows.len, 1];
    let kernel = Kernel::QuestionRowsClear;
    // SAFETY: as above; two blocks that clear one element both write zero to it; dy is borrowed
    // exclusively.
    unsafe { driver.launch(&Launch { kernel, grid, block: BLOCK, arguments: &arguments }) }
}
