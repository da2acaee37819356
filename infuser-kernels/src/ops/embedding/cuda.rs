//! The CUDA side of [`super`].

use crate::{
    Dtype, View, ViewMut,
    cuda::{self, Driver, Memory, Operands},
    error::Result,
};

pub(super) fn gather(
    driver: &Driver,
    op: &'static str,
    table: View<'_>,
    ids: View<'_>,
    out: ViewMut<'_>,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let (rows, width) = (table.dims().rows(), table.dims().row_len());
    let ids = on.u32("ids", ids)?.ids(rows)?;
    let (table, out) = (on.bf16("table", table)?, on.bf16_mut("out", out)?);
    cuda::embedding::gather(driver, width, table, &ids, out)
}

/// A gradient of activations is bf16: it is widened for the sums and rounded once.
pub(super) fn scatter_add(
    driver: &Driver,
    op: &'static str,
    dout: View<'_>,
    ids: View<'_>,
    dtable: ViewMut<'_>,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let (rows, width) = (dtable.dims().rows(), dtable.dims().row_len());
    let ids = on.u32("ids", ids)?.ids(rows)?;
    let dout = on.bf16("dout", dout)?;
    if dtable.dtype() != Dtype::Bf16 {
        let dtable = on.f32_mut("dtable", dtable)?;
        return cuda::embedding::scatter_add(driver, width, dout, &ids, dtable);
    }
    let mut dtable = on.bf16_mut("dtable", dtable)?;
    let mut sums = Memory::<f32>::unset(driver, rows * width)?;
    cuda::cast::widen(driver, dtable.as_slice(), sums.slice_mut())?;
    cuda::embedding::scatter_add(driver, width, dout, &ids, sums.slice_mut())?;
    cuda::cast::narrow(driver, sums.slice(), dtable.reborrow())
}
