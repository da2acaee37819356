//! The CUDA side of [`super`]: a question's gradient by a weight is one product into a scratch, with as
//! many questions at a time as it has room for.

use std::ops::Range;

use super::{Against, Questions, Sums, Touched};
use crate::{
    View, ViewMut, Write,
    cuda::{
        self, Driver, Memory, Operands, aligned,
        influence::{self, QuestionSums},
        question_rows::{self, Rows},
    },
    error::Result,
};

/// Size of the gradients that exist at one time, unless a single one is larger.
const SCRATCH_BYTES: usize = 64 << 20;

/// Sums that a chunk of [`Parts`] has room for: half a MiB.
const CHUNK: usize = 1 << 14;

/// Parts of questions' sums on the device, in the order in which they were added, and whose each is.
#[derive(Debug, Default)]
pub(super) struct Parts {
    chunks: Vec<(QuestionSums, Vec<u32>)>,
}

impl Parts {
    /// Places of zeros, one for each of `owners`.
    fn places(
        &mut self,
        driver: &Driver,
        owners: &[u32],
    ) -> Result<(&mut QuestionSums, Range<usize>)> {
        let fits = |(sums, taken): &(QuestionSums, Vec<u32>)| {
            taken.len() + owners.len() <= sums.questions()
        };
        if !self.chunks.last().is_some_and(fits) {
            let room = QuestionSums::zeros(driver, owners.len().max(CHUNK))?;
            self.chunks.push((room, Vec::new()));
        }
        let Some((sums, taken)) = self.chunks.last_mut() else { unreachable!("just made") };
        let start = taken.len();
        taken.extend(owners);
        Ok((sums, start..taken.len()))
    }

    /// A stored gradient's.
    pub(super) fn add(
        &mut self,
        driver: &Driver,
        op: &'static str,
        question: u32,
        gradient: View<'_>,
        against: &Against<'_>,
    ) -> Result<()> {
        let on = Operands::new(driver, op);
        let against = self::against(&on, against)?;
        let (sums, place) = self.places(driver, &[question])?;
        sums.add(driver, place, on.f32("gradient", gradient)?, &against)
    }

    /// Adds all of them on the host, in their order.
    pub(super) fn add_to(&self, sums: &mut [Sums]) -> Result<()> {
        for (chunk, owners) in &self.chunks {
            for (owner, own) in owners.iter().zip(chunk.download(0..owners.len())?) {
                sums[*owner as usize] += own;
            }
        }
        Ok(())
    }
}

pub(super) fn against<'a>(
    on: &Operands<'_>,
    against: &Against<'a>,
) -> Result<influence::Against<'a>> {
    let Against { target, exp_avg_sq, preconditioner } = *against;
    Ok(influence::Against {
        target: on.f32("target", target)?,
        exp_avg_sq: exp_avg_sq.map(|v| on.f32("exp_avg_sq", v)).transpose()?,
        preconditioner,
    })
}

pub(super) fn linear(
    driver: &Driver,
    op: &'static str,
    [dy, x]: [View<'_>; 2],
    questions: &Questions,
    against: &Against<'_>,
    parts: &mut Parts,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let (n, k) = (dy.dims().row_len(), x.dims().row_len());
    let (dy, x) = (on.bf16("dy", dy)?, on.bf16("x", x)?);
    let against = self::against(&on, against)?;
    let len = n * k;
    // Each gradient starts at a multiple of 16 bytes.
    let most = if len.is_multiple_of(4) { SCRATCH_BYTES / (4 * len.max(1)) } else { 1 };
    let loud: Vec<usize> =
        (0..questions.len()).filter(|question| !questions.ranges(*question).is_empty()).collect();
    if loud.is_empty() || len == 0 {
        return Ok(());
    }
    let most = most.clamp(1, loud.len());
    let mut gradients = Memory::<f32>::unset(driver, most * len)?;
    let (mut dy_rows, mut x_rows) = (None, None);
    for group in loud.chunks(most) {
        for (place, question) in group.iter().enumerate() {
            let mut write = Write::Overwrite;
            for range in questions.ranges(*question) {
                let dy = aligned(dy.range(range.start * n..range.end * n)?, &mut dy_rows)?;
                let x = aligned(x.range(range.start * k..range.end * k)?, &mut x_rows)?;
                let out = gradients.slice_mut().range(place * len..(place + 1) * len)?;
                cuda::matmul::tn(driver, [range.len(), n, k], dy, x, out, write)?;
                write = Write::Add;
            }
        }
        let owners: Vec<u32> = group.iter().map(|question| *question as u32).collect();
        let (sums, places) = parts.places(driver, &owners)?;
        sums.add(driver, places, gradients.slice().range(0..group.len() * len)?, &against)?;
    }
    Ok(())
}

pub(super) fn take_rows(
    driver: &Driver,
    op: &'static str,
    (dy, x): (ViewMut<'_>, View<'_>),
    questions: &Questions,
    (touched, first): (&[Touched], usize),
    rows: ViewMut<'_>,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let widths = [dy.dims().row_len(), x.dims().row_len()];
    let batch = x.dims().rows();
    let taken = Rows::upload(driver, questions, (touched, first), [batch, widths[0]])?;
    let dy = on.bf16_mut("dy", dy)?;
    let (x, rows) = (on.bf16("x", x)?, on.f32_mut("rows", rows)?);
    question_rows::take(driver, &taken, widths[1], dy, x, rows)
}

pub(super) fn touched(
    driver: &Driver,
    op: &'static str,
    rows: View<'_>,
    touched: &[Touched],
    against: &Against<'_>,
    parts: &mut Parts,
) -> Result<()> {
    let on = Operands::new(driver, op);
    let ids: Vec<u32> = touched.iter().map(|touched| touched.id).collect();
    let [table_rows, width] = [against.target.dims().rows(), against.target.dims().row_len()];
    let ids = cuda::embedding::Ids::upload(driver, &ids, table_rows)?;
    let against = self::against(&on, against)?;
    let owners: Vec<u32> = touched.iter().map(|touched| touched.question).collect();
    let (sums, places) = parts.places(driver, &owners)?;
    sums.set_rows(driver, places, width, (on.f32("rows", rows)?, &ids), &against)
}
