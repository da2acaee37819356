//! The CPU side of [`super`]: chunks of rows, each one product and one sweep over its logits.

use std::ops::Range;

use rayon::prelude::*;

use super::{Head, SCRATCH_BYTES, Sizes, Upstream};
use crate::{
    Buffer, Device, View, ViewMut, Write,
    error::Result,
    ops::matmul,
    simd::{LANES, exp, max, simd},
};

/// Rows whose logits exist at one time: as many as fit the scratch, and enough for a product.
fn chunk_rows(sizes: &Sizes) -> usize {
    (SCRATCH_BYTES / (4 * sizes.vocab.max(1))).clamp(16, 4096).min(sizes.rows.max(1))
}

/// The logits of rows `from..from + rows`, before the temperature, in a scratch that is reused.
fn logits<'a>(
    head: &Head<'_>,
    weight: &matmul::Packed,
    scratch: &'a mut Buffer,
    [from, rows]: [usize; 2],
) -> Result<ViewMut<'a>> {
    let x = head.x.rows(from..from + rows)?;
    let mut logits = scratch.rows_mut(0..rows)?;
    matmul::nt_packed(x, weight, logits.reborrow(), Write::Overwrite)?;
    Ok(logits)
}

pub(super) fn forward(
    head: &Head<'_>,
    sizes: &Sizes,
    targets: &[u32],
    [logp, entropy, lse]: [&mut [f32]; 3],
) -> Result<()> {
    let (chunk, inverse) = (chunk_rows(sizes), 1.0 / head.temperature);
    let weight = matmul::Packed::new(head.weight)?;
    let mut scratch = Device::Cpu.zeros_f32(&[chunk, sizes.vocab])?;
    for from in (0..sizes.rows).step_by(chunk) {
        let rows = chunk.min(sizes.rows - from);
        let logits =
            logits(head, &weight, &mut scratch, [from, rows])?.into_f32("head", "logits")?;
        let here = from..from + rows;
        let outputs = logp[here.clone()]
            .par_iter_mut()
            .zip(&mut entropy[here.clone()])
            .zip(&mut lse[here.clone()])
            .zip(&targets[here]);
        outputs.zip(logits.par_chunks_exact_mut(sizes.vocab)).for_each(
            |((((logp, entropy), lse), target), row)| {
                let target = row[*target as usize] * inverse;
                let (log_sum, spread) = statistics(row, head.temperature);
                *logp = target - log_sum;
                *entropy = spread;
                *lse = log_sum;
            },
        );
    }
    Ok(())
}

/// Log-sum-exp and entropy of the distribution with logits `row / temperature`, which it scales.
pub(crate) fn statistics(row: &mut [f32], temperature: f32) -> (f32, f32) {
    let inverse = 1.0 / temperature;
    simd(
        #[inline(always)]
        || scaled_statistics(row, inverse),
    )
}

/// The exponent, but none so small that 0 times it could come to −∞; a NaN stays one, so that it shows.
#[inline(always)]
fn at_least(d: f32) -> f32 {
    if d < -104.0 { -104.0 } else { d }
}

#[inline(always)]
fn scaled_statistics(row: &mut [f32], inverse: f32) -> (f32, f32) {
    row.iter_mut().for_each(|z| *z *= inverse);
    let top = max(row);
    // Σ e^d and Σ e^d d with d = z − top ≤ 0: entropy = ln Σ e^d − Σ e^d d / Σ e^d.
    let (mut sums, mut moments) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (chunks, tail) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            let d = at_least(chunk[i] - top);
            let e = exp(d);
            sums[i] += e;
            moments[i] = e.mul_add(d, moments[i]);
        }
    }
    for (i, z) in tail.iter().enumerate() {
        let d = at_least(z - top);
        sums[i] += exp(d);
        moments[i] += exp(d) * d;
    }
    let (sum, moment) = (crate::simd::sum(&sums), crate::simd::sum(&moments));
    (top + sum.ln(), (sum.ln() - moment / sum).max(0.0))
}

pub(super) fn backward(
    head: &Head<'_>,
    sizes: &Sizes,
    targets: &[u32],
    upstream: &Upstream<'_>,
    mut dx: ViewMut<'_>,
    mut dweight: Option<ViewMut<'_>>,
) -> Result<()> {
    const OP: &str = "head::backward";
    let upstream = Slices::new(OP, upstream)?;
    let chunk = chunk_rows(sizes);
    let weight = matmul::Packed::new(head.weight)?;
    let mut scratch = Device::Cpu.zeros_f32(&[chunk, sizes.vocab])?;
    for from in (0..sizes.rows).step_by(chunk) {
        let rows = chunk.min(sizes.rows - from);
        let mut logits = logits(head, &weight, &mut scratch, [from, rows])?;
        let values = logits.reborrow().into_f32(OP, "logits")?;
        values.par_chunks_exact_mut(sizes.vocab).enumerate().for_each(|(i, row)| {
            let row_gradient = upstream.row(from + i, head.temperature);
            simd(
                #[inline(always)]
                || row_gradient.apply(row, Some(targets[from + i] as usize)),
            );
        });
        let dlogits = logits.as_view();
        let here = dx.reborrow().rows(from..from + rows)?;
        matmul::nn(dlogits, head.weight, here, Write::Overwrite)?;
        if let Some(dweight) = &mut dweight {
            let x = head.x.rows(from..from + rows)?;
            matmul::tn(dlogits, x, dweight.reborrow(), Write::Add)?;
        }
    }
    Ok(())
}

pub(super) fn dlogits(
    head: &Head<'_>,
    columns: Range<usize>,
    targets: &[u32],
    upstream: &Upstream<'_>,
    mut out: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "head::dlogits";
    let upstream = Slices::new(OP, upstream)?;
    matmul::nt(head.x, head.weight.rows(columns.clone())?, out.reborrow(), Write::Overwrite)?;
    if columns.is_empty() {
        return Ok(());
    }
    let rows = out.into_f32(OP, "out")?.par_chunks_exact_mut(columns.len()).enumerate();
    rows.for_each(|(i, row)| {
        let row_gradient = upstream.row(i, head.temperature);
        let target = targets[i] as usize;
        let target = columns.contains(&target).then(|| target - columns.start);
        simd(
            #[inline(always)]
            || row_gradient.apply(row, target),
        );
    });
    Ok(())
}

/// [`Upstream`] as slices.
struct Slices<'a> {
    lse: &'a [f32],
    entropy: &'a [f32],
    dlogp: &'a [f32],
    dentropy: Option<&'a [f32]>,
}

/// The constants of one row of the backward pass.
struct RowGradient {
    inverse: f32,
    lse: f32,
    entropy: f32,
    dlogp: f32,
    dentropy: f32,
}

impl<'a> Slices<'a> {
    fn new(op: &'static str, upstream: &Upstream<'a>) -> Result<Self> {
        let read = |view: View<'a>, name| view.f32(op, name);
        Ok(Self {
            lse: read(upstream.lse, "lse")?,
            entropy: read(upstream.entropy, "entropy")?,
            dlogp: read(upstream.dlogp, "dlogp")?,
            dentropy: upstream.dentropy.map(|view| read(view, "dentropy")).transpose()?,
        })
    }

    fn row(&self, row: usize, temperature: f32) -> RowGradient {
        RowGradient {
            inverse: 1.0 / temperature,
            lse: self.lse[row],
            entropy: self.entropy[row],
            dlogp: self.dlogp[row],
            dentropy: self.dentropy.map_or(0.0, |dentropy| dentropy[row]),
        }
    }
}

impl RowGradient {
    /// Turns a row of logits, or a part of one, into the gradient of the loss by them. `target` is
    /// where in it the target is, if it is.
    #[inline(always)]
    fn apply(&self, row: &mut [f32], target: Option<usize>) {
        let Self { inverse, lse, entropy, dlogp, dentropy } = *self;
        if dlogp == 0.0 && dentropy == 0.0 {
            return row.fill(0.0);
        }
        // 1 − p of the target as −expm1(logp): near certainty the difference would cancel.
        let log_target = target.map(|target| row[target] * inverse - lse);
        for z in row.iter_mut() {
            let log_p = (*z * inverse - lse).max(-104.0);
            let p = exp(log_p);
            *z = -p * inverse * (dlogp + dentropy * (log_p + entropy));
        }
        if let Some((target, log_target)) = target.zip(log_target) {
            let p = log_target.exp();
            let through_entropy = dentropy * p * (log_target + entropy);
            row[target] = inverse * (-dlogp * log_target.exp_m1() - through_entropy);
        }
    }
}
