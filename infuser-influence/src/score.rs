//! Scores of questions.

use infuser_kernels::ops::influence::{Preconditioner, Sums};
use infuser_model::{
    Model, OutputGradient, ParamId, Tensors, Workspace,
    optim::{AdamW, Optimizer},
};

use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
    gradient::{Settings, accumulate, check, groups, part_rows, parts},
    packed::{Packed, Part},
    question::{Objective, Question},
    similarity::Similarity,
    sink::{Comparison, Influence},
    target::{Origin, Target},
};

/// The state of AdamW before the step that a question would take part in.
#[derive(Debug, Clone, Copy)]
pub struct AdamState<'a> {
    /// The mean squared gradient `v`; `None` before the first step.
    pub exp_avg_sq: Option<&'a Tensors>,
    /// β₂, ε and the steps taken.
    pub preconditioner: Preconditioner,
}

impl<'a> AdamState<'a> {
    /// An optimizer that has not stepped: `Γ` is `g / (|g| + ε)`, nearly the sign of `g`, and every
    /// parameter counts alike.
    pub fn empty(hyper: &AdamW) -> Self {
        let AdamW { beta2, epsilon, .. } = *hyper;
        Self { exp_avg_sq: None, preconditioner: Preconditioner { beta2, epsilon, step: 0 } }
    }

    /// The state of a live optimizer.
    pub fn of(optimizer: &'a Optimizer) -> Self {
        let empty = Self::empty(&optimizer.settings().adamw);
        let step = optimizer.steps();
        Self {
            exp_avg_sq: (step > 0).then(|| optimizer.exp_avg_sq()),
            preconditioner: Preconditioner { step, ..empty.preconditioner },
        }
    }
}

/// How a question's sums were computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Not at all: it has no gradient, and scores 0.
    Silent,
    /// Tile by tile, nothing stored.
    Tiles,
    /// It did not fit into a batch: its gradient was added up in a buffer, over so many batches.
    Stored {
        /// Batches.
        batches: usize,
    },
}

/// The sums of one question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Everything that any [`Similarity`] needs.
    pub sums: Sums,
    /// How they were computed.
    pub path: Path,
}

/// The scores of a list of questions, and what they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// One a question, in order.
    pub questions: Vec<Score>,
    /// `|m|`.
    pub target_norm: f64,
    /// The target.
    pub target: Origin,
    /// The optimizer's mean square; `None` before its first step.
    pub optimizer: Option<Fingerprint>,
}

impl Scores {
    /// The scores by one similarity.
    pub fn by(&self, similarity: Similarity) -> Vec<f64> {
        let score = |score: &Score| similarity.score(&score.sums, self.target_norm);
        self.questions.iter().map(score).collect()
    }
}

/// Scores questions against one target, with the weights and the optimizer as they are.
pub struct Scorer<'a> {
    model: &'a Model,
    target: &'a Target,
    state: AdamState<'a>,
    settings: Settings,
    workspace: Workspace,
    /// The one gradient buffer, made when a question needs it.
    stored: Option<Tensors>,
    optimizer: Option<Fingerprint>,
}

impl<'a> Scorer<'a> {
    /// A scorer.
    ///
    /// # Errors
    /// [`Error::Target`] if the target is of other weights than the model has now: a direction of an
    /// earlier time is never used silently. [`Error::Setting`]; [`Error::Model`] without memory.
    pub fn new(
        model: &'a Model,
        target: &'a Target,
        state: AdamState<'a>,
        settings: Settings,
    ) -> Result<Self> {
        settings.check()?;
        let weights = Fingerprint::of_tensors(model.weights())?;
        let origin = target.origin();
        if weights != origin.weights {
            let problem = "measured at other weights than the model has now; measure it again";
            return Err(Error::Target(problem.into()));
        }
        let optimizer = state.exp_avg_sq.map(Fingerprint::of_tensors).transpose()?;
        let workspace = model.workspace(settings.keep)?;
        Ok(Self { model, target, state, settings, workspace, stored: None, optimizer })
    }

    /// The sums of every question, exact but for rounding.
    ///
    /// # Errors
    /// [`Error::Question`] naming the first that the model cannot run or whose sums are not finite;
    /// [`Error::Setting`]; [`Error::Model`] if the device has no room.
    pub fn score(&mut self, questions: &[Question], objective: &Objective) -> Result<Scores> {
        check(self.model, questions, objective, self.settings)?;
        let silent = Score { sums: Sums::default(), path: Path::Silent };
        let mut scores = vec![silent; questions.len()];
        let mut waiting: Vec<(usize, Part<'_>)> = Vec::new();
        for (index, question) in questions.iter().enumerate() {
            let divisor = question.responses.len() as f64 * objective.mean_tokens;
            let mut parts = parts(question, divisor, self.settings.batch_tokens);
            match parts.len() {
                0 => {}
                1 => waiting.extend(parts.pop().map(|part| (index, part))),
                _ => scores[index] = self.stored(&parts, objective.temperature)?,
            }
        }
        for group in groups(&waiting, self.settings.batch_tokens, |(_, part)| part_rows(part)) {
            let parts: Vec<Part<'_>> = group.iter().map(|(_, part)| part.clone()).collect();
            let sums = self.tiles(&parts, objective.temperature)?;
            for ((index, _), sums) in group.iter().zip(sums) {
                scores[*index] = Score { sums, path: Path::Tiles };
            }
        }
        self.finish(scores)
    }

    /// The same by the plain way: the gradient of each question is stored, then summed. It takes a
    /// backward pass and a sweep over all parameters for each question; tests compare with it.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn score_by_storing(
        &mut self,
        questions: &[Question],
        objective: &Objective,
    ) -> Result<Scores> {
        check(self.model, questions, objective, self.settings)?;
        let one = |question: &Question| {
            let divisor = question.responses.len() as f64 * objective.mean_tokens;
            match parts(question, divisor, self.settings.batch_tokens) {
                parts if parts.is_empty() => {
                    Ok(Score { sums: Sums::default(), path: Path::Silent })
                }
                parts => self.stored(&parts, objective.temperature),
            }
        };
        let scores = questions.iter().map(one).collect::<Result<_>>()?;
        self.finish(scores)
    }

    fn finish(&self, questions: Vec<Score>) -> Result<Scores> {
        let finite = |score: &Score| {
            let Sums { dot, gradient_sq, gamma_dot, gamma_sq } = score.sums;
            [dot, gradient_sq, gamma_dot, gamma_sq].iter().all(|sum| sum.is_finite())
        };
        if let Some(index) = questions.iter().position(|score| !finite(score)) {
            let problem = format!("its gradient is not finite: {:?}", questions[index].sums);
            return Err(Error::Question { index, problem });
        }
        let (target_norm, target) = (self.target.norm(), *self.target.origin());
        Ok(Scores { questions, target_norm, target, optimizer: self.optimizer })
    }

    fn comparison(&self) -> Comparison<'a> {
        Comparison {
            target: self.target.gradient(),
            exp_avg_sq: self.state.exp_avg_sq,
            preconditioner: self.state.preconditioner,
        }
    }

    /// One batch through the sink.
    fn tiles(&mut self, parts: &[Part<'_>], temperature: f32) -> Result<Vec<Sums>> {
        let packed = Packed::new(parts, self.model.device())?;
        self.model.forward(&packed.batch, temperature, &mut self.workspace)?;
        let dlogp = packed.dlogp(&self.workspace.logp()?);
        let layout = self.model.layout();
        let tied = Some(layout.embedding).filter(|embedding| *embedding == layout.head);
        let mut sink = Influence::new(self.comparison(), &packed, tied);
        let gradient = OutputGradient { logp: &dlogp, entropy: None };
        self.model.backward(&packed.batch, gradient, &mut self.workspace, &mut sink)?;
        Ok(sink.into_sums())
    }

    /// One question through the buffer.
    fn stored(&mut self, parts: &[Part<'_>], temperature: f32) -> Result<Score> {
        let mut gradients = match self.stored.take() {
            Some(mut gradients) => {
                gradients.clear();
                gradients
            }
            None => Tensors::zeros(self.model.layout(), self.model.device())?,
        };
        for part in parts {
            let part = std::slice::from_ref(part);
            accumulate(self.model, part, temperature, &mut self.workspace, &mut gradients)?;
        }
        let (mut sums, comparison) = (Sums::default(), self.comparison());
        for (id, _) in self.model.layout().iter() {
            let id: ParamId = id;
            sums += comparison.sums(id, gradients[id].view())?;
        }
        self.stored = Some(gradients);
        Ok(Score { sums, path: Path::Stored { batches: parts.len() } })
    }
}
