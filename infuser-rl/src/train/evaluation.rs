//! The solver is tested on questions that nothing trains on.

use infuser_data::suite::Item;
use infuser_model::Monitor;

use super::{Place, Store, Trainer, answers::answer_metrics, kept};
use crate::{
    error::Result,
    rollout::{Answered, Decoding},
};

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
        let samples = self.config.evaluation.samples;
        let (lines, start) = kept(place, store, test.len() * samples, || {
            let items: Vec<&Item> = test.iter().collect();
            let decoding = Decoding { samples, ..self.config.solver.rollout.decoding() };
            let seed = Place { iteration: 0, ..place }.seed(self.config.run.seed);
            self.answer_items("test", &items, &decoding, seed, monitor)
        })?;
        let answered: Vec<Answered> = lines.into_iter().map(|line| line.answered).collect();
        let metrics = answer_metrics("test", &answered);
        store.end(place, start.elapsed().as_secs_f64(), &metrics)
    }
}
