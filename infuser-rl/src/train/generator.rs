//! The generator learns which questions were of use.

use std::time::Instant;

use infuser_data::order;
use infuser_model::Monitor;

use super::{Asked, Metrics, Origin, Place, Scored, Sourced, Store, Trainer, learning::Learner};
use crate::{
    error::Result,
    policy::{Group, Row},
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
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let start = Instant::now();
        let outputs: Vec<(u32, usize)> = sourced
            .iter()
            .enumerate()
            .flat_map(|(s, from)| (0..from.outputs.len()).map(move |output| (s as u32, output)))
            .collect();
        let parts = self.parts(place, &outputs, asked, answered, scored);
        let documents: Vec<u32> = outputs.iter().map(|(source, _)| *source).collect();
        let gated = self.config.reward.gate.apply(&parts, &documents)?;
        let singleton = self.config.reward.singleton;
        let shaped = self.config.reward.structure.advantages(&gated, &documents, singleton)?;
        store.begin(place, shaped.rows.len());
        let groups = groups(sourced, &outputs, &shaped);
        let mut metrics = Metrics::default();
        reward_metrics(&mut metrics, &parts, &gated, &shaped);
        self.learn(Learner::Generator, &groups, None, &mut metrics, monitor)?;
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
