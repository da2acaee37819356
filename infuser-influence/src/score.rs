//! Scores of questions.

use infuser_kernels::ops::{
    add,
    influence::{Preconditioner, Sums},
    question_sums::Tally,
};
use infuser_model::{
    Model, Monitor, OutputGradient, Tensors, Workspace,
    optim::{AdamW, Optimizer},
};

use crate::{
    error::{Error, Result, go_on},
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

/// What scoring passes saw of the questions: all that one optimizer step on them takes.
#[derive(Debug)]
pub struct Shared {
    /// `Σ_q ∇L_q`: the gradient of all questions' losses.
    pub gradient: Tensors,
    /// `n T̄`, by which the losses are divided.
    pub divisor: f64,
    /// For each question, the log-probabilities of its responses that have a gradient, in order.
    pub logp: Vec<Vec<Vec<f32>>>,
    /// Sum of the entropies at the tokens of those responses.
    pub entropy: f64,
}

impl Shared {
    /// Notes what a forward pass computed of so many responses of each of these questions.
    fn note(
        &mut self,
        questions: impl Iterator<Item = (usize, usize)>,
        packed: &Packed<'_>,
        workspace: &Workspace,
    ) -> Result<()> {
        let logp = workspace.logp()?;
        let mut outputs = packed.response_outputs();
        for (question, responses) in questions {
            let own = outputs.by_ref().take(responses);
            self.logp[question].extend(own.map(|outputs| logp[outputs].to_vec()));
        }
        self.entropy += workspace.entropy()?.iter().map(|value| f64::from(*value)).sum::<f64>();
        Ok(())
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
    monitor: &'a dyn Monitor,
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
        monitor: &'a dyn Monitor,
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
        Ok(Self { model, target, state, settings, workspace, stored: None, optimizer, monitor })
    }

    /// The sums of every question, exact but for rounding.
    ///
    /// # Errors
    /// [`Error::Question`] naming the first that the model cannot run or whose sums are not finite;
    /// [`Error::Setting`]; [`Error::Model`] if the device has no room; [`Error::Interrupted`].
    pub fn score(&mut self, questions: &[Question], objective: &Objective) -> Result<Scores> {
        self.score_into(questions, objective, None)
    }

    /// The same, and what one optimizer step on all these questions takes, out of the same passes: it
    /// costs one product more for each linear layer, and saves the passes of the step.
    ///
    /// # Errors
    /// As [`Scorer::score`]; [`Error::Setting`] if questions differ in their number of responses.
    pub fn score_and_share(
        &mut self,
        questions: &[Question],
        objective: &Objective,
    ) -> Result<(Scores, Shared)> {
        let loud = || questions.iter().filter(|question| !question.is_silent());
        let responses = loud().next().map_or(1, |question| question.responses.len());
        if let Some(other) = loud().find(|question| question.responses.len() != responses) {
            let other = other.responses.len();
            return Err(Error::Setting(format!(
                "questions of {responses} and of {other} responses are divided by different numbers, so \
                 their gradients do not add up to that of one step"
            )));
        }
        let mut shared = Shared {
            divisor: responses as f64 * objective.mean_tokens,
            gradient: Tensors::zeros(self.model.layout(), self.model.device())?,
            logp: vec![Vec::new(); questions.len()],
            entropy: 0.0,
        };
        let scores = self.score_into(questions, objective, Some(&mut shared))?;
        Ok((scores, shared))
    }

    fn score_into(
        &mut self,
        questions: &[Question],
        objective: &Objective,
        mut shared: Option<&mut Shared>,
    ) -> Result<Scores> {
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
                _ => {
                    let shared = shared.as_deref_mut().map(|shared| (index, shared));
                    scores[index] = self.stored(&parts, objective.temperature, shared)?;
                    go_on(self.monitor, 1)?;
                }
            }
        }
        for group in groups(&waiting, self.settings.batch_tokens, |(_, part)| part_rows(part)) {
            let sums = self.tiles(group, objective.temperature, shared.as_deref_mut())?;
            for ((index, _), sums) in group.iter().zip(sums) {
                scores[*index] = Score { sums, path: Path::Tiles };
            }
            go_on(self.monitor, group.len())?;
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
                parts => self.stored(&parts, objective.temperature, None),
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

    /// One batch through the sink: whole questions, each with its number.
    fn tiles(
        &mut self,
        group: &[(usize, Part<'_>)],
        temperature: f32,
        mut shared: Option<&mut Shared>,
    ) -> Result<Vec<Sums>> {
        let parts: Vec<Part<'_>> = group.iter().map(|(_, part)| part.clone()).collect();
        let packed = Packed::new(&parts, self.model.device())?;
        self.model.forward(&packed.batch, temperature, &mut self.workspace)?;
        if let Some(shared) = &mut shared {
            let questions = group.iter().map(|(index, part)| (*index, part.responses.len()));
            shared.note(questions, &packed, &self.workspace)?;
        }
        let dlogp = packed.dlogp(&self.workspace.logp()?);
        let layout = self.model.layout();
        let tied = Some(layout.embedding).filter(|embedding| *embedding == layout.head);
        let total = shared.map(|shared| &mut shared.gradient);
        let mut sink = Influence::new(self.comparison(), &packed, tied, total);
        let gradient = OutputGradient { logp: &dlogp, entropy: None };
        self.model.backward(&packed.batch, gradient, &mut self.workspace, &mut sink)?;
        Ok(sink.into_sums()?)
    }

    /// One question through the buffer.
    fn stored(
        &mut self,
        parts: &[Part<'_>],
        temperature: f32,
        mut shared: Option<(usize, &mut Shared)>,
    ) -> Result<Score> {
        let mut gradients = match self.stored.take() {
            Some(mut gradients) => {
                gradients.clear()?;
                gradients
            }
            None => Tensors::zeros(self.model.layout(), self.model.device())?,
        };
        for part in parts {
            let one = std::slice::from_ref(part);
            let packed =
                accumulate(self.model, one, temperature, &mut self.workspace, &mut gradients)?;
            if let Some((index, shared)) = &mut shared {
                let question = [(*index, part.responses.len())];
                shared.note(question.into_iter(), &packed, &self.workspace)?;
            }
        }
        if let Some((_, shared)) = shared {
            for (total, own) in shared.gradient.buffers_mut().iter_mut().zip(gradients.buffers()) {
                add::add(own.view(), total.view_mut())?;
            }
        }
        let (mut tally, comparison) = (Tally::new(1), self.comparison());
        for (id, _) in self.model.layout().iter() {
            tally.add(0, gradients[id].view(), &comparison.at(id))?;
        }
        let sums = tally.finish()?[0];
        self.stored = Some(gradients);
        Ok(Score { sums, path: Path::Stored { batches: parts.len() } })
    }
}
