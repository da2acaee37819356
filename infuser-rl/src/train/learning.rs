//! What the updates of both roles have in common.

use infuser_model::Monitor;

use super::{Metrics, Trainer};
use crate::{
    error::{Error, Result},
    policy::{self, Group, Passed, Report},
    role::Role,
};

/// Who learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learner {
    Solver,
    Generator,
}

impl Trainer {
    /// The update of a role on these rollouts, with its metrics; by one step on a gradient that is there
    /// already, if one is.
    pub(super) fn learn(
        &mut self,
        learner: Learner,
        groups: &[Group],
        passed: Option<Passed>,
        metrics: &mut Metrics,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let (name, role, rollout, settings) = match learner {
            Learner::Solver => {
                let of = &self.config.solver;
                ("solver", Some(&mut self.solver), &of.rollout, &of.update)
            }
            Learner::Generator => {
                let of = &self.config.generator;
                ("gen", self.generator.as_mut(), &of.rollout, &of.update)
            }
        };
        metrics.count(format!("{name}_actor/num_prompts"), groups.len());
        let samples: usize = groups.iter().map(|group| group.rows.len()).sum();
        metrics.count(format!("train/{name}_num_training_samples"), samples);
        if groups.is_empty() {
            metrics.count(format!("{name}_actor/skipped"), 1);
            return Ok(());
        }
        let Some(Role { model, optimizer: Some(optimizer), .. }) = role else {
            return Err(Error::Setting(format!("the {name} has no optimizer")));
        };
        metrics.count(format!("{name}_actor/shared_gradient"), usize::from(passed.is_some()));
        let correction = &self.config.correction;
        let report = match passed {
            Some(passed) => policy::step(model, optimizer, groups, passed, settings, correction)?,
            None => {
                let temperature = rollout.temperature;
                policy::update(
                    model,
                    optimizer,
                    groups,
                    temperature,
                    settings,
                    correction,
                    monitor,
                )?
            }
        };
        update_metrics(metrics, name, &report);
        Ok(())
    }
}

/// What an update did, under the names of a role.
fn update_metrics(metrics: &mut Metrics, role: &str, report: &Report) {
    let actor = |key: &str| format!("{role}_actor/{key}");
    let Report { steps, loss, entropy, counts, mismatch, tokens } = report;
    metrics.set(actor("pg_loss"), *loss);
    metrics.set(actor("entropy"), *entropy);
    metrics.set(actor("pg_clipfrac"), counts.clip_fraction());
    metrics.set(actor("pg_clipfrac_lower"), counts.clip_fraction_lower());
    metrics.set(actor("ppo_kl"), counts.mean_kl());
    metrics.count(actor("num_minibatches"), steps.len());
    metrics.count(actor("num_tokens"), *tokens);
    metrics.count(actor("num_skipped"), steps.iter().filter(|step| step.skipped).count());
    let norms = steps.iter().map(|step| step.gradient_norm).filter(|norm| norm.is_finite());
    metrics.spread(&actor("grad_norm"), norms);
    if let Some(step) = steps.last() {
        metrics.set(actor("lr"), step.learning_rate);
    }
    for (name, value) in mismatch.named() {
        metrics.set(format!("{role}_rollout_corr/{name}"), value);
    }
}
