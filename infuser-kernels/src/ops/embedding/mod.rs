//! Rows of a table picked by index: token embeddings, and any other gather of rows.
//!
//! ```text
//! gather:       out_t = table[ids_t]
//! scatter_add:  dtable[v] += Σ_{t: ids_t = v} dout_t,  added in the order of t
//! ```
//!
//! Ids may repeat and need not be sorted. The additions into one row run in ascending `t` whatever
//! the number of threads, so repeated ids do not make a gradient depend on scheduling.

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use crate::{
    Device, View, ViewMut, check,
    error::{Error, Result},
};

/// Every id is a row of a table of `rows` rows.
fn check_ids(op: &'static str, ids: &[u32], rows: usize) -> Result<()> {
    match ids.iter().position(|&id| id as usize >= rows) {
        None => Ok(()),
        Some(t) => {
            let problem = format!("`ids`[{t}] is {}, but the table has {rows} rows", ids[t]);
            Err(Error::argument(op, problem))
        }
    }
}

/// `out_t = table[ids_t]`, overwriting `out`.
///
/// # Shapes
/// `table`: `[V, D]`; `ids`: `[T]` of u32; `out`: `[T, D]`.
///
/// # Errors
/// [`crate::Error::Shape`], [`crate::Error::Rank`] or [`crate::Error::Dtype`] naming the tensor
/// that does not fit; [`crate::Error::Argument`] naming the first id that is not below `V`.
pub fn gather(table: View<'_>, ids: View<'_>, out: ViewMut<'_>) -> Result<()> {
    const OP: &str = "embedding::gather";
    let [rows, width] = check::matrix(OP, "table", table.dims())?;
    let tokens = check::vector(OP, "ids", ids.dims())?;
    check::shape(OP, "out", out.dims(), &[tokens, width])?;
    match table.device() {
        Device::Cpu => {
            let (table, ids) = (table.f32(OP, "table")?, ids.u32(OP, "ids")?);
            let out = out.into_f32(OP, "out")?;
            check_ids(OP, ids, rows)?;
            cpu::gather(table, ids, width, out);
        }
        Device::Cuda(driver) => cuda::gather(&driver, OP, table, ids, out)?,
    }
    Ok(())
}

/// The gradient of the table: `dtable[ids_t] += dout_t` for ascending `t`. Rows that no id names
/// are not touched.
///
/// # Shapes
/// `dout`: `[T, D]`; `ids`: `[T]` of u32; `dtable`: `[V, D]`.
///
/// # Errors
/// As [`gather`].
pub fn scatter_add(dout: View<'_>, ids: View<'_>, dtable: ViewMut<'_>) -> Result<()> {
    const OP: &str = "embedding::scatter_add";
    let [rows, width] = check::matrix(OP, "dtable", dtable.dims())?;
    let tokens = check::vector(OP, "ids", ids.dims())?;
    check::shape(OP, "dout", dout.dims(), &[tokens, width])?;
    match dout.device() {
        Device::Cpu => {
            let (dout, ids) = (dout.f32(OP, "dout")?, ids.u32(OP, "ids")?);
            let dtable = dtable.into_f32(OP, "dtable")?;
            check_ids(OP, ids, rows)?;
            cpu::scatter_add(dout, ids, width, dtable);
        }
        Device::Cuda(driver) => cuda::scatter_add(&driver, OP, dout, ids, dtable)?,
    }
    Ok(())
}
