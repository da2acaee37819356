//! The one step of an update on a gradient that another pass computed.

use infuser_model::{Model, Tensors, optim::Optimizer};

use super::{Group, Report, row_count, rows};
use crate::{
    config::Update,
    correction::Correction,
    error::{Error, Result},
    loss::{Tokens, clipped},
    reduce::Reduction,
};

/// A gradient of the rows of an update at the weights before it, and what the same pass saw.
#[derive(Debug)]
pub struct Passed {
    /// `Σ_i Σ_t −A_i w_it ∇logp_it / divisor`, over the rows with an advantage.
    pub gradient: Tensors,
    /// What the sum is divided by in `gradient`.
    pub divisor: f64,
    /// The log-probabilities of every row; empty for a row without an advantage.
    pub logp: Vec<Vec<f32>>,
    /// Sum of the entropies at the tokens of the rows with an advantage.
    pub entropy: f64,
}

/// What [`update`](super::update) does if it takes one step, with the gradient given: at the weights
/// before the step every ratio is 1 and nothing is clipped, so that the gradient of the loss is that of
/// the policy gradient. What is reported is of the rows with an advantage.
///
/// # Errors
/// [`Error::Setting`] for settings under which an update is more than one such step.
pub fn step(
    model: &mut Model,
    optimizer: &mut Optimizer,
    groups: &[Group],
    passed: Passed,
    settings: &Update,
    correction: &Correction,
) -> Result<Report> {
    let by_length = matches!(settings.reduction, Some(Reduction::MeanOfMeans));
    let one_step = settings.epochs == 1 && groups.len() <= settings.prompts_per_step;
    if by_length || !one_step || settings.entropy != 0.0 {
        let problem = "the gradient of one pass over all rows serves one step without an entropy \
                       bonus and with one divisor for all";
        return Err(Error::Setting(problem.into()));
    }
    crate::error::length("the log-probabilities of rows", passed.logp.len(), row_count(groups))?;
    let all: Vec<usize> = rows(groups).map(|row| row.tokens.len()).collect();
    let mean_tokens = all.iter().sum::<usize>() as f64 / all.len().max(1) as f64;
    let constant = Reduction::Constant(mean_tokens * all.len() as f64);
    let divisor = settings.reduction.unwrap_or(constant).divisor(&all);

    let seen = || rows(groups).zip(&passed.logp).filter(|(_, logp)| !logp.is_empty());
    let lengths: Vec<usize> = seen().map(|(row, _)| row.tokens.len()).collect();
    let logp: Vec<f32> = seen().flat_map(|(_, logp)| logp.iter().copied()).collect();
    let rollout: Vec<f32> = seen().flat_map(|(row, _)| row.rollout_logp.iter().copied()).collect();
    let advantages: Vec<f32> =
        seen().flat_map(|(row, _)| std::iter::repeat_n(row.advantage, row.tokens.len())).collect();
    let (weights, mismatch) = super::weighted(&lengths, &logp, &rollout, correction)?;
    let tokens = Tokens {
        lengths: &lengths,
        logp: &logp,
        old_logp: &logp,
        advantages: &advantages,
        weights: Some(&weights),
    };
    let loss = clipped(&tokens, &settings.clip, divisor)?;
    let mut gradient = passed.gradient;
    let scale = passed.divisor * divisor.coefficient(1);
    for buffer in gradient.buffers_mut() {
        infuser_kernels::ops::add::scale(scale as f32, buffer.view_mut())
            .map_err(infuser_model::Error::from)?;
    }
    let report = optimizer.step(model.weights_mut(), &gradient)?;
    Ok(Report {
        steps: vec![report],
        loss: loss.value,
        entropy: passed.entropy / logp.len().max(1) as f64,
        counts: loss.counts,
        mismatch,
        tokens: all.iter().sum(),
    })
}
