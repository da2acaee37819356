//! The launch of `rope.cu`. Formula and tables are those of [`crate::ops::rope`].

use half::bf16;

use super::{
    Driver, Kernel, Slice, SliceMut,
    launch::{Launch, size},
    memory::check_len,
};
use crate::{
    error::{Error, Result},
    ops::rope::Direction,
};

const BLOCK: u32 = 128;

/// Cosines and sines of positions below `rows`, each `[rows, E/2]`.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// `a · cos(p f_i)`
    pub cos: Slice<'a, f32>,
    /// `a · sin(p f_i)`
    pub sin: Slice<'a, f32>,
    /// How many positions they hold.
    pub rows: usize,
}

/// Token positions that are known to be below a table's length.
#[derive(Debug)]
pub struct Positions {
    memory: super::Memory<u32>,
    len: usize,
    rows: usize,
}

impl Positions {
    /// Checks positions against tables of `rows` rows, and uploads them: the kernel cannot check.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first position that has no row; as
    /// [`super::Memory::upload`].
    pub fn upload(driver: &Driver, positions: &[u32], rows: usize) -> Result<Self> {
        check_positions(positions, rows)?;
        let memory = super::Memory::upload(driver, positions)?;
        Ok(Self { memory, len: positions.len(), rows })
    }

    /// Other positions, as many, for the same tables, in the place of these.
    pub(super) fn set(&mut self, positions: &[u32]) -> Result<()> {
        check_positions(positions, self.rows)?;
        self.memory.slice_mut().upload(positions)
    }

    /// The rows of the tables that they were checked against.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// Every position has a row in the tables.
fn check_positions(positions: &[u32], rows: usize) -> Result<()> {
    let Some(t) = positions.iter().position(|&p| p as usize >= rows) else { return Ok(()) };
    let problem = format!("`positions`[{t}] is {}, but the tables end at {rows}", positions[t]);
    Err(Error::argument("cuda::rope::positions", problem))
}

/// Rotates every head of every token in place.
///
/// # Shapes
/// `x`: `[T, H, E]` with even `E`, where `[heads, width]` is `[H, E]`; `positions`: `[T]`.
///
/// # Errors
/// [`Error::Shape`] naming the tensor that does not fit; [`Error::Argument`] for an odd `E`, or
/// positions that were checked against longer tables; [`Error::Launch`] if the driver refuses.
pub fn apply(
    driver: &Driver,
    x: SliceMut<'_, bf16>,
    [heads, width]: [usize; 2],
    positions: &Positions,
    tables: &Tables<'_>,
    direction: Direction,
) -> Result<()> {
    const OP: &str = "cuda::rope::apply";
    if !width.is_multiple_of(2) {
        let problem = format!("`x` has heads of {width} lanes, which do not pair up");
        return Err(Error::argument(OP, problem));
    }
    if positions.rows > tables.rows {
        let problem = format!(
            "`positions` are below {}, but the tables end at {}",
            positions.rows, tables.rows
        );
        return Err(Error::argument(OP, problem));
    }
    check_len(OP, "x", x.len, &[positions.len, heads, width])?;
    check_len(OP, "tables.cos", tables.cos.len, &[tables.rows, width / 2])?;
    check_len(OP, "tables.sin", tables.sin.len, &[tables.rows, width / 2])?;
    size(OP, "heads times width", heads.saturating_mul(width))?;
    let (heads, half) = (size(OP, "heads", heads)?, size(OP, "width", width / 2)?);
    let transpose = u32::from(direction == Direction::Backward);
    let arguments = [
        x.into(),
        positions.memory.slice().into(),
        tables.cos.into(),
        tables.sin.into(),
        heads.into(),
        half.into(),
        transpose.into(),
    ];
    let grid = [positions.len, 1];
    let launch = Launch { kernel: Kernel::Rope, grid, block: BLOCK, arguments: &arguments };
    // SAFETY: the lengths above are those of the header's `Tensors`; every position is below
    // positions.rows, which is at most the rows of the tables; x is borrowed exclusively.
    unsafe { driver.launch(&launch) }
}
