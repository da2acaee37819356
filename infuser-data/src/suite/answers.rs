//! The answer and the choices of a record, where a mapping says they are.

use serde_json::Value;

use super::{
    Parsed, Usable, Why,
    cells::{cell, is_blank, optional_text, unexpected, whole},
    extract::{self, OpenAnswer, letter_index, open_answer, open_question},
    mapping::{AnswerRule, ChoicesRule, Names},
    table::Row,
};
use crate::{
    json, order,
    question::{Form, Invalid, Question, plain},
};

/// Where the answers of one file are, and the choices.
pub(super) enum Answers<'a> {
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

/// Where the choices of one file are.
pub(super) enum Choices<'a> {
    List(&'a str),
    Letters(&'a str),
    Columns(&'a [String]),
}

impl<'a> Answers<'a> {
    pub(super) fn open(rule: &'a AnswerRule, form: Form, columns: &[String]) -> Parsed<Self> {
        let column = rule.column.as_ref().ok_or("`answer` has no column")?.find(columns)?;
        Ok(Self::Open { column, after: rule.after.as_deref(), boxed: rule.boxed, form })
    }

    pub(super) fn choice(
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

    /// The question of a record whose text is known.
    pub(super) fn question(&self, text: &str, row: &Row) -> Parsed<Usable<Question>> {
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
            let exact = choices.iter().position(|choice| choice.trim() == text.trim());
            let text = plain(&text);
            let mut same = (0..choices.len()).filter(|i| plain(&choices[*i]) == text);
            // Of choices that read alike, one that another rule names, else one in the same case.
            let found = same.clone().find(|i| ways.contains(i)).or(exact).or_else(|| same.next());
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
