//! The fields of an object as texts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{super::Reject, repair};
use crate::{
    json,
    question::{MAX_CHOICES, letter},
};

/// Fields that are kept beside the question, if they are there.
const NOTES: [&str; 6] = [
    "difficulty",
    "answer_type",
    "answer_quote",
    "hardening_process",
    "knowledge_and_reasoning_steps",
    "self_test_solution",
];

/// What an object says, before it is known whether that is a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) question: String,
    /// Empty if there are none.
    pub(super) choices: Vec<String>,
    pub(super) answer: String,
    pub(super) notes: BTreeMap<&'static str, String>,
}

/// The object was refused.
pub(super) struct Refused {
    pub(super) reject: Reject,
    /// Whether it was meant as a question: it has one of the fields.
    pub(super) meant: bool,
}

impl Fields {
    /// Reads an object as the model wrote it; notes are cut to `note_bytes`.
    pub(super) fn read(object: &str, note_bytes: usize) -> Result<Self, Refused> {
        let fields = json::object(&repair::repaired(object)).map_err(|problem| {
            let meant = object.contains("\"question_text\"") || object.contains("\"ground_truth\"");
            Refused { reject: Reject::InvalidJson { problem }, meant }
        })?;
        let meant = fields.contains_key("question_text") || fields.contains_key("ground_truth");
        Self::of(&fields, note_bytes).map_err(|reject| Refused { reject, meant })
    }

    fn of(fields: &Map<String, Value>, note_bytes: usize) -> Result<Self, Reject> {
        let question = required(fields, "question_text", |value| joined(value, " "))?;
        let answer = required(fields, "ground_truth", |value| match value {
            Value::Array(items) if items.len() == 1 => text(&items[0]),
            other => text(other),
        })?;
        let choices = fields.get("choices").map_or(Ok(Vec::new()), choices)?;
        let note = |name: &'static str| {
            let mut text = joined(fields.get(name)?, "\n")?.trim().to_string();
            text.truncate(text.floor_char_boundary(note_bytes));
            (!text.is_empty()).then_some((name, text))
        };
        let notes = NOTES.into_iter().filter_map(note).collect();
        Ok(Self { question, choices, answer, notes })
    }
}

fn wrong(problem: String) -> Reject {
    Reject::WrongKeys { problem }
}

fn required(
    fields: &Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Option<String>,
) -> Result<String, Reject> {
    let value = fields.get(name).ok_or_else(|| wrong(format!("`{name}` is missing")))?;
    let text = read(value).map(|text| text.trim().to_string());
    text.ok_or_else(|| wrong(format!("`{name}` is {}, expected a text", json::shown(value))))
}

/// A text, `true` or `false` as a word, or an object of one field that is one of these. Numbers are
/// texts already.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) if fields.len() == 1 => fields.values().next().and_then(scalar),
        other => scalar(other),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(json::plain_number(number)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// As [`text`], or a list of them.
fn joined(value: &Value, between: &str) -> Option<String> {
    match value {
        Value::Array(items) => {
            Some(items.iter().map(text).collect::<Option<Vec<_>>>()?.join(between))
        }
        other => text(other),
    }
}

/// A list of texts, or an object whose fields are the letters from A on, in any order.
fn choices(value: &Value) -> Result<Vec<String>, Reject> {
    let items: Vec<&Value> = match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => by_letter(fields).ok_or_else(|| {
            wrong("`choices` has fields that are not the letters from A on".into())
        })?,
        other => {
            return Err(wrong(format!("`choices` is {}, expected a list", json::shown(other))));
        }
    };
    let read = |item: &&Value| {
        let text = text(item).map(|text| text.trim().to_string());
        text.ok_or_else(|| wrong(format!("a choice is {}, expected a text", json::shown(item))))
    };
    items.iter().map(read).collect()
}

fn by_letter(fields: &Map<String, Value>) -> Option<Vec<&Value>> {
    if fields.len() > MAX_CHOICES {
        return None;
    }
    let find = |index: usize| {
        let is = |key: &str| {
            let key = key.trim_matches(|c: char| c.is_whitespace() || "().:".contains(c));
            key.len() == 1 && key.starts_with(|c: char| c.to_ascii_uppercase() == letter(index))
        };
        fields.iter().find(|(key, _)| is(key)).map(|(_, value)| value)
    };
    (0..fields.len()).map(find).collect()
}
