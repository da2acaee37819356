//! From rows of logits to tokens.
//!
//! With logits `z`, the temperature τ and the largest logit `z_max`:
//!
//! ```text
//! penalty   z_i of a token seen before becomes z_i / r if z_i > 0, else z_i · r   (Keskar et al. 2019)
//! p_i       = e^{z_i/τ − lse(z/τ)}
//! top-k     keeps the k most probable; of equals, the smaller ids
//! top-p     then the fewest most probable whose share of what is left reaches top_p (Holtzman et al. 2020)
//! min-p     then those with p_i ≥ min_p · p_max (Nguyen et al. 2024)
//! ```
//!
//! One uniform number picks from what is kept, in proportion to `p`, in the order of ids. So a draw
//! depends on its row, its settings and its number, and on nothing else.

mod cpu;
mod cuda;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

use crate::{
    Device, View, check,
    error::{Error, Result},
    rng::Stream,
};

/// How a token is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The most probable token; of equals, the smallest id.
    Greedy,
    /// In proportion to probability at a temperature, among what the filters keep.
    Random {
        /// τ > 0.
        temperature: f32,
        /// At most so many tokens; `None` for all.
        top_k: Option<usize>,
        /// In (0, 1]; 1 for all.
        top_p: f32,
        /// In [0, 1]; 0 for all.
        min_p: f32,
    },
}

/// One token to draw.
#[derive(Debug, Clone, Copy)]
pub struct Draw<'a> {
    /// The row of the logits; several draws may name one.
    pub row: usize,
    /// How.
    pub sampling: Sampling,
    /// What picks from the kept tokens.
    pub uniform: Uniform,
    /// The penalty r > 0 on tokens seen before, and those tokens; `None` for no penalty.
    pub penalty: Option<(f32, &'a [u32])>,
}

/// The uniform number of a draw, in [0, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Uniform {
    /// This one. Not on CUDA, which draws for itself.
    Given(f64),
    /// Draw number so and so of a stream.
    Of(Stream, u64),
}

impl Uniform {
    /// The number.
    pub fn value(self) -> f64 {
        match self {
            Self::Given(number) => number,
            Self::Of(stream, index) => stream.uniform(index),
        }
    }
}

/// A drawn token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// Its id.
    pub token: u32,
    /// Its log-probability after penalty and temperature (1 for greedy), over all tokens: what a
    /// training pass at that temperature computes.
    pub logp: f32,
    /// Its log-probability as the model gives it: no penalty, temperature 1.
    pub raw_logp: f32,
    /// The entropy of the distribution of `logp`.
    pub entropy: f32,
}

impl Sampling {
    /// At a temperature, from all tokens.
    pub fn at(temperature: f32) -> Self {
        Self::Random { temperature, top_k: None, top_p: 1.0, min_p: 0.0 }
    }

    /// The temperature of the log-probabilities.
    pub fn temperature(&self) -> f32 {
        match *self {
            Self::Greedy => 1.0,
            Self::Random { temperature, .. } => temperature,
        }
    }

    /// Which value is outside its range, if one is.
    pub fn problem(&self) -> Option<String> {
        let Self::Random { temperature, top_k, top_p, min_p } = *self else { return None };
        if !(temperature > 0.0 && temperature.is_finite()) {
            Some(format!("temperature {temperature} is not above 0"))
        } else if !(top_p > 0.0 && top_p <= 1.0) {
            Some(format!("top-p {top_p} is not above 0 and at most 1"))
        } else if top_k == Some(0) {
            Some("top-k 0 leaves no token; leave it out for all".into())
        } else if !(0.0..=1.0).contains(&min_p) {
            Some(format!("min-p {min_p} is not in 0 to 1"))
        } else {
            None
        }
    }
}

/// Draws a token for each of `draws`, in their order. A row that holds a NaN, or no finite logit,
/// gives a `logp` that is not finite; look at it before the token.
///
/// # Shapes
/// `logits`: `[N, V]` with V at least 1.
///
/// # Errors
/// [`Error::Argument`] for settings outside their range, a row that is not there, a penalised token
/// outside the vocabulary, or a given number on CUDA.
pub fn draw(logits: View<'_>, draws: &[Draw<'_>]) -> Result<Vec<Drawn>> {
    const OP: &str = "sample::draw";
    let [rows, vocab] = check::matrix(OP, "logits", logits.dims())?;
    draws.iter().try_for_each(|draw| check(OP, draw, [rows, vocab]))?;
    match logits.device() {
        Device::Cpu => Ok(cpu::draw(logits.f32(OP, "logits")?, vocab, draws)),
        Device::Cuda(driver) => cuda::draw(&driver, OP, logits, [rows, vocab], draws),
    }
}

/// A draw is one from logits of this shape.
pub(crate) fn check(op: &'static str, draw: &Draw<'_>, [rows, vocab]: [usize; 2]) -> Result<()> {
    let fail = |problem: String| Err(Error::argument(op, problem));
    if let Some(problem) = draw.sampling.problem() {
        return fail(problem);
    }
    if draw.row >= rows || vocab == 0 {
        return fail(format!("row {} of logits [{rows}, {vocab}]", draw.row));
    }
    let uniform = draw.uniform.value();
    if !(0.0..1.0).contains(&uniform) {
        return fail(format!("the uniform number {uniform} is not in 0 to 1"));
    }
    let Some((penalty, seen)) = draw.penalty else { return Ok(()) };
    if !(penalty > 0.0 && penalty.is_finite()) {
        return fail(format!("the repetition penalty {penalty} is not positive"));
    }
    if let Some(token) = seen.iter().find(|token| **token as usize >= vocab) {
        return fail(format!("token {token} is outside the vocabulary of {vocab}"));
    }
    Ok(())
}
