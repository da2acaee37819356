//! Public layouts as suites, by a mapping.

use std::{collections::HashMap, path::Path};

use serde_json::Value;

use super::{
    Collected, Item, Mapping, Outcome, Parsed, Skipped, Suite, Usable, Why,
    extract::{self, OpenAnswer, letter_index, open_answer, open_question},
    mapping::{AnswerRule, ChoicesRule, Field, Names, SubjectRule},
    table::{self, Row, Shape},
};
use crate::{
    Error, Result, json, order,
    question::{Form, Invalid, Question, plain},
};

/// What a suite is called, where the mapping's own words do not do.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// The set; the mapping's if `None`.
    pub set: Option<String>,
    /// The split; the mapping's if `None`, and `all` if that has none.
    pub split: Option<String>,
}

/// Reads files of a public layout: JSON lines, a JSON list, an object that holds one, CSV or Parquet,
/// each also as gzip, found from the content.
///
/// The id of an item is `SET/ID` if the layout has ids, else `SET/SPLIT/NUMBER`, counted from 0
/// through all files, or `SET/SPLIT/SUBJECT/NUMBER`, counted within a subject, where files or folders
/// are named after their subject. Records that cannot be asked or graded are skipped with their
/// reason.
///
/// # Errors
/// An unreadable file; a column that the mapping names and the file lacks, with the nearest ones; a
/// record with a value of another kind than the mapping says, with its number and column; an id that
/// stands twice.
pub fn import<P: AsRef<Path>>(mapping: &Mapping, paths: &[P], labels: &Labels) -> Result<Suite> {
    let set = labels.set.as_ref().or(mapping.set.as_ref());
    let problem = || Error::Setting("the mapping names no set; name one".into());
    let set = set.filter(|set| !set.trim().is_empty()).ok_or_else(problem)?;
    let split = labels.split.as_deref().or(mapping.split.as_deref()).unwrap_or("all");
    let mut names = Namer { set, split, counts: HashMap::new() };
    let mut collected = Collected::default();
    for path in paths {
        let path = path.as_ref();
        let shape = Shape {
            format: mapping.format,
            header: mapping.header.as_deref(),
            records: mapping.records.as_deref(),
        };
        let table = table::read(path, &shape, &mapping.wanted())?;
        if table.rows.is_empty() && table.columns.is_empty() {
            return Err(Error::file(path, "holds no records"));
        }
        let columns = Columns::find(mapping, &table.columns, path);
        let columns = columns.map_err(|problem| Error::file(path, problem))?;
        for row in &table.rows {
            let added = columns.outcome(row, &mut names).and_then(|outcome| {
                collected.add(outcome, format!("record {} of {}", row.number, path.display()))
            });
            added.map_err(|problem| Error::record(path, row.number, problem))?;
        }
    }
    Ok(collected.suite)
}

/// Gives ids to records that have none.
struct Namer<'a> {
    set: &'a str,
    split: &'a str,
    /// Records so far, by what stands before the number.
    counts: HashMap<String, usize>,
}

impl Namer<'_> {
    fn number(&mut self, subject: Option<&str>) -> String {
        let mut prefix = format!("{}/{}", self.set, self.split);
        if let Some(subject) = subject {
            prefix = format!("{prefix}/{subject}");
        }
        let count = self.counts.entry(prefix.clone()).or_default();
        *count += 1;
        format!("{prefix}/{}", *count - 1)
    }
}

/// The rules of a mapping that hold for one file, with the names that its columns have.
struct Columns<'a> {
    question: &'a str,
    context: Option<&'a str>,
    picture: Option<&'a str>,
    id: Option<&'a str>,
    subject: Subject<'a>,
    answer: Answers<'a>,
}

enum Subject<'a> {
    None,
    Column(&'a str),
    Constant(&'a str),
    /// Of the whole file, from its path.
    Path(String),
}

enum Answers<'a> {
    Choice {
        choices: Choices<'a>,
        shuffle: bool,
        index: Option<&'a str>,
        letter: Option<&'a str>,
        text: Option<&'a str>,
        first: bool,
    },
    Open {
        column: &'a str,
        after: Option<&'a str>,
        boxed: bool,
        form: Form,
    },
}

enum Choices<'a> {
    List(&'a str),
    Letters(&'a str),
    Columns(&'a [String]),
}

impl<'a> Columns<'a> {
    fn find(mapping: &'a Mapping, columns: &[String], path: &Path) -> Parsed<Self> {
        let field = |names: &'a Option<Names>, field| {
            let found = names.as_ref().map(|names| names.find(columns)).transpose();
            if mapping.optional.contains(&field) { Ok(found.unwrap_or(None)) } else { found }
        };
        let question = mapping.question.find(columns)?;
        let subject = match &mapping.subject[..] {
            [] => Subject::None,
            rules => first(rules, |rule| Subject::find(rule, columns, path))?,
        };
        let answer = match mapping.r#type.form() {
            Some(form) => first(&mapping.answer, |rule| Answers::open(rule, form, columns))?,
            None => first(&mapping.choices, |choices| {
                first(&mapping.answer, |answer| Answers::choice(choices, answer, columns))
            })?,
        };
        Ok(Self {
            question,
            context: field(&mapping.context, Field::Context)?,
            picture: field(&mapping.picture, Field::Picture)?,
            id: field(&mapping.id, Field::Id)?,
            subject,
            answer,
        })
    }

    fn outcome(&self, row: &Row, names: &mut Namer<'_>) -> Parsed<Outcome> {
        let subject = match &self.subject {
            Subject::None => None,
            Subject::Column(column) => optional_text(row, column)?,
            Subject::Constant(text) => Some((*text).to_string()),
            Subject::Path(text) => Some(text.clone()),
        };
        let subject = subject.filter(|subject| !subject.trim().is_empty());
        let id = match self.id {
            Some(column) => match optional_text(row, column)? {
                Some(id) if !id.trim().is_empty() => format!("{}/{}", names.set, id.trim()),
                _ => return Err(format!("`{column}` is blank, expected an id")),
            },
            None => match &self.subject {
                Subject::Path(subject) => names.number(Some(subject)),
                _ => names.number(None),
            },
        };
        let (set, split) = (names.set.to_string(), names.split.to_string());
        Ok(match self.question(row)? {
            Ok(question) => Outcome::Item(Item { id, set, split, subject, question }),
            Err(why) => Outcome::Skipped(Skipped { id, why }),
        })
    }

    fn question(&self, row: &Row) -> Parsed<Usable<Question>> {
        let column = self.question;
        let mut text = match row.get(column) {
            Some(Value::String(text)) => text.clone(),
            found => return Err(unexpected(column, found, "a text")),
        };
        if let Some(column) = self.context
            && let Some(context) = optional_text(row, column)?
        {
            text = format!("{context}\n\n{text}");
        }
        let picture = self.picture.and_then(|column| row.get(column));
        if picture.is_some_and(|picture| !is_blank(picture)) {
            return Ok(Err(Why::Picture));
        }
        self.answer.question(&text, row)
    }
}

/// The first rule that the file can serve, or what the first one lacks.
fn first<'a, R, T>(rules: &'a [R], mut find: impl FnMut(&'a R) -> Parsed<T>) -> Parsed<T> {
    let mut problem = None;
    for rule in rules {
        match find(rule) {
            Ok(found) => return Ok(found),
            Err(lack) => problem = problem.or(Some(lack)),
        }
    }
    Err(problem.unwrap_or_else(|| "the mapping has no rule".into()))
}

impl<'a> Subject<'a> {
    fn find(rule: &'a SubjectRule, columns: &[String], path: &Path) -> Parsed<Self> {
        if let Some(names) = &rule.column {
            return names.find(columns).map(Self::Column);
        }
        if let Some(constant) = &rule.constant {
            return Ok(Self::Constant(constant));
        }
        let place = if rule.folder { path.parent() } else { Some(path) };
        let name = place.and_then(Path::file_name).and_then(|name| name.to_str());
        let name = name.ok_or("the subject should be in the path, but there is no such name")?;
        // `a.csv.gz` is `a`; a folder may have dots.
        let mut name = if rule.file { name.split('.').next().unwrap_or(name) } else { name };
        for part in &rule.without {
            name = name.strip_prefix(part.as_str()).unwrap_or(name);
            name = name.strip_suffix(part.as_str()).unwrap_or(name);
        }
        Ok(Self::Path(name.to_string()))
    }
}

impl<'a> Answers<'a> {
    fn open(rule: &'a AnswerRule, form: Form, columns: &[String]) -> Parsed<Self> {
        let column = rule.column.as_ref().ok_or("`answer` has no column")?.find(columns)?;
        Ok(Self::Open { column, after: rule.after.as_deref(), boxed: rule.boxed, form })
    }

    fn choice(
        choices: &'a ChoicesRule,
        answer: &'a AnswerRule,
        columns: &[String],
    ) -> Parsed<Self> {
        let shuffle = choices.shuffle;
        let choices = if let Some(names) = &choices.list {
            Choices::List(names.find(columns)?)
        } else if let Some(names) = &choices.letters {
            Choices::Letters(names.find(columns)?)
        } else {
            let single = choices.columns.as_deref().unwrap_or_default();
            for name in single {
                Names::One(name.clone()).find(columns)?;
            }
            Choices::Columns(single)
        };
        let find =
            |names: &'a Option<Names>| names.as_ref().map(|names| names.find(columns)).transpose();
        let (index, letter) = (find(&answer.index)?, find(&answer.letter)?);
        let (text, first) = (find(&answer.text)?, answer.first_choice);
        Ok(Self::Choice { choices, shuffle, index, letter, text, first })
    }

    fn question(&self, text: &str, row: &Row) -> Parsed<Usable<Question>> {
        match self {
            Self::Open { column, after, boxed, form } => {
                let value = row.get(column).unwrap_or(&Value::Null);
                let found = match (value, after, boxed) {
                    (Value::String(text), Some(marker), _) => extract::after(text, marker),
                    (Value::String(text), None, true) => extract::boxed(text),
                    (Value::Null, ..) | (_, None, false) => {
                        let answer = open_answer(value);
                        let answer = answer.map_err(|problem| format!("`{column}` {problem}"))?;
                        return Ok(answer.and_then(|answer| open_question(text, answer, *form)));
                    }
                    _ => return Err(unexpected(column, Some(value), "a text")),
                };
                let Some(found) = found else { return Ok(Err(Why::AnswerNotFound)) };
                Ok(open_question(text, OpenAnswer::Text(found.to_string()), *form))
            }
            Self::Choice { choices, shuffle, .. } => {
                let choices = choices.texts(row)?;
                let correct = match self.correct(row, &choices)? {
                    Ok(correct) => correct,
                    Err(why) => return Ok(Err(why)),
                };
                let order = match shuffle {
                    true => order::permutation(&[b"choices", text.as_bytes()], choices.len()),
                    false => (0..choices.len()).collect(),
                };
                let texts: Vec<&str> = order.iter().map(|i| choices[*i].as_str()).collect();
                let correct = order.iter().position(|i| *i == correct).unwrap_or(usize::MAX);
                Ok(Question::choice(text, &texts, correct).map_err(Why::Invalid))
            }
        }
    }

    /// The index of the right choice by every rule that there is.
    fn correct(&self, row: &Row, choices: &[String]) -> Parsed<Usable<usize>> {
        let Self::Choice { index, letter, text, first, .. } = self else {
            return Ok(Err(Why::AnswerNotFound));
        };
        let mut ways = Vec::new();
        if let Some(column) = index {
            let value = row.get(column);
            let problem = || unexpected(column, value, "a number from 0");
            match value.filter(|value| !is_blank(value)) {
                // Sets that hide their answers say -1.
                Some(value) if value.as_i64() == Some(-1) => {}
                Some(value) => ways.push(whole(value).ok_or_else(problem)?),
                None => {}
            }
        }
        if let Some(column) = letter
            && let Some(name) = optional_text(row, column)?.filter(|name| !name.trim().is_empty())
        {
            let problem = || unexpected(column, row.get(column), "a letter");
            ways.push(letter_index(&name).ok_or_else(problem)?);
        }
        if let Some(column) = text
            && let Some(text) = optional_text(row, column)?.filter(|text| !text.trim().is_empty())
        {
            let text = plain(&text);
            let mut same = (0..choices.len()).filter(|i| plain(&choices[*i]) == text);
            // Of choices that read alike, one that another rule names.
            let found = same.clone().find(|i| ways.contains(i)).or_else(|| same.next());
            ways.push(found.unwrap_or(usize::MAX));
        }
        if *first {
            ways.push(0);
        }
        Ok(match ways[..] {
            [] => Err(Why::Invalid(Invalid::BlankAnswer)),
            [one, ref others @ ..] if others.iter().all(|other| *other == one) => Ok(one),
            _ => Err(Why::AnswersDiffer),
        })
    }
}

impl Choices<'_> {
    fn texts(&self, row: &Row) -> Parsed<Vec<String>> {
        match self {
            Self::List(column) => {
                let Some(Value::Array(list)) = row.get(column) else {
                    return Err(unexpected(column, row.get(column), "a list of texts"));
                };
                let text = |value| {
                    cell(value).ok_or_else(|| {
                        format!("`{column}` holds {}, expected texts", json::shown(value))
                    })
                };
                list.iter().map(text).collect()
            }
            Self::Letters(column) => {
                let expected = "an object like {\"A\": …, \"B\": …}";
                let problem = || unexpected(column, row.get(column), expected);
                let object = row.get(column).and_then(Value::as_object).ok_or_else(problem)?;
                // A column by letter holds nothing for the letters that a question does not have.
                let named = object.iter().filter(|(_, value)| !value.is_null());
                let mut letters = Vec::new();
                for (letter, value) in named {
                    let index = letter_index(letter).ok_or_else(problem)?;
                    letters.push((index, cell(value).ok_or_else(problem)?));
                }
                letters.sort();
                if letters.iter().enumerate().any(|(i, (index, _))| i != *index) {
                    return Err(format!("`{column}` misses a letter, expected {expected}"));
                }
                Ok(letters.into_iter().map(|(_, text)| text).collect())
            }
            Self::Columns(columns) => {
                let text = |column: &String| Ok(optional_text(row, column)?.unwrap_or_default());
                columns.iter().map(text).collect()
            }
        }
    }
}

/// A text, or a number as one.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(json::plain_number(number)),
        Value::Bool(true) => Some("True".into()),
        Value::Bool(false) => Some("False".into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole number, also one that CSV or a column of floats holds.
fn whole(value: &Value) -> Option<usize> {
    let number = match value {
        Value::String(text) => return text.trim().parse().ok(),
        Value::Number(number) => number,
        _ => return None,
    };
    json::plain_number(number).parse().ok()
}

fn optional_text(row: &Row, column: &str) -> Parsed<Option<String>> {
    match row.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match cell(value) {
            Some(text) => Ok(Some(text)),
            None => Err(unexpected(column, Some(value), "a text")),
        },
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(Value::is_null),
        Value::Object(fields) => fields.values().all(Value::is_null),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn unexpected(column: &str, found: Option<&Value>, expected: &str) -> String {
    let found = found.map_or_else(|| "missing".into(), json::shown);
    format!("`{column}` is {found}, expected {expected}")
}
