//! The solver is tested on questions that nothing trains on.

use infuser_data::order;
use serde::{Deserialize, Serialize};

use super::{Place, Store, Trainer, dev::answer_metrics, kept};
use crate::{
    error::Result,
    rollout::{self, Answered, Monitor},
};

/// A test question's answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    id: String,
    #[serde(flatten)]
    answered: Answered,
}

impl Trainer {
    /// Answers to the test set. The draws depend on the run's seed and the question only, so that two
    /// states of a run are compared on the same luck.
    pub(super) fn evaluate(
        &self,
        place: Place,
        store: &mut dyn Store,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let test = &self.inputs.test;
        if test.is_empty() {
            return Ok(());
        }
        let rollout = self.config.solver.rollout;
        let samples = self.config.evaluation.samples;
        let (lines, start) = kept(place, store, test.len() * samples, || {
            let key = |id: &str| order::digest(&[b"test", id.as_bytes()]);
            let questions: Vec<_> =
                test.iter().map(|item| (key(&item.id), &item.question)).collect();
            let decoding = rollout::Decoding { samples, ..rollout.decoding() };
            let seed = Place { iteration: 0, ..place }.seed(self.config.run.seed);
            let most = rollout.max_prompt_tokens;
            let answered =
                rollout::answer(self.solver.speaker(monitor), &questions, most, &decoding, seed)?;
            let lines = test.iter().zip(answered);
            Ok(lines.map(|(item, answered)| Line { id: item.id.clone(), answered }).collect())
        })?;
        let answered: Vec<Answered> = lines.into_iter().map(|line| line.answered).collect();
        let metrics = answer_metrics("test", &answered);
        store.end(place, start.elapsed().as_secs_f64(), &metrics)
    }
}
