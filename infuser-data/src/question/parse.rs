//! A question out of what a generator wrote.
//!
//! The output is hostile: reasoning, drafts, code fences, LaTeX in JSON strings, cut-off objects,
//! bytes that are not text. Parsing is total, and linear in the length of the output.

mod fields;
pub(crate) mod key;
mod repair;
mod spans;

use std::{collections::BTreeMap, ops::RangeInclusive};

use self::fields::Fields;
use super::{Answer, Form, Question, Reject, refers::reference, seeds::Seeds};
use crate::{
    answer::{Grade, Reason, Submission, Verdict, math, numeric},
    json, order,
};

/// What was asked of the generator, and how its output is checked.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The kind of question. The output does not choose it.
    pub shape: Shape,
    /// The name of the document, or of what else the question was written from. Part of the id.
    pub source: &'a str,
    /// How much of everything is allowed.
    pub limits: Limits,
    /// Whether a question that refers to its document is refused.
    pub self_contained: bool,
    /// Questions that must not be repeated.
    pub seeds: Option<&'a Seeds>,
    /// Seed of the order of the choices; `None` leaves them as they were written.
    pub shuffle: Option<u64>,
}

/// The kind of question that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Several choices.
    Choice,
    /// An answer in the solver's own words, compared in this form.
    Open(Form),
}

/// How much of everything is allowed. Lengths are in bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Choices of one question.
    pub choices: RangeInclusive<usize>,
    /// The whole output, reasoning included.
    pub output: usize,
    /// The question.
    pub question: usize,
    /// One choice.
    pub choice: usize,
    /// The answer to an open question.
    pub answer: usize,
    /// A note; longer ones are cut.
    pub note: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            choices: 4..=8,
            output: 2 << 20,
            question: 8 << 10,
            choice: 2 << 10,
            answer: 1 << 10,
            note: 4 << 10,
        }
    }
}

impl<'a> Task<'a> {
    /// The usual checks, no seeds, choices left in order.
    pub fn new(shape: Shape, source: &'a str) -> Self {
        let limits = Limits::default();
        Self { shape, source, limits, self_contained: true, seeds: None, shuffle: None }
    }
}

/// A question out of a generator's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// 16 hexadecimal digits out of the source, the text and the set of choices: the same question
    /// from the same source has the same id, in whatever order its choices stand.
    pub id: String,
    /// The question.
    pub question: Question,
    /// What the generator wrote beside it, by field: `difficulty`, `answer_type`, `answer_quote`,
    /// `hardening_process`, `knowledge_and_reasoning_steps`, `self_test_solution`. Lists are lines.
    pub notes: BTreeMap<&'static str, String>,
}

/// As [`parse`], for bytes that may not be text.
///
/// # Errors
/// As [`parse`]; bytes that are not UTF-8.
pub fn parse_bytes(output: &[u8], task: &Task<'_>) -> Result<Generated, Reject> {
    within("the output", output.len(), task.limits.output)?;
    let text =
        std::str::from_utf8(output).map_err(|error| Reject::NotUtf8 { at: error.valid_up_to() })?;
    parse(text, task)
}

/// The question in a generator's output.
///
/// Reasoning is dropped: `<think>…</think>`, all before a `</think>` that nothing opened, all behind a
/// `<think>` that is not closed. Among the JSON objects in the rest, in code fences or not, the last one
/// that is a question is taken. It has `question_text`, `ground_truth` and, if choices were asked for,
/// `choices`, a list or an object by letter. Other fields are notes or are not looked at; none of them
/// chooses how the question is graded.
///
/// An object with a blank question says that there is none; nothing before it is taken. A question
/// that is well formed but refused for what it says is not replaced by an earlier draft either.
///
/// Common mistakes in JSON are mended: LaTeX with single backslashes, line breaks inside strings,
/// commas before closing brackets. Numbers become texts as they stand. An object of one field counts
/// as its value where a text is expected.
///
/// The right choice is the one that `ground_truth` repeats; if it repeats none, it may be a letter, or a
/// letter and a choice that agree.
///
/// # Errors
/// Why no object is a question: the cause for the last one that was meant as one.
pub fn parse(output: &str, task: &Task<'_>) -> Result<Generated, Reject> {
    within("the output", output.len(), task.limits.output)?;
    let text = spans::without_reasoning(output);
    let objects = spans::objects(&text);
    let (mut meant, mut other) = (None, None);
    for span in objects.spans.iter().rev() {
        let refused = match Fields::read(&text[span.clone()], task.limits.note) {
            Ok(fields) => match question(&fields, task) {
                Ok(question) => return accept(question, fields.notes, task),
                Err(Reject::BlankQuestion) => return Err(Reject::BlankQuestion),
                Err(reject) => fields::Refused { reject, meant: true },
            },
            Err(refused) => refused,
        };
        let place = if refused.meant { &mut meant } else { &mut other };
        place.get_or_insert(refused.reject);
    }
    let unclosed = objects.unclosed.then_some(Reject::UnclosedJson);
    Err(meant.or(unclosed).or(other).unwrap_or(Reject::NoJson))
}

fn within(what: &'static str, found: usize, most: usize) -> Result<(), Reject> {
    if found > most { Err(Reject::TooLong { what, found, most }) } else { Ok(()) }
}

/// The question that the fields make.
fn question(fields: &Fields, task: &Task<'_>) -> Result<Question, Reject> {
    let Fields { question: text, choices: written, answer, .. } = fields;
    if text.is_empty() {
        return Err(Reject::BlankQuestion);
    }
    if answer.is_empty() {
        return Err(Reject::BlankAnswer);
    }
    let found = written.len();
    let invalid = |invalid| Reject::invalid(invalid, found, answer);
    let form = match task.shape {
        Shape::Open(_) if found > 0 => return Err(Reject::UnexpectedChoices { found }),
        Shape::Open(form) => form,
        Shape::Choice => {
            let (fewest, most) = task.limits.choices.clone().into_inner();
            if found < fewest {
                return Err(Reject::TooFewChoices { found, fewest });
            }
            if found > most {
                return Err(Reject::TooManyChoices { found, most });
            }
            let clean = key::unlettered(written).unwrap_or_else(|| written.clone());
            let texts: Vec<&str> = clean.iter().map(String::as_str).collect();
            // Blank and equal choices are told apart before the answer is looked for among them.
            Question::choice(text, &texts, 0).map_err(invalid)?;
            let correct = key::find(answer, written, &clean)?;
            return Question::choice(text, &texts, correct).map_err(invalid);
        }
    };
    Question::open(text, answer, form).map_err(invalid)
}

/// Checks what a well-formed question says.
fn accept(
    question: Question,
    notes: BTreeMap<&'static str, String>,
    task: &Task<'_>,
) -> Result<Generated, Reject> {
    let limits = &task.limits;
    within("the question", question.text().len(), limits.question)?;
    match question.answer() {
        Answer::Choice { choices, .. } => {
            for choice in choices {
                within("a choice", choice.len(), limits.choice)?;
            }
        }
        Answer::Open { reference, form } => {
            within("the answer", reference.len(), limits.answer)?;
            gradable(reference, *form)?;
        }
    }
    if let Some(phrase) = task.self_contained.then(|| reference(&question)).flatten() {
        return Err(Reject::RefersToDocument { phrase: json::quoted(&phrase) });
    }
    if let Some(seed) = task.seeds.and_then(|seeds| seeds.repeated(question.text())) {
        return Err(Reject::CopiesASeed { seed });
    }
    let id = id(task.source, &question);
    let question = match task.shuffle {
        Some(seed) => question.shuffled(seed),
        None => question,
    };
    Ok(Generated { id, question, notes })
}

/// A reference that its own grader cannot read, or does not accept as an answer, would refuse every
/// solver. Words are no mathematical expression, though the grader can compare them.
fn gradable(reference: &str, form: Form) -> Result<(), Reject> {
    let grade = |text| match form {
        Form::Numeric => numeric::grade(Submission::Prediction(text), reference),
        Form::Math => math::grade(Submission::Prediction(text), reference),
        Form::Text => Grade { verdict: Verdict::Correct, extracted: None },
    };
    let unread = Verdict::Unparsable(Reason::UnreadableReference);
    if grade(reference).verdict == Verdict::Correct && grade("1").verdict != unread {
        return Ok(());
    }
    Err(Reject::UngradableAnswer { answer: json::quoted(reference) })
}

fn id(source: &str, question: &Question) -> String {
    let mut parts = vec![source.as_bytes(), question.text().as_bytes()];
    if let Answer::Choice { choices, .. } = question.answer() {
        parts.extend(choices.iter().map(String::as_bytes));
        parts[2..].sort_unstable();
    }
    format!("{:016x}", order::digest(&parts))
}
