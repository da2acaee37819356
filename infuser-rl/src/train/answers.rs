//! The solver answers what was written.

use infuser_data::{order, question::Question};

use super::{Asked, Place, Store, Trainer, dev::answer_metrics, kept};
use crate::{
    error::Result,
    rollout::{self, Answered, Monitor},
};

impl Trainer {
    /// Answers to the questions; none to a question whose prompt is too long.
    pub(super) fn ask(
        &self,
        place: Place,
        asked: &[Asked],
        store: &mut dyn Store,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Answered>> {
        let rollout = self.config.solver.rollout;
        let (answered, start) = kept(place, store, asked.len() * rollout.samples, || {
            let key = |asked: &Asked| order::digest(&[b"asked", asked.id.as_bytes()]);
            let questions: Vec<(u64, &Question)> =
                asked.iter().map(|asked| (key(asked), &asked.question)).collect();
            rollout::answer(
                self.solver.speaker(monitor),
                &questions,
                rollout.max_prompt_tokens,
                &rollout.decoding(),
                place.seed(self.config.run.seed),
            )
        })?;
        let metrics = answer_metrics("gen_answer_rollout", &answered);
        store.end(place, start.elapsed().as_secs_f64(), &metrics)?;
        self.guard_answers(place, &answered)?;
        Ok(answered)
    }
}
