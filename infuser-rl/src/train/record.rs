//! What stages keep, a line of JSON each.

use infuser_data::question::{Answer, Form, Question};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    rollout::{Generation, Sampled},
};

/// A question as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// What is asked.
    pub question: String,
    /// The choices, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<String>>,
    /// The right choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<usize>,
    /// The reference of a question without choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// How its answers are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<crate::config::Form>,
}

impl Kept {
    /// Of a question.
    pub fn of(id: &str, question: &Question) -> Self {
        let (id, text) = (id.to_string(), question.text().to_string());
        let empty =
            Self { id, question: text, choices: None, correct: None, reference: None, form: None };
        match question.answer() {
            Answer::Choice { choices, correct } => {
                Self { choices: Some(choices.clone()), correct: Some(*correct), ..empty }
            }
            Answer::Open { reference, form } => {
                let form = match form {
                    Form::Numeric => crate::config::Form::Numeric,
                    Form::Math => crate::config::Form::Math,
                    Form::Text => crate::config::Form::Text,
                };
                Self { reference: Some(reference.clone()), form: Some(form), ..empty }
            }
            _ => empty,
        }
    }

    /// The question again.
    ///
    /// # Errors
    /// [`Error::Store`] for a record that makes none.
    pub fn question(&self) -> Result<Question> {
        use infuser_data::question::parse::Shape;
        let fault = |problem: String| Error::Store(format!("question {}: {problem}", self.id));
        let made = match (&self.choices, self.correct, &self.reference, self.form) {
            (Some(choices), Some(correct), ..) => {
                let texts: Vec<&str> = choices.iter().map(String::as_str).collect();
                Question::choice(&self.question, &texts, correct)
            }
            (None, _, Some(reference), Some(form)) => match form.shape() {
                Shape::Open(form) => Question::open(&self.question, reference, form),
                Shape::Choice => return Err(fault("no choices".into())),
            },
            _ => return Err(fault("neither choices nor a reference".into())),
        };
        made.map_err(|invalid| fault(invalid.to_string()))
    }
}

/// One output of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// What was written.
    #[serde(flatten)]
    pub sampled: Sampled,
    /// The question in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Kept>,
    /// Why there is none: a name that stays, and a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<(String, String)>,
}

/// One source of questions and what was written from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sourced {
    /// The document's or the seed question's name.
    pub source: String,
    /// The document's index in the pool; `None` for other sources.
    pub document: Option<usize>,
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The outputs; none if the prompt was too long, or if the document is a question itself.
    pub outputs: Vec<Output>,
    /// The question that the document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifiable: Option<Kept>,
}

impl Sourced {
    /// Of what was written.
    pub fn new(source: &str, document: Option<usize>, generation: Generation) -> Self {
        let output = |written: crate::rollout::Written| {
            let (question, reject) = match written.question {
                Ok(generated) => (Some(Kept::of(&generated.id, &generated.question)), None),
                Err(reject) => (None, Some(reject)),
            };
            Output { sampled: written.sampled, question, reject }
        };
        let outputs = generation.written.into_iter().map(output).collect();
        let source = source.to_string();
        Self { source, document, prompt: generation.prompt, outputs, verifiable: None }
    }
}

/// Where a question that is asked comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A generator's output: numbers of source and output.
    Written {
        /// Index into the stage's sources.
        source: usize,
        /// Index into the source's outputs.
        output: usize,
    },
    /// A document that is a question itself, or a question of a file.
    Given {
        /// Index into the stage's sources, or into the file's questions of this update.
        source: usize,
    },
}

impl Origin {
    /// The number of the source.
    pub fn source(self) -> usize {
        match self {
            Self::Written { source, .. } | Self::Given { source } => source,
        }
    }
}

/// A question that is put to the solver.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// The question.
    pub question: Question,
    /// Where it comes from.
    pub origin: Origin,
}

/// The scores of one question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The question's id.
    pub id: String,
    /// The influence that counts: by the measure of the run.
    pub influence: f32,
    /// The SPICE reward.
    pub spice: f32,
    /// The mean score of the answers.
    pub accuracy: f32,
    /// `⟨g, m⟩`.
    pub dot: f64,
    /// `⟨g, m⟩ / (|g| |m|)`.
    pub cosine: f64,
    /// `⟨Γ, m⟩`.
    pub preconditioned_dot: f64,
    /// `⟨Γ, m⟩ / (|Γ| |m|)`.
    pub preconditioned_cosine: f64,
    /// `|g|`.
    pub grad_norm: f64,
    /// `|Γ|`.
    pub gamma_norm: f64,
}
