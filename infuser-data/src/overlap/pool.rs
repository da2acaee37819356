//! The texts of a pool file.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{Error, Result, files, json};

/// One text of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What reports call it.
    pub name: String,
    /// The text.
    pub text: String,
}

/// The texts of a file, one after the other.
///
/// The file is a JSON list of objects, or an object a line, gzip or not. The text of a record is its
/// `content`, else its `text`, else its `question` with the texts of its `options` or `choices`. Its
/// name is its `id`, else its number.
pub struct Pool {
    path: PathBuf,
    records: Records,
}

enum Records {
    Lines { text: String, at: usize, number: usize },
    List { items: std::vec::IntoIter<Value>, number: usize },
}

impl Pool {
    /// Opens a file.
    ///
    /// # Errors
    /// An unreadable file; a text that is not JSON, if it is a list. What is wrong with a record comes
    /// as its turn comes.
    pub fn open(path: &Path) -> Result<Self> {
        let text = files::read_text(path)?;
        let at = text.len() - text.trim_start_matches('\u{feff}').len();
        let malformed = |problem| Error::file(path, problem);
        let records = if text[at..].trim_start().starts_with('[') {
            match json::value(&text[at..]).map_err(malformed)? {
                Value::Array(items) => Records::List { items: items.into_iter(), number: 0 },
                other => return Err(malformed(format!("{}, not a list", json::shown(&other)))),
            }
        } else {
            Records::Lines { text, at, number: 0 }
        };
        Ok(Self { path: path.to_path_buf(), records })
    }
}

impl Iterator for Pool {
    type Item = Result<Text>;

    fn next(&mut self) -> Option<Result<Text>> {
        let (number, fields) = match &mut self.records {
            Records::List { items, number } => {
                let item = items.next()?;
                *number += 1;
                let fields = match item {
                    Value::Object(fields) => Ok(fields),
                    other => Err(format!("{}, expected an object", json::shown(&other))),
                };
                (*number, fields)
            }
            Records::Lines { text, at, number } => loop {
                let rest = &text[*at..];
                if rest.is_empty() {
                    return None;
                }
                let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
                *at += end;
                *number += 1;
                if !rest[..end].trim().is_empty() {
                    break (*number, json::object(&rest[..end]));
                }
            },
        };
        let text = fields.and_then(|fields| text_of(&fields, number));
        Some(text.map_err(|problem| Error::record(&self.path, number, problem)))
    }
}

fn text_of(fields: &Map<String, Value>, number: usize) -> std::result::Result<Text, String> {
    let name = match fields.get("id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => format!("record {number}"),
    };
    let key = ["content", "text", "question"].into_iter().find(|key| fields.contains_key(*key));
    let key = key.ok_or("neither `content`, `text` nor `question` is there")?;
    let mut text = match &fields[key] {
        Value::String(text) => text.clone(),
        other => return Err(format!("`{key}` is {}, expected a text", json::shown(other))),
    };
    if key == "question" {
        let lists =
            ["options", "choices"].into_iter().filter_map(|key| fields.get(key)?.as_array());
        for choice in lists.flatten().filter_map(Value::as_str) {
            text.push('\n');
            text.push_str(choice);
        }
    }
    Ok(Text { name, text })
}
