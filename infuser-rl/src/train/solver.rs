//! The solver learns from its answers.

use std::time::Instant;

use infuser_influence::Shared;
use infuser_kernels::rng::Stream;
use infuser_model::Monitor;

use super::{Metrics, Place, Scored, Store, Trainer, Update, learning::Learner};
use crate::{
    advantage::{Singleton, normalise},
    error::Result,
    policy::{Group, Passed, Row},
    rollout::Answered,
    select::{self, Candidate, Ending, solver_reward, varies},
};

/// A question with what the solver gets for each answer.
struct Lesson<'a> {
    answered: &'a Answered,
    rewards: Vec<f32>,
    influence: f32,
    document: u32,
    /// Its place among the questions of its generator update, or of the dev set.
    place: usize,
    /// A document, or of the dev set: no filter leaves it out.
    given: bool,
}

impl Trainer {
    pub(super) fn update_solver(
        &mut self,
        place: Place,
        dev: Option<&[Answered]>,
        mut updates: Vec<Update>,
        store: &mut dyn Store,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let start = Instant::now();
        let lessons = match dev.filter(|_| updates.is_empty()) {
            Some(dev) => self.dev_lessons(dev),
            None => self.question_lessons(&updates),
        };
        let chosen = self.chosen_lessons(place, &lessons)?;
        let mut metrics = Metrics::default();
        metrics.count("solver_actor/num_questions", lessons.len());
        let groups = self.groups(&lessons, &chosen)?;
        store.begin(place, groups.iter().map(|group| group.rows.len()).sum());
        let rewards = chosen.iter().flat_map(|i| &lessons[*i].rewards);
        metrics.spread("solver_critic/rewards", rewards.map(|reward| f64::from(*reward)));
        let places: Vec<usize> = chosen.iter().map(|i| lessons[*i].place).collect();
        drop(lessons);
        let passed = match &mut updates[..] {
            [one] => one.shared.take().map(|shared| passed(shared, &groups, &places)),
            _ => None,
        };
        self.learn(Learner::Solver, &groups, passed, &mut metrics, monitor)?;
        store.end(place, start.elapsed().as_secs_f64(), &metrics)
    }

    fn rewards(&self, answered: &Answered) -> Vec<f32> {
        let penalty = self.config.solver.mid_eos_penalty;
        let reward = |answer: &crate::rollout::Answer| {
            let ending = Ending { stopped: answer.sampled.stopped, answered: answer.answered };
            solver_reward(answer.score, ending, penalty)
        };
        answered.answers.iter().map(reward).collect()
    }

    /// Every dev question is a document of its own.
    fn dev_lessons<'a>(&self, dev: &'a [Answered]) -> Vec<Lesson<'a>> {
        let lesson = |(i, answered): (usize, &'a Answered)| Lesson {
            answered,
            rewards: self.rewards(answered),
            influence: 0.0,
            document: i as u32,
            place: i,
            given: true,
        };
        dev.iter().enumerate().map(lesson).collect()
    }

    fn question_lessons<'a>(&self, updates: &'a [Update]) -> Vec<Lesson<'a>> {
        let mut lessons = Vec::new();
        let mut first_document = 0;
        for update in updates {
            let mut documents = 0;
            let questions = update.asked.iter().zip(&update.answered).zip(&update.scored);
            for (place, ((asked, answered), scored)) in questions.enumerate() {
                let source = asked.origin.source() as u32;
                documents = documents.max(source + 1);
                if answered.answers.is_empty() {
                    continue;
                }
                lessons.push(Lesson {
                    answered,
                    rewards: self.rewards(answered),
                    influence: scored.as_ref().map_or(0.0, |scored: &Scored| scored.influence),
                    document: first_document + source,
                    place,
                    given: self.is_document(asked.origin),
                });
            }
            first_document += documents;
        }
        lessons
    }

    /// Which are learned from, in the order of learning: each document's questions spread evenly.
    fn chosen_lessons(&self, place: Place, lessons: &[Lesson<'_>]) -> Result<Vec<usize>> {
        let (given, written): (Vec<usize>, Vec<usize>) =
            (0..lessons.len()).partition(|i| lessons[*i].given);
        let candidates: Vec<Candidate<'_>> = written
            .iter()
            .map(|i| &lessons[*i])
            .map(|lesson| Candidate {
                document: lesson.document,
                influence: lesson.influence,
                scores: &lesson.rewards,
            })
            .collect();
        let stream = Stream::new(place.seed(self.config.run.seed));
        let kept = select::select(&candidates, self.config.solver.filter, stream)?;
        let mut chosen: Vec<usize> = kept.into_iter().map(|i| written[i]).collect();
        chosen.extend(given.into_iter().filter(|i| varies(&lessons[*i].rewards)));
        chosen.sort_unstable();
        let documents: Vec<u32> = chosen.iter().map(|i| lessons[*i].document).collect();
        Ok(select::stratified(&documents).into_iter().map(|i| chosen[i]).collect())
    }

    fn groups(&self, lessons: &[Lesson<'_>], chosen: &[usize]) -> Result<Vec<Group>> {
        let rewards: Vec<f32> =
            chosen.iter().flat_map(|i| lessons[*i].rewards.iter().copied()).collect();
        let groups: Vec<u32> = chosen
            .iter()
            .enumerate()
            .flat_map(|(g, i)| std::iter::repeat_n(g as u32, lessons[*i].rewards.len()))
            .collect();
        let mode = self.config.solver.normalisation;
        let mut advantages = normalise(&rewards, &groups, mode, Singleton::Zero)?.into_iter();
        let group = |i: &usize| {
            let Answered { prompt, answers } = lessons[*i].answered;
            let row = |answer: &crate::rollout::Answer| Row {
                tokens: answer.sampled.tokens.clone(),
                rollout_logp: answer.sampled.logp.clone(),
                advantage: advantages.next().unwrap_or(0.0),
            };
            Group { prompt: prompt.clone(), rows: answers.iter().map(row).collect() }
        };
        Ok(chosen.iter().map(group).collect())
    }
}

/// What the scoring passes saw of these groups, each at its place among the questions that were scored.
fn passed(shared: Shared, groups: &[Group], places: &[usize]) -> Passed {
    let Shared { gradient, mut logp, entropy, divisor } = shared;
    let mut by_row = Vec::new();
    for (group, place) in groups.iter().zip(places) {
        let mut seen = std::mem::take(&mut logp[*place]).into_iter();
        by_row.extend(group.rows.iter().map(|row| match row.advantage {
            0.0 => Vec::new(),
            _ => seen.next().unwrap_or_default(),
        }));
    }
    Passed { gradient, divisor, logp: by_row, entropy }
}
