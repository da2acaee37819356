//! The solver answers: what was written, or the questions of a set.

use infuser_data::{order, question::Question, suite::Item};
use infuser_model::Monitor;
use serde::{Deserialize, Serialize};

use super::{Asked, Metrics, Place, Stage, Store, Trainer, kept};
use crate::{
    error::{Error, Result},
    rollout::{self, Answered, Decoding},
};

/// The answers to a question of a set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    id: String,
    #[serde(flatten)]
    pub(super) answered: Answered,
}

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

    /// The solver's answers to questions of a set. Draws depend on the seed, the set and the question.
    pub(super) fn answer_items(
        &self,
        set: &str,
        items: &[&Item],
        decoding: &Decoding,
        seed: u64,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Line>> {
        let key = |item: &Item| order::digest(&[set.as_bytes(), item.id.as_bytes()]);
        let questions: Vec<_> = items.iter().map(|item| (key(item), &item.question)).collect();
        let most = self.config.solver.rollout.max_prompt_tokens;
        let speaker = self.solver.speaker(monitor);
        let answered = rollout::answer(speaker, &questions, most, decoding, seed)?;
        let line = |(item, answered): (&&Item, Answered)| Line { id: item.id.clone(), answered };
        Ok(items.iter().zip(answered).map(line).collect())
    }

    /// Stops the run where no prompt fits, or where answers hold nothing to grade.
    pub(super) fn guard_answers(&self, place: Place, answered: &[Answered]) -> Result<()> {
        let all = answered.iter().flat_map(|question| &question.answers);
        let (found, count) =
            all.clone().fold((0, 0), |(found, n), a| (found + usize::from(a.answered), n + 1));
        let floor = self.config.guard.min_answered;
        // A dev set does not get shorter: there will never be a direction.
        if count == 0 && !answered.is_empty() && (place.stage == Stage::Dev || floor > 0.0) {
            return Err(Error::Guard(format!(
                "{place}: every prompt is longer than solver.rollout.max_prompt_tokens = {} (or than the \
                 model's positions); raise it, or use shorter questions",
                self.config.solver.rollout.max_prompt_tokens
            )));
        }
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
