//! What a base model of the embedded world can do: the figures of its card.

use std::collections::BTreeMap;

use infuser_data::{
    document::Document,
    prompt::Ask,
    question::{Question, parse::Shape},
    world::{self, Judgement, Part, Skill, Source, judge},
};
use infuser_model::{Model, Unwatched, generate::Sampling};
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    rollout::{self, Decoding, Reading, Speaker, Writing},
    voice::Voice,
};

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Questions of each skill, and answers to each.
    pub questions: usize,
    /// See `questions`.
    pub answers: usize,
    /// Questions of each target's test set.
    pub target: usize,
    /// Documents that questions are written from, and questions from each.
    pub documents: usize,
    /// See `documents`.
    pub written: usize,
    /// Temperature of solver and generator.
    pub temperature: f32,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            questions: 100,
            answers: 4,
            target: 400,
            documents: 64,
            written: 8,
            temperature: 0.7,
        }
    }
}

/// The figures; shares from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Accuracy of sampled answers by skill, on questions of the documents' part.
    pub skills: BTreeMap<String, f64>,
    /// Accuracy on the test sets, by target skill.
    pub test: BTreeMap<String, f64>,
    /// What the generator writes.
    pub generator: Mixture,
}

/// Shares of what a generator wrote.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mixture {
    /// Outputs that the parser takes, of all.
    pub valid: f64,
    /// Valid questions that ask something of the world; this and the following of all valid ones.
    pub well_formed: f64,
    /// With a right key.
    pub right_key: f64,
    /// About a problem that stands in the document.
    pub grounded: f64,
    /// About a fact of the unreliable source.
    pub draft: f64,
    /// That happen to be of the test part.
    pub of_test: f64,
    /// Distinct texts.
    pub distinct: f64,
    /// By skill.
    pub skills: BTreeMap<String, f64>,
}

impl Mixture {
    /// Of the valid questions of `outputs` outputs, each with the text of its document.
    pub fn of<'a>(
        outputs: usize,
        questions: impl Iterator<Item = (&'a str, &'a Question)>,
    ) -> Self {
        let mut mixture = Self::default();
        let mut texts = std::collections::BTreeSet::new();
        let mut valid = 0.0;
        for (document, question) in questions {
            valid += 1.0;
            texts.insert(question.text());
            let Judgement { problem, right_key, source, of_test } = judge(document, question);
            let add = |share: &mut f64, holds: bool| *share += f64::from(u8::from(holds));
            add(&mut mixture.well_formed, problem.is_some());
            add(&mut mixture.right_key, right_key);
            add(&mut mixture.grounded, source.is_some());
            add(&mut mixture.draft, source == Some(Source::Draft));
            add(&mut mixture.of_test, of_test);
            if let Some(problem) = problem {
                *mixture.skills.entry(problem.skill.name().to_string()).or_default() += 1.0;
            }
        }
        mixture.distinct = texts.len() as f64;
        let count = f64::max(valid, 1.0);
        let Self { well_formed, right_key, grounded, draft, of_test, distinct, skills, .. } =
            &mut mixture;
        for share in [well_formed, right_key, grounded, draft, of_test, distinct] {
            *share /= count;
        }
        skills.values_mut().for_each(|share| *share /= count);
        mixture.valid = valid / (outputs.max(1) as f64);
        mixture
    }

    /// Every share with its name.
    pub fn named(&self) -> Vec<(String, f64)> {
        let Self { valid, well_formed, right_key, grounded, draft, of_test, distinct, skills } =
            self;
        let mut all: Vec<(String, f64)> = [
            ("valid", *valid),
            ("well_formed", *well_formed),
            ("right_key", *right_key),
            ("grounded", *grounded),
            ("draft", *draft),
            ("of_test", *of_test),
            ("distinct", *distinct),
        ]
        .map(|(name, share)| (name.to_string(), share))
        .into();
        for skill in Skill::ALL {
            let share = skills.get(skill.name()).copied().unwrap_or(0.0);
            all.push((format!("skill/{}", skill.name()), share));
        }
        all
    }
}

/// New tokens of an answer and of a question: demonstrations are shorter.
const ANSWER_TOKENS: usize = 32;
const QUESTION_TOKENS: usize = 32;

/// Measures a model.
///
/// # Errors
/// As [`rollout::answer`] and [`rollout::generate`].
pub fn measure(model: &Model, voice: &Voice, extent: Extent, seed: u64) -> Result<Card> {
    let speaker = Speaker { model, voice, monitor: &Unwatched };
    let sampling = Sampling::at(extent.temperature);
    let decoding =
        |samples, max_tokens| Decoding { sampling, samples, max_tokens, cache_bytes: 256 << 20 };
    let answering = decoding(extent.answers, ANSWER_TOKENS);
    let mut skills = BTreeMap::new();
    for skill in Skill::ALL {
        let items = world::review(skill, extent.questions, seed)?;
        let questions: Vec<_> = (0..).zip(items.iter().map(|item| &item.question)).collect();
        let answered = rollout::answer(speaker, &questions, usize::MAX, &answering, seed)?;
        skills.insert(skill.name().to_string(), rollout::accuracy(&answered));
    }
    let mut test = BTreeMap::new();
    for skill in [Skill::Remainder, Skill::Sequence] {
        let items = world::target(skill, Part::Test, extent.target, seed);
        let questions: Vec<_> = (0..).zip(items.iter().map(|item| &item.question)).collect();
        let answered = rollout::answer(speaker, &questions, usize::MAX, &answering, seed)?;
        test.insert(skill.name().to_string(), rollout::accuracy(&answered));
    }
    let documents = world::documents(extent.documents, world::UNRELIABLE, seed);
    let choices = world::CHOICES..=world::CHOICES;
    let writings: Vec<Writing<'_>> = documents
        .iter()
        .map(|Document { doc_id, content, .. }| Writing {
            source: doc_id,
            ask: Ask::Choice { document: content, choices: choices.clone() },
            shape: Shape::Choice,
        })
        .collect();
    let reading = Reading { choices, self_contained: true, seeds: None };
    let decoding = decoding(extent.written, QUESTION_TOKENS);
    let generations = rollout::generate(speaker, &writings, &reading, usize::MAX, &decoding, seed)?;
    let valid = documents.iter().zip(&generations).flat_map(|(document, generation)| {
        let questions = generation.written.iter().filter_map(|w| w.question.as_ref().ok());
        questions.map(|generated| (document.content.as_str(), &generated.question))
    });
    let generator = Mixture::of(extent.documents * extent.written, valid);
    Ok(Card { skills, test, generator })
}
