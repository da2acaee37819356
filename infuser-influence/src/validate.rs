//! Do scores foretell? Takes the step that a score is about, and looks.
//!
//! For each question the optimizer's step with the gradient of that question alone is taken on a copy
//! of the model, the change of the target loss is measured, and the copy is put back. To first order
//! in the learning rate η,
//!
//! ```text
//! L_target(before) − L_target(after) = η ⟨Γ, m⟩        for a step θ − η Γ
//! ```
//!
//! so [`Similarity::PreconditionedDot`] should foretell the decrease, with slope 1 as η shrinks. A
//! [`Step::Full`] also has the first moment, decay and clipping, which no score knows of: what it
//! changes is compared with the same step without any gradient, and the share of the present gradient
//! in the first moment, `(1 − β₁) / (1 − β₁^t)`, is part of the prediction.

use infuser_model::{
    Keep, Model, Monitor, Tensors, Workspace,
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
};

use crate::{
    error::{Error, Result},
    gradient::{Settings, gradient, groups, part_rows, parts},
    packed::{Packed, Part},
    question::{Objective, Question},
    score::{AdamState, Scorer, Scores},
    similarity::Similarity,
    statistics::Agreement,
    target::Target,
};

/// Which step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// `θ − η Γ`: the optimizer's step without first moment, decay and clipping.
    Preconditioned,
    /// The optimizer's step as it is.
    Full,
}

impl Step {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preconditioned => "preconditioned",
            Self::Full => "full",
        }
    }

    fn settings(self, settings: &OptimizerSettings, learning_rate: f64) -> OptimizerSettings {
        let adamw = AdamW { learning_rate, ..settings.adamw };
        let schedule = Schedule::Constant { warmup_steps: 0 };
        match self {
            Self::Preconditioned => OptimizerSettings {
                adamw: AdamW { beta1: 0.0, weight_decay: 0.0, ..adamw },
                schedule,
                max_norm: None,
            },
            Self::Full => OptimizerSettings { adamw, schedule, ..*settings },
        }
    }

    /// The share of a gradient in the direction of the step it is part of.
    fn share(self, optimizer: &Optimizer) -> f64 {
        let beta1 = optimizer.settings().adamw.beta1;
        match self {
            Self::Preconditioned => 1.0,
            Self::Full => (1.0 - beta1) / (1.0 - beta1.powf(optimizer.steps() as f64 + 1.0)),
        }
    }
}

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Each is tried with every question.
    pub learning_rates: Vec<f64>,
    /// Which steps.
    pub steps: Vec<Step>,
    /// How much is computed together.
    pub settings: Settings,
}

/// One kind of step at one learning rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The step.
    pub step: Step,
    /// η.
    pub learning_rate: f64,
    /// How much less the target loss is after the step with each question, compared with the same
    /// step without a gradient.
    pub decreases: Vec<f64>,
    /// How well each of [`Similarity::ALL`] foretells them. The slope is that of the decrease over
    /// `η · share · score`.
    pub agreements: [Agreement; 4],
}

/// What was tried and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The scores.
    pub scores: Scores,
    /// The target loss before any step.
    pub target_loss: f64,
    /// One for each step and learning rate.
    pub trials: Vec<Trial>,
}

/// Takes every step of the plan with every question. Questions without a gradient are left out of
/// the agreement: they foretell 0, and no step is taken with them.
///
/// Besides what a score takes, this holds one more copy of weights, moments and gradient.
///
/// # Errors
/// [`Error::Setting`] for a plan without steps or with a learning rate that is not positive; as
/// [`Target::measure`] and [`Scorer::score`].
pub fn validate(
    model: &Model,
    optimizer: &Optimizer,
    (dev, dev_objective): (&[Question], &Objective),
    (questions, objective): (&[Question], &Objective),
    plan: &Plan,
    monitor: &dyn Monitor,
) -> Result<Report> {
    if plan.learning_rates.is_empty() || plan.steps.is_empty() {
        return Err(Error::Setting("a validation needs learning rates and steps".into()));
    }
    if let Some(rate) = plan.learning_rates.iter().find(|rate| !(**rate > 0.0 && rate.is_finite()))
    {
        return Err(Error::Setting(format!("learning rate {rate} is not positive")));
    }
    let target = Target::measure(model, dev, dev_objective, plan.settings, monitor)?;
    let state = AdamState::of(optimizer);
    let scores =
        Scorer::new(model, &target, state, plan.settings, monitor)?.score(questions, objective)?;
    let mut stand = TestStand::new(model, optimizer, dev, dev_objective, plan.settings)?;
    let target_loss = stand.loss()?;

    let kinds: Vec<(Step, f64)> = plan
        .steps
        .iter()
        .flat_map(|step| plan.learning_rates.iter().map(|rate| (*step, *rate)))
        .collect();
    let mut losses = vec![vec![0.0; questions.len()]; kinds.len()];
    let still = Tensors::zeros(model.layout(), model.device())?;
    let references =
        kinds.iter().map(|kind| stand.loss_after(*kind, &still)).collect::<Result<Vec<_>>>()?;
    for (q, question) in questions.iter().enumerate().filter(|(_, question)| !question.is_silent())
    {
        let rows = question.responses.len() as f64;
        let one = std::slice::from_ref(question);
        let step = gradient(model, one, objective, rows, plan.settings, monitor)?;
        for (losses, kind) in losses.iter_mut().zip(&kinds) {
            losses[q] = stand.loss_after(*kind, &step)?;
        }
    }
    let loud: Vec<usize> = (0..questions.len()).filter(|q| !questions[*q].is_silent()).collect();
    let trial = |((step, rate), (losses, reference)): (&(Step, f64), (&Vec<f64>, &f64))| {
        let mut decreases = vec![0.0; questions.len()];
        loud.iter().for_each(|q| decreases[*q] = reference - losses[*q]);
        let measured: Vec<f64> = loud.iter().map(|q| decreases[*q]).collect();
        let agreements = Similarity::ALL.map(|similarity| {
            let (all, factor) = (scores.by(similarity), rate * step.share(optimizer));
            let predicted: Vec<f64> = loud.iter().map(|q| factor * all[*q]).collect();
            Agreement::of(&predicted, &measured)
        });
        Trial { step: *step, learning_rate: *rate, decreases, agreements }
    };
    let trials = kinds.iter().zip(losses.iter().zip(&references)).map(trial).collect();
    Ok(Report { scores, target_loss, trials })
}

/// A copy of the model to take steps with, and the target loss to look at.
struct TestStand<'a> {
    original: &'a Model,
    optimizer: &'a Optimizer,
    copy: Model,
    batches: Vec<(Packed<'a>, Vec<f32>)>,
    temperature: f32,
    workspace: Workspace,
}

impl<'a> TestStand<'a> {
    /// The target loss has the weights `w` of its tokens held at what they are before any step, as its
    /// gradient has.
    fn new(
        model: &'a Model,
        optimizer: &'a Optimizer,
        dev: &'a [Question],
        objective: &Objective,
        settings: Settings,
    ) -> Result<Self> {
        let kept = dev.iter().filter(|question| !question.is_silent());
        let rows: usize = kept.map(|question| question.responses.len()).sum();
        let divisor = rows as f64 * objective.mean_tokens;
        let limit = settings.batch_tokens;
        let all: Vec<Part<'a>> =
            dev.iter().flat_map(|question| parts(question, divisor, limit)).collect();
        let mut workspace = model.workspace(Keep::Nothing)?;
        let mut batches = Vec::new();
        for group in groups(&all, limit, part_rows) {
            let packed = Packed::new(group, model.device())?;
            model.forward(&packed.batch, objective.temperature, &mut workspace)?;
            let dlogp = packed.dlogp(&workspace.logp()?);
            batches.push((packed, dlogp));
        }
        let temperature = objective.temperature;
        let copy = model.copy()?;
        Ok(Self { original: model, optimizer, copy, batches, temperature, workspace })
    }

    /// The loss before any step.
    fn loss(&mut self) -> Result<f64> {
        loss(self.original, &self.batches, self.temperature, &mut self.workspace)
    }

    /// The loss after one step of the copy, which is then as it was.
    fn loss_after(&mut self, (step, rate): (Step, f64), gradient: &Tensors) -> Result<f64> {
        let settings = step.settings(self.optimizer.settings(), rate);
        let mut optimizer = self.optimizer.copy()?.with_settings(settings);
        let report = optimizer.step(self.copy.weights_mut(), gradient)?;
        if report.skipped {
            return Err(Error::Setting("a gradient that is not finite takes no step".into()));
        }
        let after = loss(&self.copy, &self.batches, self.temperature, &mut self.workspace)?;
        let weights = self.copy.weights_mut().buffers_mut().iter_mut();
        for (copy, original) in weights.zip(self.original.weights().buffers()) {
            copy.view_mut().copy_from(original.view())?;
        }
        Ok(after)
    }
}

/// `Σ_t (dL/dlogp_t) logp_t`, which is the loss: it is linear in the log-probabilities.
fn loss(
    model: &Model,
    batches: &[(Packed<'_>, Vec<f32>)],
    temperature: f32,
    workspace: &mut Workspace,
) -> Result<f64> {
    let mut loss = 0.0;
    for (packed, dlogp) in batches {
        model.forward(&packed.batch, temperature, workspace)?;
        let logp = workspace.logp()?;
        loss += logp.iter().zip(dlogp).map(|(p, d)| f64::from(*p) * f64::from(*d)).sum::<f64>();
    }
    Ok(loss)
}
