//! Questions are scored: by influence, by SPICE, by the accuracy of their answers.

use infuser_influence::{
    AdamState, Objective, Question, Response, Scorer, Shared, Similarity, Target, Weights,
};
use infuser_model::Monitor;

use super::{Asked, Metrics, Origin, Place, Scored, Store, Trainer, answers::varies, kept};
use crate::{
    advantage::{Singleton, normalise},
    config::Source,
    correction::{Correction, Level, Truncation},
    error::Result,
    policy::{self, Group, Row},
    reward,
    rollout::Answered,
};

impl Trainer {
    /// A score for each question that has answers.
    pub(super) fn score(
        &self,
        place: Place,
        (asked, answered): (&[Asked], &[Answered]),
        direction: Option<&Target>,
        store: &mut dyn Store,
        monitor: &dyn Monitor,
    ) -> Result<(Vec<Option<Scored>>, Option<Shared>)> {
        let mut shared = None;
        let (scored, start) = kept(place, store, asked.len(), || {
            let influence;
            (influence, shared) = self.influence((asked, answered), direction, monitor)?;
            let one = |((asked, answered), influence): ((&Asked, &Answered), Scored)| {
                let scores: Vec<f64> =
                    answered.answers.iter().map(|answer| answer.score.into()).collect();
                let spice = self.config.reward.spice;
                let accuracy = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
                (!scores.is_empty()).then(|| Scored {
                    id: asked.id.clone(),
                    spice: reward::spice(&scores, spice.target_variance, spice.scale) as f32,
                    accuracy: accuracy as f32,
                    ..influence
                })
            };
            Ok(asked.iter().zip(answered).zip(influence).map(one).collect())
        })?;
        if self.config.influence.share_gradient && shared.is_none() {
            // The scores were kept, the gradient was not: the same pass gives the same bits again.
            shared = self.influence((asked, answered), direction, monitor)?.1;
        }
        let metrics = self.score_metrics(&scored);
        store.end(place, start.elapsed().as_secs_f64(), &metrics)?;
        Ok((scored, shared))
    }

    fn influence(
        &self,
        (asked, answered): (&[Asked], &[Answered]),
        direction: Option<&Target>,
        monitor: &dyn Monitor,
    ) -> Result<(Vec<Scored>, Option<Shared>)> {
        let nothing = vec![Scored::nothing(); asked.len()];
        let Some(target) = direction.filter(|_| self.config.needs_influence()) else {
            return Ok((nothing, None));
        };
        // A document that is a question has no generator to reward, and no filter leaves it out.
        let scored = |i: usize| !self.is_document(asked[i].origin);
        let questions = self.influence_questions(answered, &scored, monitor)?;
        let objective = self.objective(&questions);
        let adamw = self.config.solver.update.optimizer().adamw;
        let state = match &self.solver.optimizer {
            Some(optimizer) => AdamState::of(optimizer),
            None => AdamState::empty(&adamw),
        };
        let settings = self.influence_settings();
        let mut scorer = Scorer::new(&self.solver.model, target, state, settings, monitor)?;
        let (scores, shared) = if self.config.influence.share_gradient {
            let (scores, shared) = scorer.score_and_share(&questions, &objective)?;
            (scores, Some(shared))
        } else {
            (scorer.score(&questions, &objective)?, None)
        };
        let by = |similarity| scores.by(similarity);
        let chosen = by(self.config.influence.similarity);
        let (dot, cosine) = (by(Similarity::Dot), by(Similarity::Cosine));
        let (pdot, pcosine) =
            (by(Similarity::PreconditionedDot), by(Similarity::PreconditionedCosine));
        let one = |(i, score): (usize, &infuser_influence::Score)| Scored {
            influence: chosen[i] as f32,
            dot: dot[i],
            cosine: cosine[i],
            preconditioned_dot: pdot[i],
            preconditioned_cosine: pcosine[i],
            grad_norm: score.sums.gradient_sq.sqrt(),
            gamma_norm: score.sums.gamma_sq.sqrt(),
            ..Scored::nothing()
        };
        Ok((scores.questions.iter().enumerate().map(one).collect(), shared))
    }

    /// Whether a question is a document itself, rather than written or of a file.
    pub(super) fn is_document(&self, origin: Origin) -> bool {
        matches!(origin, Origin::Given { .. }) && self.config.questions.source != Source::File
    }

    /// Answers as the influence of their question sees them: with the advantages of the solver's own
    /// update, but without its penalties. Questions that are not `scored` have no responses; they and
    /// those whose answers do not differ are left out before advantages are normalised.
    pub(super) fn influence_questions(
        &self,
        answered: &[Answered],
        scored: &dyn Fn(usize) -> bool,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Question>> {
        let mut advantages = self.influence_advantages(answered, scored)?.into_iter();
        let mut weights = self.token_weights(answered, monitor)?.into_iter();
        let question = |(i, answered): (usize, &Answered)| {
            let response = |answer: &crate::rollout::Answer| Response {
                tokens: answer.sampled.tokens.clone(),
                advantage: advantages.next().unwrap_or(0.0),
                weights: weights.next().unwrap_or(Weights::One),
            };
            let mut responses: Vec<Response> = answered.answers.iter().map(response).collect();
            if !scored(i) {
                responses.clear();
            }
            Question { prompt: answered.prompt.clone(), responses }
        };
        Ok(answered.iter().enumerate().map(question).collect())
    }

    /// An advantage for each answer; 0 where nothing is learned.
    fn influence_advantages(
        &self,
        answered: &[Answered],
        scored: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<f32>> {
        let counts: Vec<bool> =
            (0..answered.len()).map(|i| scored(i) && varies(&answered[i])).collect();
        let kept = || answered.iter().zip(&counts).filter(|(_, counts)| **counts);
        let scores: Vec<f32> =
            kept().flat_map(|(q, _)| q.answers.iter().map(|answer| answer.score)).collect();
        let groups: Vec<u32> = (0..)
            .zip(kept())
            .flat_map(|(group, (q, _))| std::iter::repeat_n(group, q.answers.len()))
            .collect();
        let mode = self.config.solver.normalisation;
        let mut advantages = normalise(&scores, &groups, mode, Singleton::Zero)?.into_iter();
        let mut all = Vec::new();
        for (question, counts) in answered.iter().zip(counts) {
            let own = question.answers.len();
            if counts {
                all.extend(advantages.by_ref().take(own));
            } else {
                all.resize(all.len() + own, 0.0);
            }
        }
        Ok(all)
    }

    /// Weights for where engine and training disagree, one entry an answer.
    fn token_weights(&self, answered: &[Answered], monitor: &dyn Monitor) -> Result<Vec<Weights>> {
        let answers = answered.iter().flat_map(|question| &question.answers);
        let plain = Correction { truncation: None, rejection: None, veto: None };
        let Correction { truncation, rejection, veto } = self.config.correction;
        if self.config.correction == plain {
            return Ok(answers.map(|_| Weights::One).collect());
        }
        if let (Some(Truncation { level: Level::Token, threshold, normalise: false }), None, None) =
            (truncation, rejection, veto)
        {
            let weights = |logp: &Vec<f32>| Weights::Truncated {
                rollout_logp: logp.clone(),
                at_most: threshold as f32,
            };
            return Ok(answers.map(|answer| weights(&answer.sampled.logp)).collect());
        }
        let groups: Vec<Group> = answered.iter().map(ungraded).collect();
        let weights = policy::weights(
            &self.solver.model,
            &groups,
            self.config.solver.rollout.temperature,
            &self.config.solver.update,
            &self.config.correction,
            monitor,
        )?;
        Ok(weights.into_iter().map(Weights::Fixed).collect())
    }

    pub(super) fn objective(&self, questions: &[Question]) -> Objective {
        Objective::over(questions, self.config.solver.rollout.temperature)
    }

    fn score_metrics(&self, scored: &[Option<Scored>]) -> Metrics {
        let mut metrics = Metrics::default();
        let known: Vec<&Scored> = scored.iter().flatten().collect();
        let name = |key: &str| format!("influence_sim/{key}");
        let moving: Vec<_> = known.iter().filter(|score| score.grad_norm > 0.0).collect();
        // Without a target nothing was scored: a curve of zeros would say otherwise.
        if self.config.needs_influence() {
            metrics.spread(&name("score"), known.iter().map(|score| score.influence.into()));
        }
        metrics.spread(&name("dot"), moving.iter().map(|score| score.dot));
        metrics.spread(&name("cosine"), moving.iter().map(|score| score.cosine));
        let values = moving.iter().map(|score| score.preconditioned_dot);
        metrics.spread(&name("preconditioned_dot"), values);
        let values = moving.iter().map(|score| score.preconditioned_cosine);
        metrics.spread(&name("preconditioned_cosine"), values);
        metrics.spread(&name("grad_norm"), moving.iter().map(|score| score.grad_norm));
        metrics.spread(&name("gamma_norm"), moving.iter().map(|score| score.gamma_norm));
        metrics.spread("spice/reward", known.iter().map(|score| score.spice.into()));
        metrics.count(name("reward/num_valid_questions"), known.len());
        let diverse = known.iter().filter(|s| s.accuracy > 0.0 && s.accuracy < 1.0).count();
        metrics.set(name("reward/frac_diverse_questions"), diverse as f64 / known.len() as f64);
        metrics
    }
}

fn ungraded(answered: &Answered) -> Group {
    let row = |answer: &crate::rollout::Answer| Row {
        tokens: answer.sampled.tokens.clone(),
        rollout_logp: answer.sampled.logp.clone(),
        advantage: 0.0,
    };
    Group { prompt: answered.prompt.clone(), rows: answered.answers.iter().map(row).collect() }
}

impl Scored {
    /// No influence.
    fn nothing() -> Self {
        Self {
            id: String::new(),
            influence: 0.0,
            spice: 0.0,
            accuracy: 0.0,
            dot: 0.0,
            cosine: 0.0,
            preconditioned_dot: 0.0,
            preconditioned_cosine: 0.0,
            grad_norm: 0.0,
            gamma_norm: 0.0,
        }
    }
}
