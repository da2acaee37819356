//! Why a model's output holds no question that can be used.

use super::Invalid;

/// Why an output was refused. Causes have names that stay, and say what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// The bytes are not UTF-8.
    #[error("byte {at} is where the output stops being UTF-8")]
    NotUtf8 {
        /// Counted from 0.
        at: usize,
    },
    /// Something is longer than the limits allow.
    #[error("{what} has {found} bytes, the most is {most}")]
    TooLong {
        /// "the output", "the question", "a choice" or "the answer".
        what: &'static str,
        /// Its bytes.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Nothing outside the reasoning looks like a JSON object.
    #[error("no JSON object outside the reasoning")]
    NoJson,
    /// An object begins and does not end; usually the output was cut off.
    #[error("a JSON object begins and does not end")]
    UnclosedJson,
    /// An object that is not JSON even with the common mistakes mended.
    #[error("{problem}")]
    InvalidJson {
        /// What the JSON reader says.
        problem: String,
    },
    /// A field is missing, or is not of the kind it should be.
    #[error("{problem}")]
    WrongKeys {
        /// Which field, what was expected.
        problem: String,
    },
    /// The question is blank: the way to say that a document gives none.
    #[error("the question is blank")]
    BlankQuestion,
    /// The answer is blank.
    #[error("the answer is blank")]
    BlankAnswer,
    /// A choice is blank.
    #[error("a choice is blank")]
    BlankChoice,
    /// Fewer choices than the limits ask for.
    #[error("{found} choices, the fewest are {fewest}")]
    TooFewChoices {
        /// How many there are.
        found: usize,
        /// The limit.
        fewest: usize,
    },
    /// More choices than the limits allow.
    #[error("{found} choices, the most are {most}")]
    TooManyChoices {
        /// How many there are.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Choices where an answer in the solver's own words was asked for.
    #[error("{found} choices for a question that has none")]
    UnexpectedChoices {
        /// How many there are.
        found: usize,
    },
    /// Two choices read alike but for case and spaces.
    #[error("two choices are the same")]
    DuplicateChoices,
    /// The answer is neither a choice nor the letter of one.
    #[error("the answer {answer} is not among the choices")]
    AnswerNotAmongChoices {
        /// The beginning of the answer, quoted.
        answer: String,
    },
    /// The answer can be read as two different choices.
    #[error("the answer {answer} can be read as two choices")]
    AmbiguousAnswer {
        /// The beginning of the answer, quoted.
        answer: String,
    },
    /// The answer is not what its grader can read, like prose where a number was asked for.
    #[error("the answer {answer} cannot be graded")]
    UngradableAnswer {
        /// The beginning of the answer, quoted.
        answer: String,
    },
    /// The question leans on a document that a solver does not see.
    #[error("the question refers to its document: {phrase}")]
    RefersToDocument {
        /// The words that do, quoted.
        phrase: String,
    },
    /// The question is one of the examples it was written after, or nearly.
    #[error("the question repeats example {seed}")]
    CopiesASeed {
        /// Which one, counted from 0.
        seed: usize,
    },
}

impl Reject {
    /// A name that stays: it is counted in metrics and written to files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotUtf8 { .. } => "not_utf8",
            Self::TooLong { .. } => "too_long",
            Self::NoJson => "no_json",
            Self::UnclosedJson => "unclosed_json",
            Self::InvalidJson { .. } => "invalid_json",
            Self::WrongKeys { .. } => "wrong_keys",
            Self::BlankQuestion => "blank_question",
            Self::BlankAnswer => "blank_answer",
            Self::BlankChoice => "blank_choice",
            Self::TooFewChoices { .. } => "too_few_choices",
            Self::TooManyChoices { .. } => "too_many_choices",
            Self::UnexpectedChoices { .. } => "unexpected_choices",
            Self::DuplicateChoices => "duplicate_choices",
            Self::AnswerNotAmongChoices { .. } => "answer_not_among_choices",
            Self::AmbiguousAnswer { .. } => "ambiguous_answer",
            Self::UngradableAnswer { .. } => "ungradable_answer",
            Self::RefersToDocument { .. } => "refers_to_document",
            Self::CopiesASeed { .. } => "copies_a_seed",
        }
    }

    /// What a question cannot be made of, of `found` choices whose answer reads `answer`.
    pub(super) fn invalid(invalid: Invalid, found: usize, answer: &str) -> Self {
        match invalid {
            Invalid::BlankQuestion => Self::BlankQuestion,
            Invalid::BlankAnswer => Self::BlankAnswer,
            Invalid::BlankChoice => Self::BlankChoice,
            Invalid::DuplicateChoices => Self::DuplicateChoices,
            Invalid::TooFewChoices => Self::TooFewChoices { found, fewest: 2 },
            Invalid::TooManyChoices => Self::TooManyChoices { found, most: super::MAX_CHOICES },
            Invalid::AnswerNotAChoice => {
                Self::AnswerNotAmongChoices { answer: crate::json::quoted(answer) }
            }
        }
    }
}
