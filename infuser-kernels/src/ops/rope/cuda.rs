//! The CUDA side of [`super`].

use super::{Direction, Tables};
use crate::{
    View, ViewMut,
    cuda::{self, Driver, Operands},
    error::Result,
};

pub(super) fn apply(
    driver: &Driver,
    op: &'static str,
    x: ViewMut<'_>,
    [heads, width]: [usize; 2],
    positions: View<'_>,
    tables: &Tables,
    direction: Direction,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let rows = tables.cos.dims().rows();
    let positions = on.u32("positions", positions)?.positions(rows)?;
    let tables = cuda::rope::Tables {
        cos: on.f32("tables.cos", tables.cos.view())?,
        sin: on.f32("tables.sin", tables.sin.view())?,
        rows,
    };
    let x = on.bf16_mut("x", x)?;
    cuda::rope::apply(driver, x, [heads, width], &positions, &tables, direction)
}
