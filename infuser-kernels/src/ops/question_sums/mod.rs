//! The sums of [`influence`] for many questions at once, from the factors of their
//! gradients: no gradient is ever stored.
//!
//! The gradient of a question by a weight is `g_q = Σ_{t of q} dy_t x_tᵀ`, over the rows of the batch
//! that are the question's. It is formed tile by tile; each tile goes into the four sums while it is
//! in the cache, and is overwritten by the next. `Γ` is not linear in `g`, so all rows of a question
//! must be in the batch.
//!
//! A table of embeddings is the other case: only the few rows that a question's tokens name receive a
//! gradient. These [`Touched`] rows are held, one for each question and distinct token, so that a
//! table that is also the head's weight can receive both its parts before the sums are taken:
//! [`take_rows`] moves the head's part of them out of the way of [`linear`], and [`touched`] sums
//! them in the end.

mod cpu;
mod cuda;
mod questions;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
mod tally;
#[cfg(test)]
mod tests;

pub use questions::{Questions, Touched};
pub use tally::Tally;

use super::influence::{self, Preconditioner, Sums};
use crate::{Device, View, ViewMut, check, error::Result};

/// What the gradient of one tensor is compared with, in the shape of the tensor.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The reference gradient `m`.
    pub target: View<'a>,
    /// The optimizer's mean square `v`; `None` before its first step.
    pub exp_avg_sq: Option<View<'a>>,
    /// The rest of the optimizer's state.
    pub preconditioner: Preconditioner,
}

impl Against<'_> {
    fn check(&self, op: &'static str, axes: &[usize]) -> Result<()> {
        check::shape(op, "target", self.target.dims(), axes)?;
        if let Some(exp_avg_sq) = self.exp_avg_sq {
            check::shape(op, "exp_avg_sq", exp_avg_sq.dims(), axes)?;
        }
        influence::check_preconditioner(op, &self.preconditioner, self.exp_avg_sq.is_some())
    }

    /// Consecutive rows of all tensors.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] if the range leaves them.
    pub fn rows(&self, range: std::ops::Range<usize>) -> Result<Self> {
        let exp_avg_sq = self.exp_avg_sq.map(|v| v.rows(range.clone())).transpose()?;
        Ok(Self { target: self.target.rows(range)?, exp_avg_sq, ..*self })
    }
}

/// Adds to question `q` of `tally` the sums of `g_q = Σ_{t of q} dy_t x_tᵀ`.
///
/// # Shapes
/// `dy`: `[T, N]`; `x`: `[T, K]`; `against`: `[N, K]`.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::Rank`] naming the tensor that does not fit;
/// [`crate::Error::Argument`] for rows outside the batch, a `tally` of other questions, or a preconditioner out of range.
pub fn linear(
    dy: View<'_>,
    x: View<'_>,
    questions: &Questions,
    against: &Against<'_>,
    tally: &mut Tally,
) -> Result<()> {
    const OP: &str = "question_sums::linear";
    let [rows, n] = check::matrix(OP, "dy", dy.dims())?;
    let [_, k] = check::matrix(OP, "x", x.dims())?;
    check::shape(OP, "x", x.dims(), &[rows, k])?;
    against.check(OP, &[n, k])?;
    questions.check(OP, rows)?;
    tally.check(OP, questions.len())?;
    match dy.device() {
        Device::Cpu => {
            let factors = [dy.f32(OP, "dy")?, x.f32(OP, "x")?];
            cpu::linear(
                factors,
                [n, k],
                questions,
                &cpu::Slices::new(OP, against)?,
                &mut tally.sums,
            );
        }
        Device::Cuda(driver) => {
            cuda::linear(&driver, OP, [dy, x], questions, against, &mut tally.parts)?;
        }
    }
    Ok(())
}

/// Moves columns of `dy` out of the way of [`linear`]: for each row `r` of `touched`, with question
/// `q` and table row `id`,
///
/// ```text
/// rows_r += Σ_{t of q} dy_t,id x_t        dy_t,id = 0 for t of q
/// ```
///
/// Column 0 of `dy` belongs to table row `first`.
///
/// # Shapes
/// `dy`: `[T, N]`; `x`: `[T, K]`; `rows`: `[R, K]`, for the R rows of `touched`.
///
/// # Errors
/// As [`linear`]; [`crate::Error::Argument`] for a table row that has no column.
pub fn take_rows(
    dy: ViewMut<'_>,
    x: View<'_>,
    questions: &Questions,
    (touched, first): (&[Touched], usize),
    rows: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "question_sums::take_rows";
    let [batch, n] = check::matrix(OP, "dy", dy.dims())?;
    let [_, k] = check::matrix(OP, "x", x.dims())?;
    check::shape(OP, "x", x.dims(), &[batch, k])?;
    check::shape(OP, "rows", rows.dims(), &[touched.len(), k])?;
    questions.check(OP, batch)?;
    Touched::check(OP, touched, questions.len(), first..first.saturating_add(n))?;
    match dy.device() {
        Device::Cpu => {
            let (dy, x) = (dy.into_f32(OP, "dy")?, x.f32(OP, "x")?);
            cpu::take_rows((dy, n), x, questions, (touched, first), rows.into_f32(OP, "rows")?);
        }
        Device::Cuda(driver) => {
            cuda::take_rows(&driver, OP, (dy, x), questions, (touched, first), rows)?;
        }
    }
    Ok(())
}

/// Adds to question `q` of `tally` the sums of its touched rows. All other rows of its gradient are zero
/// and add nothing.
///
/// # Shapes
/// `rows`: `[R, K]`; `against`: `[V, K]`.
///
/// # Errors
/// As [`linear`].
pub fn touched(
    rows: View<'_>,
    touched: &[Touched],
    against: &Against<'_>,
    tally: &mut Tally,
) -> Result<()> {
    const OP: &str = "question_sums::touched";
    let [vocab, k] = check::matrix(OP, "target", against.target.dims())?;
    check::shape(OP, "rows", rows.dims(), &[touched.len(), k])?;
    against.check(OP, &[vocab, k])?;
    Touched::check(OP, touched, tally.questions(), 0..vocab)?;
    match rows.device() {
        Device::Cpu => {
            let slices = cpu::Slices::new(OP, against)?;
            cpu::touched(rows.f32(OP, "rows")?, k, touched, &slices, &mut tally.sums);
        }
        Device::Cuda(driver) => {
            cuda::touched(&driver, OP, rows, touched, against, &mut tally.parts)?;
        }
    }
    Ok(())
}
