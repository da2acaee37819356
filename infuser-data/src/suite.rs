//! Question sets: read from one JSON-lines form, or imported from public layouts by a mapping.
//!
//! A set holds items that can be asked and graded. What cannot is not an error, because public sets
//! hold such records; it is listed with its reason. A record that is not of the form at all is an
//! error. See [`read`] for the form and [`import`] for the layouts.

mod answers;
mod cells;
mod extract;
mod import;
mod mapping;
mod parquet;
mod record;
pub(crate) mod table;

use std::collections::{BTreeMap, HashMap};

use crate::question::{Answer, Form, Invalid, Question};

pub use import::{Labels, import};
pub use mapping::Mapping;
pub use record::{read, write};

/// Questions, and the records that could not become one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suite {
    /// In the order of the file; no two have the same `id`.
    pub items: Vec<Item>,
    /// In the order of the file.
    pub skipped: Vec<Skipped>,
}

/// One question of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Names the item among all sets.
    pub id: String,
    /// The name of its set, like `gsm8k`.
    pub set: String,
    /// The part of the set, like `test`.
    pub split: String,
    /// What it is about, if the set says so.
    pub subject: Option<String>,
    /// The question and what is right.
    pub question: Question,
}

/// A record that cannot be asked or graded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Names the record among all sets.
    pub id: String,
    /// Why.
    pub why: Why,
}

/// Why a record is not an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The answer is a program, and running programs is not supported.
    #[error("the answer is a program")]
    Code,
    /// The question refers to a picture.
    #[error("the question needs a picture")]
    Picture,
    /// A list of several texts: all of them may be asked for, or any.
    #[error("several answers, and it is not known whether one or all are asked for")]
    SeveralAnswers,
    /// The text that should hold the answer does not.
    #[error("no final answer in the text that should hold it")]
    AnswerNotFound,
    /// The record gives the answer in two ways that differ.
    #[error("the record names two different answers")]
    AnswersDiffer,
    /// No question can be made of it.
    #[error("{0}")]
    Invalid(Invalid),
}

impl Why {
    /// A name that stays: it is counted and written to files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Picture => "picture",
            Self::SeveralAnswers => "several_answers",
            Self::AnswerNotFound => "answer_not_found",
            Self::AnswersDiffer => "answers_differ",
            Self::Invalid(Invalid::BlankQuestion) => "blank_question",
            Self::Invalid(Invalid::BlankAnswer) => "blank_answer",
            Self::Invalid(Invalid::TooFewChoices) => "too_few_choices",
            Self::Invalid(Invalid::TooManyChoices) => "too_many_choices",
            Self::Invalid(Invalid::BlankChoice) => "blank_choice",
            Self::Invalid(Invalid::DuplicateChoices) => "duplicate_choices",
            Self::Invalid(Invalid::AnswerNotAChoice) => "answer_not_a_choice",
        }
    }
}

impl Item {
    /// The type as files write it: `mcq`, `numeric`, `math` or `text`.
    pub fn kind(&self) -> &'static str {
        match self.question.answer() {
            Answer::Choice { .. } => "mcq",
            Answer::Open { form: Form::Numeric, .. } => "numeric",
            Answer::Open { form: Form::Math, .. } => "math",
            Answer::Open { form: Form::Text, .. } => "text",
        }
    }
}

impl Suite {
    /// How many records were skipped for each reason, by the name of [`Why`].
    pub fn skips(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for skipped in &self.skipped {
            *counts.entry(skipped.why.name()).or_default() += 1;
        }
        counts
    }
}

/// What a record says, or what is wrong with its form.
type Parsed<T> = Result<T, String>;

/// What can be asked and graded, or why it cannot.
type Usable<T> = Result<T, Why>;

/// What a record came to.
enum Outcome {
    Item(Item),
    Skipped(Skipped),
}

/// A suite in the making: no id may stand twice.
#[derive(Default)]
struct Collected {
    suite: Suite,
    /// The place where each id stood first.
    places: HashMap<String, String>,
}

impl Collected {
    /// Adds a record that stands at `place`, or says what is wrong with its id.
    fn add(&mut self, outcome: Outcome, place: String) -> Parsed<()> {
        let id = match &outcome {
            Outcome::Item(item) => &item.id,
            Outcome::Skipped(skipped) => &skipped.id,
        };
        if let Some(first) = self.places.get(id) {
            let id = crate::json::quoted(id);
            return Err(format!("the id {id} stands twice, first in {first}; ids must differ"));
        }
        self.places.insert(id.clone(), place);
        match outcome {
            Outcome::Item(item) => self.suite.items.push(item),
            Outcome::Skipped(skipped) => self.suite.skipped.push(skipped),
        }
        Ok(())
    }
}
