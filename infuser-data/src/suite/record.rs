//! The one form in which sets are kept: a JSON object a line.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Collected, Item, Outcome, Parsed, Skipped, Suite, Usable, Why,
    extract::{Kind, letter_index, open_answer, open_question},
};
use crate::{
    Error, Result, files, json,
    question::{Answer, Question, letter},
};

/// Reads a set; gzip is unpacked.
///
/// Each line is an object. `id`, `set`, `split` and `question` are texts, `type` is one of `mcq`,
/// `numeric`, `math`, `text` and `code`. `subject`, `context` (a text that goes before the question)
/// and `picture` may be null or absent; other fields are not looked at.
///
/// A `mcq` has `options`, a list of texts, and `answer_index`, counted from 0, or `answer`, a letter;
/// if both are there they must agree. The `answer` of the other types is
/// - a text;
/// - a number, which becomes a text without exponent. An integer beyond 64 bits must be given as a
///   text, or its last digits are lost;
/// - `true` or `false`, which become the words `True` and `False`, whatever the type;
/// - a list of one of these, which is its element, or of several numbers, which becomes a text like
///   `[1, 2, 3]`, or `1, 2` if they are two, since `[1, 2]` is an interval. A list of several texts
///   is skipped: it does not say whether all are asked for or any.
///
/// In a `numeric` answer, commas between groups of three digits are taken out.
///
/// Programs (`code`), questions with a `picture`, and what no [`Question`] can be made of are skipped
/// with their reason.
///
/// # Errors
/// An unreadable file; a line that is not of this form, with its number and the field; an id that
/// stands twice.
pub fn read(path: &Path) -> Result<Suite> {
    let text = files::read_text(path)?;
    let mut collected = Collected::default();
    for (number, line) in files::lines(&text) {
        let outcome = json::object(line).and_then(|fields| outcome(&Fields(&fields)));
        let added = outcome.and_then(|outcome| collected.add(outcome, format!("line {number}")));
        added.map_err(|problem| Error::record(path, number, problem))?;
    }
    Ok(collected.suite)
}

/// Writes items in the form of [`read`].
///
/// # Errors
/// A place that cannot be written to.
pub fn write(path: &Path, items: &[Item]) -> Result<()> {
    let mut file = files::Writer::create(path)?;
    for item in items {
        file.line(&Line::new(item))?;
    }
    file.finish()
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    set: &'a str,
    split: &'a str,
    r#type: &'a str,
    question: &'a str,
    options: Option<&'a [String]>,
    answer_index: Option<usize>,
    answer: String,
    subject: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn new(item: &'a Item) -> Self {
        let Item { id, set, split, subject, question } = item;
        let (options, answer_index, answer) = match question.answer() {
            Answer::Choice { choices, correct } => {
                (Some(&choices[..]), Some(*correct), letter(*correct).to_string())
            }
            Answer::Open { reference, .. } => (None, None, reference.clone()),
        };
        let (r#type, question) = (item.kind(), question.text());
        let subject = subject.as_deref();
        Self { id, set, split, r#type, question, options, answer_index, answer, subject }
    }
}

fn outcome(fields: &Fields<'_>) -> Parsed<Outcome> {
    let name = |key| {
        let text = fields.text(key)?;
        if text.trim().is_empty() { Err(format!("`{key}` is blank")) } else { Ok(text.to_string()) }
    };
    let (id, set, split) = (name("id")?, name("set")?, name("split")?);
    let subject = fields.optional_text("subject")?.filter(|subject| !subject.trim().is_empty());
    let subject = subject.map(str::to_string);
    Ok(match question(fields)? {
        Ok(question) => Outcome::Item(Item { id, set, split, subject, question }),
        Err(why) => Outcome::Skipped(Skipped { id, why }),
    })
}

/// The question, or why there is none; the outer error is a malformed record.
fn question(fields: &Fields<'_>) -> Parsed<Usable<Question>> {
    let mut text = fields.text("question")?.to_string();
    if let Some(context) = fields.optional_text("context")? {
        text = format!("{context}\n\n{text}");
    }
    let kind = match fields.text("type")? {
        "code" => return Ok(Err(Why::Code)),
        name => Kind::named(name).ok_or_else(|| {
            let name = json::quoted(name);
            format!("`type` is {name}, expected mcq, numeric, math, text or code")
        })?,
    };
    if !matches!(fields.get("picture"), None | Some(Value::Null)) {
        return Ok(Err(Why::Picture));
    }
    let Some(form) = kind.form() else { return choice(&text, fields) };
    let answer = open_answer(fields.present("answer")?);
    let answer = answer.map_err(|problem| format!("`answer` {problem}"))?;
    Ok(answer.and_then(|answer| open_question(&text, answer, form)))
}

fn choice(text: &str, fields: &Fields<'_>) -> Parsed<Usable<Question>> {
    let Value::Array(options) = fields.present("options")? else {
        return Err(fields.unexpected("options", "a list of texts"));
    };
    let mut choices = Vec::with_capacity(options.len());
    for option in options {
        let Value::String(option) = option else {
            let found = json::shown(option);
            return Err(format!("`options` holds {found}, expected texts"));
        };
        choices.push(option.as_str());
    }
    let index = match fields.get("answer_index") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
            let problem = || fields.unexpected("answer_index", "a number from 0");
            Some(index.ok_or_else(problem)?)
        }
    };
    let named = fields.optional_text("answer")?.filter(|answer| !answer.trim().is_empty());
    let named = named.map(|answer| {
        let problem = || fields.unexpected("answer", "a letter");
        letter_index(answer).ok_or_else(problem)
    });
    let named = named.transpose()?;
    let correct = match (index, named) {
        (Some(index), Some(named)) if index != named => {
            let answer = letter(named);
            return Err(format!("`answer_index` is {index}, but `answer` is {answer}"));
        }
        (Some(index), _) | (None, Some(index)) => index,
        (None, None) => return Ok(Err(Why::Invalid(crate::question::Invalid::BlankAnswer))),
    };
    Ok(Question::choice(text, &choices, correct).map_err(Why::Invalid))
}

/// The fields of a record, with errors that name them.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key)
    }

    fn present(&self, key: &str) -> Parsed<&'a Value> {
        self.get(key).ok_or_else(|| format!("`{key}` is missing"))
    }

    fn text(&self, key: &str) -> Parsed<&'a str> {
        self.present(key)?.as_str().ok_or_else(|| self.unexpected(key, "a text"))
    }

    fn optional_text(&self, key: &str) -> Parsed<Option<&'a str>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let problem = || self.unexpected(key, "a text or null");
                value.as_str().map(Some).ok_or_else(problem)
            }
        }
    }

    fn unexpected(&self, key: &str, expected: &str) -> String {
        let found = self.get(key).map_or_else(|| "missing".into(), json::shown);
        format!("`{key}` is {found}, expected {expected}")
    }
}
