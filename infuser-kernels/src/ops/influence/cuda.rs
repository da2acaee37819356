//! The CUDA side of [`super`]. The host waits for the sums.

use super::{Preconditioner, Sums};
use crate::{
    View,
    cuda::{
        Driver, Operands,
        influence::{Against, QuestionSums},
    },
    error::Result,
};

pub(super) fn sums(
    driver: &Driver,
    op: &'static str,
    gradient: View<'_>,
    exp_avg_sq: Option<View<'_>>,
    target: View<'_>,
    preconditioner: &Preconditioner,
) -> Result<Sums> {
    let on = Operands::new(driver, op);
    let against = Against {
        target: on.f32("target", target)?,
        exp_avg_sq: exp_avg_sq.map(|v| on.f32("exp_avg_sq", v)).transpose()?,
        preconditioner: *preconditioner,
    };
    let mut sums = QuestionSums::zeros(driver, 1)?;
    sums.add(driver, 0..1, on.f32("gradient", gradient)?, &against)?;
    Ok(sums.download(0..1)?[0])
}
