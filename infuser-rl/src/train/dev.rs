//! The dev set is answered, and the direction that is wanted is measured.

use std::time::Instant;

use infuser_data::{order, suite::Item};
use infuser_influence::{Settings, Target};
use infuser_model::Monitor;

use super::{Metrics, Place, Store, Trainer, answers::answer_metrics, kept};
use crate::{
    error::Result,
    rollout::{self, Answered},
};

impl Trainer {
    /// The solver's answers to the dev questions in use.
    pub(super) fn dev(
        &mut self,
        place: Place,
        store: &mut dyn Store,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Answered>> {
        let chosen = self.chosen(place);
        let rollout = self.config.solver.rollout;
        let count = chosen.len() * rollout.samples;
        let seed = place.seed(self.config.run.seed);
        let (lines, start) = kept(place, store, count, || {
            let items: Vec<&Item> = chosen.iter().map(|index| &self.inputs.dev[*index]).collect();
            self.answer_items("dev", &items, &rollout.decoding(), seed, monitor)
        })?;
        let answered: Vec<Answered> = lines.into_iter().map(|line| line.answered).collect();
        if let Some(state) = &mut self.curriculum {
            for (index, answered) in chosen.iter().zip(&answered) {
                state.note(*index, rollout::accuracy(std::slice::from_ref(answered)));
            }
        }
        let metrics = answer_metrics("dev_rollout", &answered);
        store.end(place, start.elapsed().as_secs_f64(), &metrics)?;
        self.guard_answers(place, &answered)?;
        Ok(answered)
    }

    /// Indices of the dev questions of this iteration.
    pub(super) fn chosen(&self, place: Place) -> Vec<usize> {
        if let Some(state) = &self.curriculum {
            return state.current.clone();
        }
        let len = self.inputs.dev.len();
        let Some(count) = self.config.dev.subsample.filter(|count| *count < len) else {
            return (0..len).collect();
        };
        let seed = place.seed(self.config.run.seed).to_le_bytes();
        let mut chosen = order::permutation(&[b"subsample", &seed], len);
        chosen.truncate(count);
        chosen.sort_unstable();
        chosen
    }

    /// The target's gradient, blended with earlier ones if momentum is on. `None` if nothing needs it, or
    /// if no dev question's answers differ: then there is no direction, and the metrics say so.
    pub(super) fn direction(
        &mut self,
        place: Place,
        dev: Option<&[Answered]>,
        store: &mut dyn Store,
        monitor: &dyn Monitor,
    ) -> Result<Option<Target>> {
        let Some(dev) = dev.filter(|_| self.config.needs_influence()) else {
            return Ok(None);
        };
        let start = Instant::now();
        store.begin(place, dev.len());
        let questions = self.influence_questions(dev, &|_| true, monitor)?;
        let objective = self.objective(&questions);
        let settings = self.influence_settings();
        let mut metrics = Metrics::default();
        let varied = questions.iter().filter(|question| !question.is_silent()).count();
        metrics.count("influence_dev/num_questions", varied);
        let fresh = if varied == 0 {
            None
        } else {
            let target =
                Target::measure(&self.solver.model, &questions, &objective, settings, monitor)?;
            metrics.set("influence_dev/grad_norm", target.norm());
            Some(target)
        };
        metrics.count("influence_dev/no_direction", usize::from(fresh.is_none()));
        let target = match (self.config.influence.momentum, self.target.take(), fresh) {
            (Some(beta), Some(mut old), Some(fresh)) => {
                old.blend(fresh, beta)?;
                Some(old)
            }
            // Of other weights than the solver has now, so of no use today.
            (_, old, None) => {
                self.target = old;
                None
            }
            (_, _, fresh) => fresh,
        };
        if let Some(target) = &target {
            metrics.set("influence_sim/ref_norm", target.norm());
        }
        store.end(place, start.elapsed().as_secs_f64(), &metrics)?;
        Ok(target)
    }

    pub(super) fn influence_settings(&self) -> Settings {
        let update = &self.config.solver.update;
        Settings { batch_tokens: update.batch_tokens, keep: update.keep() }
    }
}
