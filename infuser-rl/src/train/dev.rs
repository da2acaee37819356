//! The dev set is answered, and the direction that is wanted is measured.

use std::time::Instant;

use infuser_data::order;
use infuser_influence::{Settings, Target};
use serde::{Deserialize, Serialize};

use super::{Metrics, Place, Store, Trainer, kept};
use crate::{
    error::{Error, Result},
    rollout::{self, Answered, Monitor},
};

/// A dev question's answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    id: String,
    #[serde(flatten)]
    answered: Answered,
}

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
        let items = chosen.len() * rollout.samples;
        let seed = place.seed(self.config.run.seed);
        let (lines, start) = kept(place, store, items, || {
            let items = chosen.iter().map(|index| &self.inputs.dev[*index]);
            let questions: Vec<_> = items
                .map(|item| (order::digest(&[b"dev", item.id.as_bytes()]), &item.question))
                .collect();
            let speaker = self.solver.speaker(monitor);
            let answered = rollout::answer(
                speaker,
                &questions,
                rollout.max_prompt_tokens,
                &rollout.decoding(),
                seed,
            )?;
            let id = |index: &usize| self.inputs.dev[*index].id.clone();
            let lines = chosen.iter().zip(answered);
            Ok(lines.map(|(index, answered)| Line { id: id(index), answered }).collect())
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
    fn chosen(&self, place: Place) -> Vec<usize> {
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
    ) -> Result<Option<Target>> {
        let Some(dev) = dev.filter(|_| self.config.needs_influence()) else {
            return Ok(None);
        };
        let start = Instant::now();
        store.begin(place, dev.len());
        let questions = self.influence_questions(dev)?;
        let objective = self.objective(&questions);
        let settings = self.influence_settings();
        let mut metrics = Metrics::default();
        let varied = questions.iter().filter(|question| !question.is_silent()).count();
        metrics.count("influence_dev/num_questions", varied);
        let fresh = if varied == 0 {
            None
        } else {
            let target = Target::measure(&self.solver.model, &questions, &objective, settings)?;
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

    /// Stops the run where answers hold nothing to grade.
    pub(super) fn guard_answers(&self, place: Place, answered: &[Answered]) -> Result<()> {
        let all = answered.iter().flat_map(|question| &question.answers);
        let (found, count) =
            all.clone().fold((0, 0), |(found, n), a| (found + usize::from(a.answered), n + 1));
        let floor = self.config.guard.min_answered;
        if count == 0 || found as f64 >= floor * f64::from(count) {
            return Ok(());
        }
        let shown: Vec<String> =
            all.filter(|answer| !answer.answered).take(3).map(|a| shown(&a.sampled.text)).collect();
        Err(Error::Guard(format!(
            "{place}: {found} of {count} answers hold an answer, less than guard.min_answered = {floor}; the \
             solver does not follow its prompt, so rewards would be zeros. Look at models.prompts, \
             solver.rollout.max_tokens and the model. What it wrote:\n{}",
            shown.join("\n")
        )))
    }
}

/// The beginning of a text, in one line, quoted.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(160).collect();
    let more = if start.len() < text.len() { " …" } else { "" };
    format!("  {start:?}{more}")
}

/// Accuracy, lengths and what could not be graded.
pub(super) fn answer_metrics(family: &str, answered: &[Answered]) -> Metrics {
    let mut metrics = Metrics::default();
    let name = |key: &str| format!("{family}/{key}");
    let asked: Vec<&Answered> = answered.iter().filter(|q| !q.answers.is_empty()).collect();
    let all: Vec<_> = asked.iter().flat_map(|question| &question.answers).collect();
    let valid = all.iter().filter(|answer| answer.answered).count();
    let right = all.iter().map(|answer| f64::from(answer.score)).sum::<f64>();
    metrics.count(name("num_questions"), asked.len());
    metrics.count(name("num_too_long"), answered.len() - asked.len());
    metrics.count(name("num_generated_answers"), all.len());
    metrics.count(name("num_valid_answers"), valid);
    metrics.set(name("frac_valid_answers"), valid as f64 / all.len() as f64);
    metrics.set(name("accuracy_strict"), right / all.len() as f64);
    metrics.set(name("accuracy_lenient"), right / valid as f64);
    let cut = all.iter().filter(|answer| !answer.sampled.stopped).count();
    metrics.set(name("frac_truncated"), cut as f64 / all.len() as f64);
    let diverse = asked.iter().filter(|question| varies(question)).count();
    metrics.set(name("frac_diverse_questions"), diverse as f64 / asked.len() as f64);
    for k in [1, 2, 4, 8] {
        let enough: Vec<_> = asked.iter().filter(|question| question.answers.len() >= k).collect();
        let passed = enough.iter().map(|question| pass_at(question, k)).sum::<f64>();
        metrics.set(name(&format!("pass_at_{k}")), passed / enough.len() as f64);
    }
    let lengths = all.iter().map(|answer| answer.sampled.tokens.len() as f64);
    metrics.spread(&name("response_length_tokens"), lengths);
    metrics
}

pub(super) fn varies(question: &Answered) -> bool {
    question.answers.iter().any(|answer| answer.score != question.answers[0].score)
}

/// The chance that one of `k` answers is right, without bias: `1 − C(n−c, k)/C(n, k)` (Chen et al. 2021).
fn pass_at(question: &Answered, k: usize) -> f64 {
    let n = question.answers.len();
    let wrong = question.answers.iter().filter(|answer| answer.score < 1.0).count();
    if wrong < k {
        return 1.0;
    }
    1.0 - (0..k).map(|i| (wrong - i) as f64 / (n - i) as f64).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::{Answer, Sampled};

    #[test]
    fn chances_of_passing() {
        let answer = |score| Answer {
            sampled: Sampled {
                tokens: vec![1],
                logp: vec![0.0],
                text: String::new(),
                stopped: true,
            },
            score,
            answered: true,
        };
        let question =
            Answered { prompt: vec![1], answers: [1.0, 0.0, 0.0, 0.0].map(answer).into() };
        assert_eq!(pass_at(&question, 1), 0.25);
        assert_eq!(pass_at(&question, 2), 0.5);
        assert_eq!(pass_at(&question, 4), 1.0);
        assert!(varies(&question));
    }
}
