//! A question with an answer that is known to fit it; how one is read from what a model wrote.

pub mod parse;
mod refers;
mod reject;
mod render;
mod seeds;

use crate::order;

pub use reject::Reject;
pub use render::render;
pub use seeds::Seeds;

/// A question that can be asked and graded.
///
/// It cannot be made with a blank text, fewer than two choices, two choices that read alike, or an
/// answer that is not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    text: String,
    answer: Answer,
}

/// What is right.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// One of several choices.
    Choice {
        /// The texts, without letters before them.
        choices: Vec<String>,
        /// Index into `choices`.
        correct: usize,
    },
    /// An answer in the solver's own words.
    Open {
        /// The reference answer.
        reference: String,
        /// How answers are compared.
        form: Form,
    },
}

/// How open answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One number.
    Numeric,
    /// A mathematical expression.
    Math,
    /// Words.
    Text,
}

/// Why a question cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The text is blank.
    #[error("the question is blank")]
    BlankQuestion,
    /// The answer is blank.
    #[error("the answer is blank")]
    BlankAnswer,
    /// Fewer than two choices.
    #[error("fewer than two choices")]
    TooFewChoices,
    /// More choices than letters.
    #[error("more than 26 choices")]
    TooManyChoices,
    /// A choice is blank.
    #[error("a choice is blank")]
    BlankChoice,
    /// Two choices are the same but for spaces. Case is kept apart: "Bb" and "BB" are two genotypes.
    #[error("two choices are the same")]
    DuplicateChoices,
    /// The answer is not one of the choices.
    #[error("the answer is not among the choices")]
    AnswerNotAChoice,
}

/// More choices than this have no letter.
pub const MAX_CHOICES: usize = 26;

impl Question {
    /// A multiple-choice question; `correct` is an index into `choices`.
    ///
    /// # Errors
    /// What [`Question`] excludes.
    pub fn choice(text: &str, choices: &[&str], correct: usize) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err(Invalid::BlankQuestion);
        }
        if choices.len() < 2 {
            return Err(Invalid::TooFewChoices);
        }
        if choices.len() > MAX_CHOICES {
            return Err(Invalid::TooManyChoices);
        }
        if choices.iter().any(|choice| choice.trim().is_empty()) {
            return Err(Invalid::BlankChoice);
        }
        let spaced = |choice: &&str| choice.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut texts: Vec<String> = choices.iter().map(spaced).collect();
        texts.sort_unstable();
        if texts.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Invalid::DuplicateChoices);
        }
        if correct >= choices.len() {
            return Err(Invalid::AnswerNotAChoice);
        }
        let choices = choices.iter().map(|choice| choice.trim().to_string()).collect();
        Ok(Self { text: text.trim().to_string(), answer: Answer::Choice { choices, correct } })
    }

    /// A question that is answered in the solver's own words.
    ///
    /// # Errors
    /// A blank text or answer.
    pub fn open(text: &str, reference: &str, form: Form) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err(Invalid::BlankQuestion);
        }
        if reference.trim().is_empty() {
            return Err(Invalid::BlankAnswer);
        }
        let answer = Answer::Open { reference: reference.trim().to_string(), form };
        Ok(Self { text: text.trim().to_string(), answer })
    }

    /// The same question with its choices in an order that depends on `seed` and the text alone.
    ///
    /// An open question stays as it is. So does one whose choices speak of each other by their places,
    /// like "both A and B" or "none of the above".
    pub fn shuffled(self, seed: u64) -> Self {
        let Answer::Choice { choices, correct } = self.answer else { return self };
        if choices.iter().any(|choice| speaks_of_places(choice)) {
            return Self { text: self.text, answer: Answer::Choice { choices, correct } };
        }
        let key: [&[u8]; 3] = [b"choices", &seed.to_le_bytes(), self.text.as_bytes()];
        let order = order::permutation(&key, choices.len());
        let place = order.iter().position(|&from| from == correct).unwrap_or(correct);
        let choices = order.iter().map(|&from| choices[from].clone()).collect();
        Self { text: self.text, answer: Answer::Choice { choices, correct: place } }
    }

    /// What is asked.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is right.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }
}

/// Whether a choice speaks of others by where they stand: "of the above", or letters joined by "and",
/// "or" or "nor".
fn speaks_of_places(choice: &str) -> bool {
    let plain = plain(choice);
    if ["of the above", "of these", "of the other"].iter().any(|phrase| plain.contains(phrase)) {
        return true;
    }
    let name = |word: &str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        word.len() == 1 && word.starts_with(|c: char| c.is_ascii_uppercase())
    };
    let words: Vec<&str> = choice.split_whitespace().collect();
    let joined = |three: &[&str]| {
        name(three[0]) && matches!(three[1], "and" | "or" | "nor" | "&") && name(three[2])
    };
    words.windows(3).any(joined)
}

/// The letter of a choice: `A` for 0.
pub fn letter(index: usize) -> char {
    char::from(b'A' + (index % MAX_CHOICES) as u8)
}

/// Lower case, runs of white space as one space: how an answer is compared with a choice.
pub fn plain(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}
