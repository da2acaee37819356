//! Stored gradients: of the target, of a question too long for one batch, and of the oracle.

use infuser_model::{Accumulate, Keep, Model, Monitor, OutputGradient, Tensors, Workspace};

use crate::{
    error::{Error, Result, go_on},
    packed::{Packed, Part},
    question::{Objective, Question, Response},
};

/// How much is computed together. None of it changes a score by more than rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Rows of a batch, at most, unless one response with its prompt has more.
    pub batch_tokens: usize,
    /// What the forward pass keeps: [`Keep::BlockInputs`] computes more and holds less.
    pub keep: Keep,
}

impl Default for Settings {
    fn default() -> Self {
        Self { batch_tokens: 8192, keep: Keep::BlockInputs }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self { batch_tokens: 0, .. } => Err(Error::Setting("batch_tokens is 0".into())),
            Self { keep: Keep::Nothing, .. } => {
                Err(Error::Setting("a gradient needs a workspace that keeps activations".into()))
            }
            _ => Ok(()),
        }
    }
}

/// A question's responses that count, in parts of at most `limit` rows, each with the prompt; a
/// response that is longer is a part of its own.
pub(crate) fn parts(question: &Question, divisor: f64, limit: usize) -> Vec<Part<'_>> {
    let prompt = &question.prompt[..];
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut rows = usize::MAX;
    for response in question.responses.iter().filter(|response| response.counts()) {
        let own = response.tokens.len();
        match parts.last_mut() {
            Some(part) if rows + own <= limit => {
                part.responses.push(response);
                rows += own;
            }
            _ => {
                parts.push(Part { prompt, responses: vec![response], divisor });
                rows = prompt.len() + own;
            }
        }
    }
    parts
}

/// Consecutive items that fit in `limit` rows together; an item with more goes alone.
pub(crate) fn groups<T>(items: &[T], limit: usize, rows: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut groups, mut start, mut used) = (Vec::new(), 0, 0);
    for (i, item) in items.iter().enumerate() {
        let own = rows(item);
        if i > start && used + own > limit {
            groups.push(&items[start..i]);
            (start, used) = (i, 0);
        }
        used += own;
    }
    if start < items.len() {
        groups.push(&items[start..]);
    }
    groups
}

/// Rows of a part.
pub(crate) fn part_rows(part: &Part<'_>) -> usize {
    let tokens = |response: &&Response| response.tokens.len();
    part.prompt.len() + part.responses.iter().map(tokens).sum::<usize>()
}

/// Adds the gradient of these parts' losses to `gradients`, and returns how they lay in the batch.
pub(crate) fn accumulate<'a>(
    model: &Model,
    parts: &[Part<'a>],
    temperature: f32,
    workspace: &mut Workspace,
    gradients: &mut Tensors,
) -> Result<Packed<'a>> {
    let packed = Packed::new(parts, model.device())?;
    model.forward(&packed.batch, temperature, workspace)?;
    let dlogp = packed.dlogp(&workspace.logp()?);
    let gradient = OutputGradient { logp: &dlogp, entropy: None };
    let sink = &mut Accumulate::new(gradients);
    model.backward(&packed.batch, gradient, workspace, sink)?;
    Ok(packed)
}

/// The gradient of the questions' losses together,
///
/// ```text
/// g = Σ_q Σ_i Σ_t −A_i w_it ∇logp_it / (rows T̄)
/// ```
///
/// `rows` is usually the number of all responses of all questions, which makes it the mean over them.
/// [`infuser_kernels::ops::influence`] has no part in it: this is the plain gradient.
///
/// # Errors
/// [`Error::Question`] naming the first that the model cannot run; [`Error::Setting`];
/// [`Error::Model`] if the device has no room; [`Error::Interrupted`].
pub fn gradient(
    model: &Model,
    questions: &[Question],
    objective: &Objective,
    rows: f64,
    settings: Settings,
    monitor: &dyn Monitor,
) -> Result<Tensors> {
    check(model, questions, objective, settings)?;
    let divisor = rows * objective.mean_tokens;
    let limit = settings.batch_tokens;
    let all = questions.iter().flat_map(|question| parts(question, divisor, limit));
    let all: Vec<Part<'_>> = all.collect();
    let mut gradients = Tensors::zeros(model.layout(), model.device())?;
    let mut workspace = model.workspace(settings.keep)?;
    for group in groups(&all, limit, part_rows) {
        accumulate(model, group, objective.temperature, &mut workspace, &mut gradients)?;
        go_on(monitor, group.len())?;
    }
    Ok(gradients)
}

pub(crate) fn check(
    model: &Model,
    questions: &[Question],
    objective: &Objective,
    settings: Settings,
) -> Result<()> {
    objective.check()?;
    settings.check()?;
    let mut all = questions.iter().enumerate();
    all.try_for_each(|(index, question)| {
        question.check(model.config()).map_err(|problem| Error::Question { index, problem })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Weights;

    fn question(prompt: usize, responses: &[(usize, f32)]) -> Question {
        let response = |&(tokens, advantage): &(usize, f32)| Response {
            tokens: vec![0; tokens],
            advantage,
            weights: Weights::One,
        };
        Question { prompt: vec![0; prompt], responses: responses.iter().map(response).collect() }
    }

    #[test]
    fn long_questions_are_cut_between_responses() {
        let question = question(4, &[(3, 1.0), (3, -1.0), (9, 1.0), (5, 0.0), (0, 1.0), (2, 1.0)]);
        let sizes = |limit| -> Vec<usize> {
            parts(&question, 1.0, limit).iter().map(|part| part.responses.len()).collect()
        };
        assert_eq!(sizes(100), [4]);
        assert_eq!(question.rows(), 4 + 3 + 3 + 9 + 2);
        assert_eq!(sizes(20), [3, 1]);
        assert_eq!(sizes(10), [2, 1, 1]);
        assert_eq!(sizes(1), [1, 1, 1, 1]);
        let silent = self::question(4, &[(3, 0.0), (0, 1.0)]);
        assert!(silent.is_silent() && parts(&silent, 1.0, 9).is_empty());
    }

    #[test]
    fn groups_keep_order_and_stay_within_the_limit() {
        let items = [3, 4, 9, 1, 1, 5];
        let sizes =
            |limit| groups(&items, limit, |n| *n).iter().map(|g| g.len()).collect::<Vec<_>>();
        assert_eq!(sizes(7), [2, 1, 3]);
        assert_eq!(sizes(1), [1, 1, 1, 1, 1, 1]);
        assert!(groups(&[] as &[usize], 7, |n| *n).is_empty());
    }
}
