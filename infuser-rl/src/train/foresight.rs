//! Do the scores foretell what a step does? Asked of a run as it stands.

use infuser_data::{
    document::{Cursor, Document},
    order,
    question::Question,
    suite::Item,
    world::{self, Judgement},
};
use infuser_influence::{Agreement, Plan, Similarity, Step, validate};
use infuser_model::Monitor;
use serde::{Deserialize, Serialize};

use super::{Place, Stage, Trainer, answers::varies};
use crate::{
    error::{Error, Result},
    rollout::{self, Reading, Writing},
    routing::{Posed, Routing},
};

/// Batches of documents that are read at most to find questions whose answers differ.
const MOST_BATCHES: u64 = 200;

/// A question, its scores, and what a step on it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Foreseen {
    /// What was asked.
    pub question: String,
    /// The skill, if the documents are of the world.
    pub skill: Option<String>,
    /// Whether the declared answer is right, if the documents are of the world.
    pub right_key: Option<bool>,
    /// By each of [`Similarity::ALL`].
    pub scores: [f64; 4],
    /// How much less the dev set's loss is after the step: how much more reward to expect, to first
    /// order.
    pub gain: f64,
}

/// Scores and steps of many questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Foresight {
    /// Iterations that the run had done.
    pub iteration: u64,
    /// The learning rate of the steps.
    pub learning_rate: f64,
    /// The questions.
    pub questions: Vec<Foreseen>,
    /// Rank correlation of each of [`Similarity::ALL`] with the gain.
    pub spearman: [Option<f64>; 4],
    /// Correlation of values.
    pub pearson: [Option<f64>; 4],
}

impl Trainer {
    /// Has at least `count` questions written and answered, steps on each alone from the weights as they
    /// are (the optimizer's step without first moment, decay and clipping), and looks at the dev questions
    /// of the next iteration. The target is theirs alone, also in a run whose target has momentum. Nothing
    /// of the run is changed.
    ///
    /// # Errors
    /// No generator, no optimizer or no documents; too few questions whose answers differ; as the stages.
    pub fn foresee(
        &self,
        count: usize,
        learning_rate: f64,
        monitor: &dyn Monitor,
    ) -> Result<Foresight> {
        let missing = |what: &str| Error::Setting(format!("this run has no {what}"));
        let optimizer =
            self.solver.optimizer.as_ref().ok_or_else(|| missing("solver that learns"))?;
        if self.inputs.dev.is_empty() {
            return Err(missing("dev set that scores could look at"));
        }
        let rollout = self.config.solver.rollout;
        let (speaker, most) = (self.solver.speaker(monitor), rollout.max_prompt_tokens);
        let next = Place { iteration: self.iteration + 1, update: 0, stage: Stage::Dev };
        let items: Vec<&Item> =
            self.chosen(next).into_iter().map(|index| &self.inputs.dev[index]).collect();
        let (dev_seed, seed) = (self.foresight_seed(b"dev"), self.foresight_seed(b"questions"));
        let lines = self.answer_items("dev", &items, &rollout.decoding(), dev_seed, monitor)?;
        let dev: Vec<_> = lines.into_iter().map(|line| line.answered).collect();
        let mut asked = Vec::new();
        let mut answered = Vec::new();
        for batch in 0..MOST_BATCHES {
            if asked.len() >= count {
                break;
            }
            let written = self.some_questions(seed.wrapping_add(batch), batch, monitor)?;
            let keyed: Vec<_> = (0..).zip(written.iter().map(|(_, question)| question)).collect();
            let seed = seed.wrapping_add(batch);
            let answers = rollout::answer(speaker, &keyed, most, &rollout.decoding(), seed)?;
            for (one, answers) in written.into_iter().zip(answers) {
                if !answers.answers.is_empty() && varies(&answers) {
                    asked.push(one);
                    answered.push(answers);
                }
            }
        }
        if asked.len() < count {
            return Err(Error::Guard(format!(
                "only {} questions with answers that differ were found, not {count}",
                asked.len()
            )));
        }
        let (dev, questions) = (
            self.influence_questions(&dev, &|_| true, monitor)?,
            self.influence_questions(&answered, &|_| true, monitor)?,
        );
        let (dev_objective, objective) = (self.objective(&dev), self.objective(&questions));
        let plan = Plan {
            learning_rates: vec![learning_rate],
            steps: vec![Step::Preconditioned],
            settings: self.influence_settings(),
        };
        let report = validate(
            &self.solver.model,
            optimizer,
            (&dev, &dev_objective),
            (&questions, &objective),
            &plan,
            monitor,
        )?;
        let gains = &report.trials[0].decreases;
        let scores = Similarity::ALL.map(|similarity| report.scores.by(similarity));
        let agreements = [0, 1, 2, 3].map(|s: usize| Agreement::of(&scores[s], gains));
        let foreseen = |(i, (document, question)): (usize, &(String, Question))| {
            let judged: Option<Judgement> =
                self.inputs.world.then(|| world::judge(document, question));
            Foreseen {
                question: question.text().to_string(),
                skill: judged.and_then(|j| Some(j.problem?.skill.name().to_string())),
                right_key: judged.map(|judged| judged.right_key),
                scores: [0, 1, 2, 3].map(|s: usize| scores[s][i]),
                gain: gains[i],
            }
        };
        Ok(Foresight {
            iteration: self.iteration,
            learning_rate,
            questions: asked.iter().enumerate().map(foreseen).collect(),
            spearman: agreements.map(|agreement| agreement.spearman),
            pearson: agreements.map(|agreement| agreement.pearson),
        })
    }

    /// Questions and dev questions draw from streams of their own.
    fn foresight_seed(&self, part: &[u8]) -> u64 {
        let (seed, iteration) = (self.config.run.seed.to_le_bytes(), self.iteration.to_le_bytes());
        order::digest(&[b"foresight", part, &seed, &iteration])
    }

    /// Valid questions of a batch of documents, each with its document's text.
    fn some_questions(
        &self,
        seed: u64,
        batch: u64,
        monitor: &dyn Monitor,
    ) -> Result<Vec<(String, Question)>> {
        let missing = |what: &str| Error::Setting(format!("this run has no {what}"));
        let generator = self.generator.as_ref().ok_or_else(|| missing("generator"))?;
        let pool = self.inputs.pool.as_ref().ok_or_else(|| missing("documents"))?;
        let size = self.config.questions.batch.min(pool.documents().len());
        let mut cursor = Cursor::new(pool, seed ^ batch);
        let (fewest, most) = self.config.questions.choices;
        let routing = Routing::new(&self.config.questions)?;
        let (mut documents, mut writings): (Vec<&Document>, Vec<Writing<'_>>) = Default::default();
        for index in cursor.next_batch(size)? {
            let document = &pool.documents()[index];
            if let Posed::Ask { ask, shape } = routing.pose(document) {
                documents.push(document);
                writings.push(Writing { source: &document.doc_id, ask, shape });
            }
        }
        let self_contained = self.config.questions.self_contained;
        let reading = Reading { choices: fewest..=most, self_contained, seeds: None };
        let rollout = self.config.generator.rollout;
        let generations = rollout::generate(
            generator.speaker(monitor),
            &writings,
            &reading,
            rollout.max_prompt_tokens,
            &rollout.decoding(),
            seed,
        )?;
        let valid = documents.iter().zip(generations).flat_map(|(document, generation)| {
            let written = generation.written.into_iter().filter_map(|one| one.question.ok());
            written.map(|generated| (document.content.clone(), generated.question))
        });
        Ok(valid.collect())
    }
}
