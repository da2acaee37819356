//! The output head fused with what training needs of it: log-probability and entropy of each row.
//!
//! With hidden states `x [N, D]`, the head weight `w [V, D]`, a temperature τ and one target token a
//! row, and `z_nj = <x_n, w_j> / τ`:
//!
//! ```text
//! lse_n = ln Σ_j e^{z_nj}    logp_n = z_n,target − lse_n    entropy_n = lse_n − Σ_j p_nj z_nj
//! ```
//!
//! The logits `[N, V]` never exist as a whole: rows go through a scratch of [`SCRATCH_BYTES`], and
//! the backward pass computes them again.

mod cpu;
mod cuda;

pub(crate) use cpu::statistics;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::{
    Device, View, ViewMut, check,
    error::{Error, Result},
};

/// Size of the logits that exist at one time on the CPU.
pub const SCRATCH_BYTES: usize = 16 << 20;

/// What both passes read.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Hidden states `[N, D]`, after the final norm.
    pub x: View<'a>,
    /// The head weight `[V, D]`.
    pub weight: View<'a>,
    /// One token a row, `[N]`.
    pub targets: View<'a>,
    /// τ > 0: log-probabilities are those of sampling at this temperature.
    pub temperature: f32,
}

/// What the forward pass writes; each `[N]`, overwritten.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// Log-probability of the target.
    pub logp: ViewMut<'a>,
    /// Entropy of the row's distribution.
    pub entropy: ViewMut<'a>,
    /// Log-sum-exp, for the backward pass.
    pub lse: ViewMut<'a>,
}

/// What the backward pass reads besides [`Head`]; each `[N]`.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a> {
    /// From the forward pass.
    pub lse: View<'a>,
    /// From the forward pass.
    pub entropy: View<'a>,
    /// Gradient of the loss by `logp`.
    pub dlogp: View<'a>,
    /// Gradient of the loss by `entropy`; `None` if the loss does not contain it.
    pub dentropy: Option<View<'a>>,
}

impl Upstream<'_> {
    fn check(&self, op: &'static str, rows: usize) -> Result<()> {
        check::shape(op, "lse", self.lse.dims(), &[rows])?;
        check::shape(op, "entropy", self.entropy.dims(), &[rows])?;
        check::shape(op, "dlogp", self.dlogp.dims(), &[rows])?;
        self.dentropy.map_or(Ok(()), |d| check::shape(op, "dentropy", d.dims(), &[rows]))
    }
}

/// Rows, width, vocabulary: checked.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    rows: usize,
    width: usize,
    vocab: usize,
}

impl Head<'_> {
    fn check(&self, op: &'static str) -> Result<Sizes> {
        let [rows, width] = check::matrix(op, "x", self.x.dims())?;
        let [vocab, _] = check::matrix(op, "weight", self.weight.dims())?;
        check::shape(op, "weight", self.weight.dims(), &[vocab, width])?;
        check::shape(op, "targets", self.targets.dims(), &[rows])?;
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let problem = format!("temperature {} is not positive and finite", self.temperature);
            return Err(Error::argument(op, problem));
        }
        Ok(Sizes { rows, width, vocab })
    }
}

fn check_targets(op: &'static str, targets: &[u32], vocab: usize) -> Result<()> {
    match targets.iter().position(|&token| token as usize >= vocab) {
        None => Ok(()),
        Some(row) => {
            let token = targets[row];
            Err(Error::argument(
                op,
                format!("row {row}: target {token} of a vocabulary of {vocab}"),
            ))
        }
    }
}

/// Computes log-probability, entropy and log-sum-exp of every row.
///
/// # Errors
/// [`Error::Shape`] or [`Error::Rank`] naming the tensor that does not fit; [`Error::Argument`] for
/// a target outside the vocabulary or a temperature that is not positive.
pub fn forward(head: &Head<'_>, outputs: Outputs<'_>) -> Result<()> {
    const OP: &str = "head::forward";
    let sizes = head.check(OP)?;
    let Outputs { logp, entropy, lse } = &outputs;
    check::shape(OP, "logp", logp.dims(), &[sizes.rows])?;
    check::shape(OP, "entropy", entropy.dims(), &[sizes.rows])?;
    check::shape(OP, "lse", lse.dims(), &[sizes.rows])?;
    match head.x.device() {
        Device::Cpu => {
            let targets = head.targets.u32(OP, "targets")?;
            check_targets(OP, targets, sizes.vocab)?;
            let Outputs { logp, entropy, lse } = outputs;
            let (logp, entropy) = (logp.into_f32(OP, "logp")?, entropy.into_f32(OP, "entropy")?);
            cpu::forward(head, &sizes, targets, [logp, entropy, lse.into_f32(OP, "lse")?])
        }
        Device::Cuda(driver) => cuda::forward(&driver, OP, head, &sizes, outputs),
    }
}

/// Computes `dx = dz w / τ` and, if asked, `dw += dzᵀ x / τ`, where
///
/// ```text
/// dz_nj = dlogp_n (1[j = target_n] − p_nj) − dentropy_n p_nj (z_nj − lse_n + entropy_n)
/// ```
///
/// # Shapes
/// `dx`: `[N, D]`, overwritten; `dweight`: `[V, D]`, added to.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    head: &Head<'_>,
    upstream: &Upstream<'_>,
    dx: ViewMut<'_>,
    dweight: Option<ViewMut<'_>>,
) -> Result<()> {
    const OP: &str = "head::backward";
    let sizes = head.check(OP)?;
    upstream.check(OP, sizes.rows)?;
    check::shape(OP, "dx", dx.dims(), &[sizes.rows, sizes.width])?;
    if let Some(dweight) = &dweight {
        check::shape(OP, "dweight", dweight.dims(), &[sizes.vocab, sizes.width])?;
    }
    match head.x.device() {
        Device::Cpu => {
            let targets = head.targets.u32(OP, "targets")?;
            check_targets(OP, targets, sizes.vocab)?;
            cpu::backward(head, &sizes, targets, upstream, dx, dweight)
        }
        Device::Cuda(driver) => cuda::backward(&driver, OP, head, &sizes, upstream, (dx, dweight)),
    }
}

/// Columns `columns` of `dz` as [`backward`] has it, so that `dx` and `dw` can be had part by part of
/// the vocabulary: `dw` of those rows is `dzᵀ x`, and `dx` is the sum of `dz w` over all parts. The
/// temperature is in `dz`.
///
/// # Shapes
/// `out`: `[N, columns]`, overwritten.
///
/// # Errors
/// As [`forward`]; [`Error::Argument`] for columns outside the vocabulary.
pub fn dlogits(
    head: &Head<'_>,
    columns: Range<usize>,
    upstream: &Upstream<'_>,
    out: ViewMut<'_>,
) -> Result<()> {
    const OP: &str = "head::dlogits";
    let sizes = head.check(OP)?;
    upstream.check(OP, sizes.rows)?;
    check::shape(OP, "out", out.dims(), &[sizes.rows, columns.len()])?;
    match head.x.device() {
        Device::Cpu => {
            let targets = head.targets.u32(OP, "targets")?;
            check_targets(OP, targets, sizes.vocab)?;
            cpu::dlogits(head, columns, targets, upstream, out)
        }
        Device::Cuda(driver) => cuda::dlogits(&driver, OP, head, &sizes, columns, (upstream, out)),
    }
}
