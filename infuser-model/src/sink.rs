//! Where parameter gradients go.
//!
//! The backward pass computes gradients of activations itself, and hands everything from which the
//! gradient of a parameter follows to a [`GradientSink`]. [`Accumulate`] adds it to a buffer. A sink
//! that needs something else of it, such as its inner products question by question, gets the same
//! factors and never has to store a gradient.

use infuser_kernels::{
    View, ViewMut, Write,
    ops::{bias, embedding, head, matmul, rmsnorm},
};

use crate::{
    error::Result,
    layout::{ParamId, Tensors},
};

/// What the rows of a norm's factors stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf {
    /// The packed tokens of the batch, in order.
    Tokens,
    /// So many consecutive rows for each packed token (the heads of a QK-norm).
    TokenHeads(usize),
    /// The outputs of the batch, in order.
    Outputs,
}

/// The factors of a norm weight's gradient: `dw_j = Σ_r dy_rj x_rj rstd_r`.
#[derive(Debug, Clone, Copy)]
pub struct NormFactors<'a> {
    /// Gradient of the norm's output, `[R, N]`.
    pub dy: View<'a>,
    /// The norm's input, `[R, N]`.
    pub x: View<'a>,
    /// `[R]`.
    pub rstd: View<'a>,
    /// What a row is.
    pub rows: RowsOf,
}

/// Receives the factors of every parameter's gradient, once a backward pass, last layer first. A tied
/// embedding is handed over twice under one id: by [`GradientSink::head`] and, last, by
/// [`GradientSink::embedding`].
pub trait GradientSink {
    /// A linear layer's weight: `dW = dyᵀ x`, with `x [T, K]` and `dy [T, N]` over the packed tokens.
    ///
    /// # Errors
    /// As the ops it calls; so for all methods.
    fn linear(&mut self, weight: ParamId, x: View<'_>, dy: View<'_>) -> Result<()>;

    /// A bias: `db = Σ_t dy_t`, over the packed tokens.
    fn bias(&mut self, bias: ParamId, dy: View<'_>) -> Result<()>;

    /// A norm weight.
    fn norm(&mut self, weight: ParamId, factors: NormFactors<'_>) -> Result<()>;

    /// The embedding table: row `tokens_t` receives `dx_t`, over the packed tokens.
    fn embedding(&mut self, table: ParamId, tokens: View<'_>, dx: View<'_>) -> Result<()>;

    /// The head, over the outputs of the batch. The sink decides how the logits are recomputed, so it
    /// also writes the gradient of the head's input, `dx [N, D]`.
    fn head(
        &mut self,
        weight: ParamId,
        head: &head::Head<'_>,
        upstream: &head::Upstream<'_>,
        dx: ViewMut<'_>,
    ) -> Result<()>;
}

/// Adds every gradient to a buffer of the parameter's shape.
#[derive(Debug)]
pub struct Accumulate<'a> {
    gradients: &'a mut Tensors,
}

impl<'a> Accumulate<'a> {
    /// Adds to `gradients`; clear them first for the gradient of one batch alone.
    pub fn new(gradients: &'a mut Tensors) -> Self {
        Self { gradients }
    }
}

impl GradientSink for Accumulate<'_> {
    fn linear(&mut self, weight: ParamId, x: View<'_>, dy: View<'_>) -> Result<()> {
        Ok(matmul::tn(dy, x, self.gradients[weight].view_mut(), Write::Add)?)
    }

    fn bias(&mut self, bias: ParamId, dy: View<'_>) -> Result<()> {
        Ok(bias::backward(dy, self.gradients[bias].view_mut())?)
    }

    fn norm(&mut self, weight: ParamId, factors: NormFactors<'_>) -> Result<()> {
        let NormFactors { dy, x, rstd, .. } = factors;
        Ok(rmsnorm::backward_weight(dy, x, rstd, self.gradients[weight].view_mut())?)
    }

    fn embedding(&mut self, table: ParamId, tokens: View<'_>, dx: View<'_>) -> Result<()> {
        Ok(embedding::scatter_add(dx, tokens, self.gradients[table].view_mut())?)
    }

    fn head(
        &mut self,
        weight: ParamId,
        head: &head::Head<'_>,
        upstream: &head::Upstream<'_>,
        dx: ViewMut<'_>,
    ) -> Result<()> {
        let dweight = self.gradients[weight].view_mut();
        Ok(head::backward(head, upstream, dx, Some(dweight))?)
    }
}
