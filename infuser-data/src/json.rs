//! JSON from outside: a key that stands twice in an object is refused, and a field that is not what
//! it should be is named.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::files;

/// Parses a JSON text of any kind.
///
/// # Errors
/// What is not JSON; an object with one key twice.
pub(crate) fn value(text: &str) -> Result<Value, String> {
    let strict: Strict =
        serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    Ok(strict.0)
}

/// Parses a JSON object that stands on one line.
///
/// # Errors
/// As [`value`]; another kind of value.
pub(crate) fn object(line: &str) -> Result<Map<String, Value>, String> {
    // A line's end would move the place of an error to the next line.
    let strict: Strict =
        serde_json::from_str(line.trim_end()).map_err(|error| files::json_problem(&error))?;
    match strict.0 {
        Value::Object(fields) => Ok(fields),
        other => Err(format!("{}, expected an object", shown(&other))),
    }
}

/// A value that is short enough for a message.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(fields) => format!("an object of {} fields", fields.len()),
        Value::String(text) => quoted(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The beginning of a text, quoted.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let end = text.char_indices().nth(MOST).map(|(at, _)| at);
    end.map_or_else(|| format!("{text:?}"), |end| format!("{:?}…", &text[..end]))
}

/// A number as people write it: no exponent, and no `.0` behind a whole one.
pub(crate) fn plain_number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => format!("{float}"),
        _ => number.to_string(),
    }
}

/// How Python's `json.dumps` writes: its arguments.
#[derive(Debug, Default)]
pub(crate) struct Style {
    /// Spaces a level, if it breaks lines.
    pub(crate) indent: Option<usize>,
    /// What stands between items, and between a key and its value.
    pub(crate) separators: Option<(String, String)>,
    pub(crate) sort_keys: bool,
    pub(crate) ensure_ascii: bool,
}

impl Style {
    /// The value as text.
    pub(crate) fn write(&self, value: &Value) -> String {
        let mut out = String::new();
        self.write_at(value, 0, &mut out);
        out
    }

    fn write_at(&self, value: &Value, level: usize, out: &mut String) {
        let between = if self.indent.is_some() { "," } else { ", " };
        let (between, colon) = match &self.separators {
            Some((between, colon)) => (&between[..], &colon[..]),
            None => (between, ": "),
        };
        match value {
            Value::Array(items) if !items.is_empty() => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { between } else { "" });
                    self.line(level + 1, out);
                    self.write_at(item, level + 1, out);
                }
                self.line(level, out);
                out.push(']');
            }
            Value::Object(fields) if !fields.is_empty() => {
                let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
                if self.sort_keys {
                    fields.sort_by_key(|(name, _)| *name);
                }
                out.push('{');
                for (i, (name, value)) in fields.into_iter().enumerate() {
                    out.push_str(if i > 0 { between } else { "" });
                    self.line(level + 1, out);
                    self.scalar(&Value::from(name.as_str()), out);
                    out.push_str(colon);
                    self.write_at(value, level + 1, out);
                }
                self.line(level, out);
                out.push('}');
            }
            other => self.scalar(other, out),
        }
    }

    fn line(&self, level: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * level));
        }
    }

    fn scalar(&self, value: &Value, out: &mut String) {
        let text = value.to_string();
        if !self.ensure_ascii {
            out.push_str(&text);
            return;
        }
        for next in text.chars() {
            if (' '..='~').contains(&next) {
                out.push(next);
            } else {
                for unit in next.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The depth is limited by serde_json itself.
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {} stands twice", quoted(&key))));
            }
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_stand_once_at_any_depth() {
        assert_eq!(value(r#"{"a": [1, {"b": null}]}"#).unwrap()["a"][1]["b"], Value::Null);
        for text in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "a": 2}}]"#] {
            assert!(value(text).unwrap_err().contains("\"a\" stands twice"), "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let deep = "[".repeat(100_000);
        assert!(value(&deep).unwrap_err().contains("recursion limit"));
        assert!(object("[1]").unwrap_err().contains("a list of 1, expected an object"));
    }

    #[test]
    fn numbers_and_texts_are_shown_plainly() {
        for (text, plain) in [
            ("1.0", "1"),
            ("3e-7", "0.0000003"),
            ("-6e25", "-60000000000000000000000000"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let Value::Number(number) = value(text).unwrap() else { panic!("{text}") };
            assert_eq!(plain_number(&number), plain);
        }
        assert_eq!(quoted(&"é".repeat(99)), format!("\"{}\"…", "é".repeat(60)));
    }
}
