//! The generator learns which questions were of use.

use std::time::Instant;

use infuser_data::order;

use super::{Asked, Metrics, Origin, Place, Scored, Sourced, Store, Trainer};
use crate::{
    error::{Error, Result},
    policy::{self, Group, Report, Row},
    reward::{Component, Parts, Shaped},
    rollout::Answered,
};

impl Trainer {
    pub(super) fn update_generator(
        &mut self,
        place: Place,
        sourced: &[Sourced],
        (asked, answered, scored): (&[Asked], &[Answered], &[Option<Scored>]),
        store: &mut dyn Store,
    ) -> Result<()> {
        let start = Instant::now();
        let outputs: Vec<(u32, usize)> = sourced
            .iter()
            .enumerate()
            .flat_map(|(s, from)| (0..from.outputs.len()).map(move |output| (s as u32, output)))
            .collect();
        store.begin(place, outputs.len());
        let parts = self.parts(place, &outputs, asked, answered, scored);
        let documents: Vec<u32> = outputs.iter().map(|(source, _)| *source).collect();
        let gated = self.config.reward.gate.apply(&parts, &documents)?;
        let singleton = self.config.reward.singleton;
        let shaped = self.config.reward.structure.advantages(&gated, &documents, singleton)?;
        let groups = groups(sourced, &outputs, &shaped);
        let mut metrics = Metrics::default();
        reward_metrics(&mut metrics, &parts, &gated, &shaped);
        metrics.count("gen_actor/num_prompts", groups.len());
        metrics.count("train/gen_num_training_samples", shaped.rows.len());
        let Some(generator) = &mut self.generator else {
            return Err(Error::Setting("no generator".into()));
        };
        let Some(optimizer) = &mut generator.optimizer else {
            return Err(Error::Setting("the generator has no optimizer".into()));
        };
        if groups.is_empty() {
            metrics.count("gen_actor/skipped", 1);
        } else {
            let settings = &self.config.generator;
            let report = policy::update(
                &mut generator.model,
                optimizer,
                &groups,
                settings.rollout.temperature,
                &settings.update,
                &self.config.correction,
            )?;
            update_metrics(&mut metrics, "gen", &report);
        }
        store.end(place, start.elapsed().as_secs_f64(), &metrics)
    }

    /// The parts of each output's reward.
    fn parts(
        &self,
        place: Place,
        outputs: &[(u32, usize)],
        asked: &[Asked],
        answered: &[Answered],
        scored: &[Option<Scored>],
    ) -> Vec<Parts> {
        let mut parts = vec![Parts::Invalid(self.config.reward.invalid); outputs.len()];
        let mut valid = Vec::new();
        for ((asked, answered), scored) in asked.iter().zip(answered).zip(scored) {
            let Origin::Written { source, output } = asked.origin else { continue };
            let Some(scored) = scored.as_ref().filter(|_| !answered.answers.is_empty()) else {
                continue;
            };
            let at = outputs.binary_search(&(source as u32, output));
            if let Ok(at) = at {
                parts[at] = Parts::Valid { influence: scored.influence, spice: scored.spice };
                valid.push((at, scored.influence));
            }
        }
        if self.config.reward.shuffle {
            let seed = place.seed(self.config.run.seed).to_le_bytes();
            let order = order::permutation(&[b"shuffle", &seed], valid.len());
            for ((at, _), from) in valid.iter().zip(order) {
                if let Parts::Valid { influence, .. } = &mut parts[*at] {
                    *influence = valid[from].1;
                }
            }
        }
        parts
    }
}

/// Rows that survived, by source.
fn groups(sourced: &[Sourced], outputs: &[(u32, usize)], shaped: &Shaped) -> Vec<Group> {
    let mut groups: Vec<(u32, Group)> = Vec::new();
    for (at, advantage) in shaped.rows.iter().zip(&shaped.advantages) {
        let (source, output) = outputs[*at];
        let from = &sourced[source as usize];
        let sampled = &from.outputs[output].sampled;
        let row = Row {
            tokens: sampled.tokens.clone(),
            rollout_logp: sampled.logp.clone(),
            advantage: *advantage,
        };
        match groups.last_mut().filter(|(last, _)| *last == source) {
            Some((_, group)) => group.rows.push(row),
            None => {
                let group = Group { prompt: from.prompt.clone(), rows: vec![row] };
                groups.push((source, group));
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn reward_metrics(metrics: &mut Metrics, parts: &[Parts], gated: &[Parts], shaped: &Shaped) {
    let components = [
        ("influence", Component::Influence),
        ("spice", Component::Spice),
        ("invalid", Component::Invalid),
    ];
    for (name, component) in components {
        let values = parts.iter().map(|parts| parts.get(component).into());
        metrics.spread(&format!("gen_critic/{name}"), values);
    }
    metrics.spread("gen_critic/rewards", shaped.rewards.iter().map(|reward| f64::from(*reward)));
    let advantages = shaped.advantages.iter().map(|advantage| f64::from(*advantage));
    metrics.spread("gen_critic/advantages", advantages);
    metrics.count("gen_quant/rows_kept", shaped.rows.len());
    let dropped = parts.iter().zip(gated).filter(|(before, after)| before != after).count();
    metrics.count("gen_quant/rows_gated", dropped);
}

/// What an update did, under the names of a role.
pub(super) fn update_metrics(metrics: &mut Metrics, role: &str, report: &Report) {
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
