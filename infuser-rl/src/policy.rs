//! The policy update that both roles share: old log-probabilities by the training pass, weights for
//! where the engine disagrees, then one step of AdamW for every mini-batch of prompts.

mod shared;

pub use shared::{Passed, step};

use infuser_model::{
    Accumulate, BatchBuilder, Keep, Model, Monitor, OutputGradient, Tensors, Workspace,
    optim::{Optimizer, StepReport},
};

use crate::{
    config::Update,
    correction::{Correction, Mismatch},
    error::{Error, Result, go_on},
    loss::{Clip, Counts, Tokens, clipped, entropy_bonus},
    reduce::{Divisor, Reduction},
};

/// The rollouts of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The rollouts.
    pub rows: Vec<Row>,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The engine's log-probability of each.
    pub rollout_logp: Vec<f32>,
    /// How much better it was than the others.
    pub advantage: f32,
}

/// What an update did.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// One a mini-batch and epoch.
    pub steps: Vec<StepReport>,
    /// The loss, summed over mini-batches and divided by their number.
    pub loss: f64,
    /// Mean entropy of the tokens.
    pub entropy: f64,
    /// Clipping, over all steps.
    pub counts: Counts,
    /// Engine against training pass, before the update.
    pub mismatch: Mismatch,
    /// Tokens of all rollouts.
    pub tokens: usize,
}

/// What a token of a batch brings along, beside its advantage.
struct Context {
    /// One list a row, rows of all groups in order.
    old: Vec<Vec<f32>>,
    /// Importance weights; 0 for what was rejected.
    weights: Vec<Vec<f32>>,
}

/// A row, with its number among all rows.
type Numbered<'a> = (usize, &'a Row);

/// Rows of a mini-batch that go through the model together.
struct Micro<'a> {
    /// The rows of each prompt.
    groups: Vec<(&'a [u32], Vec<Numbered<'a>>)>,
}

impl Micro<'_> {
    fn rows(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.groups.iter().flat_map(|(_, rows)| rows.iter().map(|(number, row)| (*number, *row)))
    }
}

/// Learns from rollouts that were sampled at `temperature` by the model as it is.
///
/// # Errors
/// [`Error::Setting`] if there is nothing to learn from; no memory; [`Error::Interrupted`], with the
/// model then somewhere within the update.
pub fn update(
    model: &mut Model,
    optimizer: &mut Optimizer,
    groups: &[Group],
    temperature: f32,
    settings: &Update,
    correction: &Correction,
    monitor: &dyn Monitor,
) -> Result<Report> {
    let lengths: Vec<usize> = rows(groups).map(|row| row.tokens.len()).collect();
    let tokens: usize = lengths.iter().sum();
    if tokens == 0 {
        return Err(Error::Setting("an update without rollouts".into()));
    }
    let mut workspace = model.workspace(settings.keep())?;
    let old = old_logp(model, groups, temperature, settings.batch_tokens, monitor)?;
    let (context, mismatch) = corrected(groups, old, &lengths, correction)?;
    let batches = mini_batches(groups, settings.prompts_per_step);
    let mean_tokens = tokens as f64 / lengths.len() as f64;
    let full_rows = batches.iter().map(|batch| row_count(batch.1)).max().unwrap_or(1);
    let constant = Reduction::Constant(mean_tokens * full_rows as f64);
    let reduction = settings.reduction.unwrap_or(constant);
    let mut gradients = Tensors::zeros(model.layout(), model.device())?;
    let mut report = Report {
        steps: Vec::new(),
        loss: 0.0,
        entropy: 0.0,
        counts: Counts::default(),
        mismatch,
        tokens,
    };
    for _ in 0..settings.epochs {
        for (first_row, batch) in &batches {
            let lengths: Vec<usize> = rows(batch).map(|row| row.tokens.len()).collect();
            let divisor = reduction.divisor(&lengths);
            gradients.clear()?;
            for micro in micro_batches(batch, *first_row, settings.batch_tokens) {
                let step =
                    Pass { temperature, clip: settings.clip, divisor, entropy: settings.entropy };
                step.run(model, &micro, &context, &mut workspace, &mut gradients, &mut report)?;
                go_on(monitor, micro.rows().count())?;
            }
            report.steps.push(optimizer.step(model.weights_mut(), &gradients)?);
        }
    }
    report.loss /= report.steps.len() as f64;
    report.entropy /= (tokens * settings.epochs) as f64;
    Ok(report)
}

/// Weights of the tokens of each row, for where engine and training pass disagree.
///
/// # Errors
/// As [`update`].
pub fn weights(
    model: &Model,
    groups: &[Group],
    temperature: f32,
    settings: &Update,
    correction: &Correction,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<f32>>> {
    let lengths: Vec<usize> = rows(groups).map(|row| row.tokens.len()).collect();
    let old = old_logp(model, groups, temperature, settings.batch_tokens, monitor)?;
    Ok(corrected(groups, old, &lengths, correction)?.0.weights)
}

/// Forward and backward over one micro-batch.
struct Pass {
    temperature: f32,
    clip: Clip,
    divisor: Divisor,
    entropy: f64,
}

impl Pass {
    fn run(
        &self,
        model: &Model,
        micro: &Micro<'_>,
        context: &Context,
        workspace: &mut Workspace,
        gradients: &mut Tensors,
        report: &mut Report,
    ) -> Result<()> {
        let batch = packed(micro, model)?;
        model.forward(&batch, self.temperature, workspace)?;
        let (logp, entropy) = (workspace.logp()?, workspace.entropy()?);
        let gather = |lists: &[Vec<f32>]| {
            micro.rows().flat_map(|(number, _)| lists[number].iter().copied()).collect::<Vec<_>>()
        };
        let lengths: Vec<usize> = micro.rows().map(|(_, row)| row.tokens.len()).collect();
        let advantages: Vec<f32> = micro
            .rows()
            .flat_map(|(_, row)| std::iter::repeat_n(row.advantage, row.tokens.len()))
            .collect();
        let (old, weights) = (gather(&context.old), gather(&context.weights));
        let tokens = Tokens {
            lengths: &lengths,
            logp: &logp,
            old_logp: &old,
            advantages: &advantages,
            weights: Some(&weights),
        };
        let loss = clipped(&tokens, &self.clip, self.divisor)?;
        report.loss += loss.value;
        report.entropy += entropy.iter().map(|entropy| f64::from(*entropy)).sum::<f64>();
        report.counts.add(&loss.counts);
        let bonus = if self.entropy == 0.0 {
            None
        } else {
            let (value, gradient) = entropy_bonus(&lengths, &entropy, self.entropy, self.divisor)?;
            report.loss += value;
            Some(gradient)
        };
        let gradient = OutputGradient { logp: &loss.dlogp, entropy: bonus.as_deref() };
        Ok(model.backward(&batch, gradient, workspace, &mut Accumulate::new(gradients))?)
    }
}

fn rows(groups: &[Group]) -> impl Iterator<Item = &Row> {
    groups.iter().flat_map(|group| &group.rows)
}

fn row_count(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.rows.len()).sum()
}

/// Mini-batches of at most `prompts` groups, as even as can be, each with the number of its first row.
fn mini_batches(groups: &[Group], prompts: usize) -> Vec<(usize, &[Group])> {
    let count = groups.len().div_ceil(prompts.max(1)).max(1);
    let (mut start, mut row) = (0, 0);
    (0..count)
        .map(|i| {
            let end = groups.len() * (i + 1) / count;
            let batch = &groups[start..end];
            let first = row;
            row += row_count(batch);
            start = end;
            (first, batch)
        })
        .collect()
}

/// Cuts groups where a batch of `tokens` is full. A group's rows may be cut apart: each part brings
/// the prompt along.
fn micro_batches(groups: &[Group], first_row: usize, tokens: usize) -> Vec<Micro<'_>> {
    let mut batches = vec![Micro { groups: Vec::new() }];
    let (mut used, mut number) = (0, first_row);
    for group in groups {
        let mut open = false;
        for row in &group.rows {
            let prompt = if open { 0 } else { group.prompt.len() };
            let mut own = prompt + row.tokens.len();
            if used > 0 && used + own > tokens {
                batches.push(Micro { groups: Vec::new() });
                (used, open) = (0, false);
                own = group.prompt.len() + row.tokens.len();
            }
            let last = batches.len() - 1;
            if !open {
                batches[last].groups.push((&group.prompt, Vec::new()));
                open = true;
            }
            if let Some((_, rows)) = batches[last].groups.last_mut() {
                rows.push((number, row));
            }
            used += own;
            number += 1;
        }
    }
    batches.retain(|batch| !batch.groups.is_empty());
    batches
}

fn packed(micro: &Micro<'_>, model: &Model) -> Result<infuser_model::Batch> {
    let mut builder = BatchBuilder::default();
    for (prompt, rows) in &micro.groups {
        let prompt = builder.prompt(prompt);
        for (_, row) in rows {
            builder.response(&prompt, &row.tokens);
        }
    }
    Ok(builder.build(model.device())?)
}

/// Log-probabilities of all rows by the training pass, before anything is learned.
fn old_logp(
    model: &Model,
    groups: &[Group],
    temperature: f32,
    batch_tokens: usize,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<f32>>> {
    let mut workspace = model.workspace(Keep::Nothing)?;
    let mut old = Vec::with_capacity(row_count(groups));
    for micro in micro_batches(groups, 0, batch_tokens) {
        let batch = packed(&micro, model)?;
        model.forward(&batch, temperature, &mut workspace)?;
        let logp = workspace.logp()?;
        old.extend((0..micro.rows().count()).map(|i| logp[batch.sequence(i)].to_vec()));
        go_on(monitor, 0)?;
    }
    Ok(old)
}

fn corrected(
    groups: &[Group],
    old: Vec<Vec<f32>>,
    lengths: &[usize],
    correction: &Correction,
) -> Result<(Context, Mismatch)> {
    let rollout: Vec<f32> = rows(groups).flat_map(|row| row.rollout_logp.iter().copied()).collect();
    let (all, mismatch) = weighted(lengths, &old.concat(), &rollout, correction)?;
    let mut start = 0;
    let cut = |length: &usize| {
        start += length;
        all[start - length..start].to_vec()
    };
    let weights = lengths.iter().map(cut).collect();
    Ok((Context { old, weights }, mismatch))
}

/// The weight of each token, 0 for what was rejected.
fn weighted(
    lengths: &[usize],
    old: &[f32],
    rollout: &[f32],
    correction: &Correction,
) -> Result<(Vec<f32>, Mismatch)> {
    let corrected = correction.apply(lengths, old, rollout)?;
    let weight = |t: usize| match &corrected.weights {
        _ if !corrected.kept[t] => 0.0,
        Some(weights) => weights[t],
        None => 1.0,
    };
    Ok(((0..old.len()).map(weight).collect(), corrected.mismatch))
}
