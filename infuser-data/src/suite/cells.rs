//! Single values of a record.

use serde_json::Value;

use super::{Parsed, table::Row};
use crate::json;

/// A text, or a number as one.
pub(super) fn cell(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(json::plain_number(number)),
        Value::Bool(true) => Some("True".into()),
        Value::Bool(false) => Some("False".into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole number, also one that CSV or a column of floats holds.
pub(super) fn whole(value: &Value) -> Option<usize> {
    let number = match value {
        Value::String(text) => return text.trim().parse().ok(),
        Value::Number(number) => number,
        _ => return None,
    };
    json::plain_number(number).parse().ok()
}

/// The text of a column that may hold nothing.
pub(super) fn optional_text(row: &Row, column: &str) -> Parsed<Option<String>> {
    match row.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match cell(value) {
            Some(text) => Ok(Some(text)),
            None => Err(unexpected(column, Some(value), "a text")),
        },
    }
}

/// Whether a value says nothing.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(Value::is_null),
        Value::Object(fields) => fields.values().all(Value::is_null),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What to say of a column that holds another kind of value.
pub(super) fn unexpected(column: &str, found: Option<&Value>, expected: &str) -> String {
    let found = found.map_or_else(|| "missing".into(), json::shown);
    format!("`{column}` is {found}, expected {expected}")
}
