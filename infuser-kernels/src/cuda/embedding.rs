//! Launches of `embedding.cu`. Formulas are those of [`crate::ops::embedding`].

use half::bf16;

use super::{
    Driver, Kernel, Memory, Slice, SliceMut,
    launch::{Launch, size},
    memory::{check_aligned, check_len},
};
use crate::error::{Error, Result};

const BLOCK: u32 = 256;
/// Tokens a block, one a warp: `ROWS_PER_BLOCK` of the source.
const TOKENS_PER_BLOCK: usize = 8;
const OF_IDS: &str = "cuda::embedding::ids";

/// The ids of a batch, known to be rows of a table, with the batch sorted by them.
#[derive(Debug)]
pub struct Ids {
    /// `[T]`, as given.
    ids: Memory<u32>,
    /// `[R]`: the distinct ids, ascending.
    named: Memory<u32>,
    /// `[T]`: tokens by id, those of one id ascending.
    order: Memory<u32>,
    /// `[R + 1]`: where the tokens of each id begin in `order`.
    starts: Memory<u32>,
    tokens: usize,
    distinct: usize,
    rows: usize,
}

impl Ids {
    /// Checks ids against a table of `rows` rows, sorts the tokens by them, and uploads both: the
    /// kernels cannot check, and a sorted batch needs no atomics.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first id that is not below `rows`; as [`Memory::upload`].
    pub fn upload(driver: &Driver, ids: &[u32], rows: usize) -> Result<Self> {
        check_ids(ids, rows)?;
        let [named, order, starts] = sorted(ids)?;
        Ok(Self {
            ids: Memory::upload(driver, ids)?,
            named: Memory::upload(driver, &named)?,
            order: Memory::upload(driver, &order)?,
            starts: Memory::upload(driver, &starts)?,
            tokens: ids.len(),
            distinct: named.len(),
            rows,
        })
    }

    /// Other ids, as many, of the same table, in the place of these. What is sorted of them moves.
    pub(super) fn set(&mut self, ids: &[u32]) -> Result<()> {
        check_ids(ids, self.rows)?;
        let [named, order, starts] = sorted(ids)?;
        let driver = self.ids.slice().driver().clone();
        self.ids.slice_mut().upload(ids)?;
        self.order.slice_mut().upload(&order)?;
        if named.len() != self.distinct {
            self.named = Memory::unset(&driver, named.len())?;
            self.starts = Memory::unset(&driver, starts.len())?;
        }
        self.named.slice_mut().upload(&named)?;
        self.starts.slice_mut().upload(&starts)?;
        self.distinct = named.len();
        Ok(())
    }

    /// T, how many there are.
    pub fn len(&self) -> usize {
        self.tokens
    }

    /// V, the rows of the table that they were checked against.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// No ids.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    /// The ids as given.
    pub(super) fn slice(&self) -> Slice<'_, u32> {
        self.ids.slice()
    }

    /// A table of these lengths has a row for every id; returns its width.
    pub(super) fn check(
        &self,
        op: &'static str,
        (table, len): (&'static str, usize),
        (batch, batch_len): (&'static str, usize),
        width: usize,
    ) -> Result<u32> {
        check_len(op, table, len, &[self.rows, width])?;
        check_len(op, batch, batch_len, &[self.tokens, width])?;
        size(op, "width", width)
    }
}

/// `out_t = table[ids_t]`, overwriting `out`.
///
/// # Shapes
/// `table`: `[V, width]` with the V that `ids` were checked against; `out`: `[T, width]`.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit, [`Error::Argument`] for one that is not
/// aligned to 16 bytes, [`Error::Launch`] if the driver refuses.
pub fn gather(
    driver: &Driver,
    width: usize,
    table: Slice<'_, bf16>,
    ids: &Ids,
    out: SliceMut<'_, bf16>,
) -> Result<()> {
    const OP: &str = "cuda::embedding::gather";
    let columns = ids.check(OP, ("table", table.len), ("out", out.len), width)?;
    check_aligned(OP, "table", table.address)?;
    check_aligned(OP, "out", out.address)?;
    let tokens = size(OP, "tokens", ids.tokens)?;
    let arguments =
        [table.into(), ids.ids.slice().into(), out.into(), tokens.into(), columns.into()];
    let grid = [ids.tokens.div_ceil(TOKENS_PER_BLOCK), 1];
    let kernel = Kernel::EmbeddingForward;
    let launch = Launch { kernel, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: the lengths above are those of the header's `Tensors`; every id is below the rows of
    // the table, as `Ids` has checked; the exclusive borrow of out overlaps nothing.
    unsafe { driver.launch(&launch) }
}

/// The gradient of the table: `dtable[ids_t] += dout_t` for ascending `t`. Rows that no id names are
/// not touched.
///
/// # Shapes
/// `dout`: `[T, width]`; `dtable`: `[V, width]`.
///
/// # Errors
/// As [`gather`].
pub fn scatter_add(
    driver: &Driver,
    width: usize,
    dout: Slice<'_, bf16>,
    ids: &Ids,
    dtable: SliceMut<'_, f32>,
) -> Result<()> {
    const OP: &str = "cuda::embedding::scatter_add";
    let columns = ids.check(OP, ("dtable", dtable.len), ("dout", dout.len), width)?;
    let arguments = [
        dout.into(),
        ids.named.slice().into(),
        ids.order.slice().into(),
        ids.starts.slice().into(),
        dtable.into(),
        columns.into(),
    ];
    let grid = [ids.distinct, width.div_ceil(BLOCK as usize)];
    let kernel = Kernel::EmbeddingBackward;
    let launch = Launch { kernel, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: the lengths above are those of the header's `Tensors`; `Ids` made its four arrays for
    // each other, with every id below the rows of the table; each row is one block column's alone,
    // and the exclusive borrow of dtable overlaps nothing.
    unsafe { driver.launch(&launch) }
}

/// Every id is a row of the table.
fn check_ids(ids: &[u32], rows: usize) -> Result<()> {
    let Some(t) = ids.iter().position(|&id| id as usize >= rows) else { return Ok(()) };
    let problem = format!("`ids`[{t}] is {}, but the table has {rows} rows", ids[t]);
    Err(Error::argument(OF_IDS, problem))
}

/// The distinct ids, the tokens by id, and where those of each id begin.
fn sorted(ids: &[u32]) -> Result<[Vec<u32>; 3]> {
    let mut order: Vec<u32> = (0..size(OF_IDS, "tokens", ids.len())?).collect();
    order.sort_unstable_by_key(|&t| (ids[t as usize], t));
    let (mut named, mut starts) = (Vec::new(), vec![0]);
    for run in order.chunk_by(|&a, &b| ids[a as usize] == ids[b as usize]) {
        named.push(ids[run[0] as usize]);
        starts.push(starts[starts.len() - 1] + run.len() as u32);
    }
    Ok([named, order, starts])
}
