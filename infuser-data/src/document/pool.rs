//! The documents of a run, read and checked once.

use std::{collections::HashMap, path::Path};

use serde_json::{Map, Value};

use super::Document;
use crate::{Error, Result, json, order, suite::table};

/// What is read of a record. Other fields are left out.
const FIELDS: [&str; 10] = [
    "doc_id",
    "content",
    "text",
    "field",
    "source_pdf",
    "title_path",
    "original_doc_idx",
    "chunk_idx",
    "token_count",
    "prompt_type",
];

/// At least one document, each with an id of its own and a text that is not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    documents: Vec<Document>,
    fingerprint: String,
}

impl Pool {
    /// Reads a JSON list, JSON lines or Parquet, each also as gzip; which of them is found from the
    /// content.
    ///
    /// A record has a `doc_id` (a text or a number) and its text in `content`, or in `text` if there
    /// is no `content` or it is blank. `field`, `source_pdf`, `title_path`, `original_doc_idx`,
    /// `chunk_idx`, `token_count` and `prompt_type` may be there; other fields are left out.
    ///
    /// # Errors
    /// An unreadable file; no record; a record that lacks its id or text, has a field of the wrong
    /// type, or an id that another record has.
    pub fn read(path: &Path) -> Result<Self> {
        let table = table::read_objects(path, &FIELDS)?;
        let mut documents = Vec::with_capacity(table.rows.len());
        let mut first = HashMap::with_capacity(table.rows.len());
        for row in &table.rows {
            let wrong = |problem| Error::record(path, row.number, problem);
            let document = Record(&row.fields).document().map_err(wrong)?;
            if let Some(before) = first.insert(document.doc_id.clone(), row.number) {
                let id = json::quoted(&document.doc_id);
                return Err(wrong(format!("`doc_id` {id} is that of record {before} too")));
            }
            documents.push(document);
        }
        if documents.is_empty() {
            return Err(Error::file(path, "no records, expected documents"));
        }
        Ok(Self { fingerprint: fingerprint(&documents), documents })
    }

    /// A pool of documents that are in memory.
    ///
    /// # Errors
    /// No document; a blank id or text; an id that stands twice.
    pub fn new(documents: Vec<Document>) -> Result<Self> {
        let mut first = HashMap::with_capacity(documents.len());
        for (i, document) in documents.iter().enumerate() {
            if document.doc_id.trim().is_empty() || document.content.trim().is_empty() {
                return Err(Error::Setting(format!("document {i} has a blank id or text")));
            }
            if let Some(before) = first.insert(&document.doc_id, i) {
                let id = json::quoted(&document.doc_id);
                return Err(Error::Setting(format!("documents {before} and {i} are both {id}")));
            }
        }
        if documents.is_empty() {
            return Err(Error::Setting("a pool without documents".into()));
        }
        Ok(Self { fingerprint: fingerprint(&documents), documents })
    }

    /// All documents, in the order of the file.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Sixteen hexadecimal digits that depend on every id and text and their order.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn fingerprint(documents: &[Document]) -> String {
    let parts = documents.iter().flat_map(|d| [d.doc_id.as_bytes(), d.content.as_bytes()]);
    format!("{:016x}", order::digest(&parts.collect::<Vec<_>>()))
}

/// The fields of a record, with errors that name them.
struct Record<'a>(&'a Map<String, Value>);

impl Record<'_> {
    fn document(&self) -> std::result::Result<Document, String> {
        Ok(Document {
            doc_id: self.id()?,
            source_number: self.number("original_doc_idx")?,
            position: self.number("chunk_idx")?,
            content: self.content()?,
            title_path: self.text("title_path")?,
            field: self.text("field")?,
            source: self.text("source_pdf")?,
            token_count: self.number("token_count")?,
            prompt_type: self.text("prompt_type")?,
        })
    }

    fn id(&self) -> std::result::Result<String, String> {
        match self.0.get("doc_id") {
            Some(Value::String(id)) if id.trim().is_empty() => Err("`doc_id` is blank".into()),
            Some(Value::String(id)) => Ok(id.clone()),
            Some(Value::Number(id)) => Ok(json::plain_number(id)),
            None => Err("`doc_id` is missing".into()),
            Some(other) => {
                Err(format!("`doc_id` is {}, expected a text or a number", json::shown(other)))
            }
        }
    }

    fn content(&self) -> std::result::Result<String, String> {
        let mut blank = None;
        for key in ["content", "text"] {
            match self.text(key)? {
                Some(text) if !text.trim().is_empty() => return Ok(text),
                Some(_) => blank = blank.or(Some(key)),
                None => {}
            }
        }
        Err(blank.map_or_else(
            || "`content` is missing, and so is `text`".into(),
            |key| format!("`{key}` is blank"),
        ))
    }

    fn text(&self, key: &str) -> std::result::Result<Option<String>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("`{key}` is {}, expected a text", json::shown(other))),
        }
    }

    fn number(&self, key: &str) -> std::result::Result<Option<usize>, String> {
        let Some(value) = self.0.get(key).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        let problem = || format!("`{key}` is {}, expected a count", json::shown(value));
        number.map(Some).ok_or_else(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Pool, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool");
        std::fs::write(&path, text).unwrap();
        Pool::read(&path).map_err(|error| error.to_string().replace(path.to_str().unwrap(), "P"))
    }

    #[test]
    fn lists_and_lines_are_the_same_pool() {
        let a = r#"{"doc_id": 7, "content": "A", "chunk_idx": 2, "other": [1]}"#;
        let b = r#"{"doc_id": "b", "content": " ", "text": "B", "field": null}"#;
        let pool = read(&format!("{a}\n\n{b}\n")).unwrap();
        assert_eq!(pool, read(&format!("[{a},{b}]")).unwrap());
        let [first, second] = pool.documents() else { panic!("{pool:?}") };
        assert_eq!((&first.doc_id[..], first.position), ("7", Some(2)));
        assert_eq!((&second.content[..], &second.field), ("B", &None));
        let other = read(&format!("[{b},{a}]")).unwrap();
        assert_ne!(pool.fingerprint(), other.fingerprint());
    }

    #[test]
    fn what_is_written_is_read() {
        let text = r#"{"doc_id":"a","original_doc_idx":1,"chunk_idx":0,"content":"x","title_path":"T > U","field":"Math","source_pdf":"a.pdf","token_count":1,"prompt_type":"p"}"#;
        let pool = read(text).unwrap();
        assert_eq!(serde_json::to_string(&pool.documents()[0]).unwrap(), text);
        assert_eq!(pool, Pool::new(pool.documents().to_vec()).unwrap());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            ("", "P: expected a JSON list, JSON lines or Parquet"),
            ("a text", "P: expected a JSON list, JSON lines or Parquet"),
            ("[]", "P: no records, expected documents"),
            ("[1]", "P, record 1: 1, expected an object"),
            (r#"{"content": "x"}"#, "P, record 1: `doc_id` is missing"),
            (r#"{"doc_id": "a"}"#, "P, record 1: `content` is missing, and so is `text`"),
            (r#"{"doc_id": "a", "content": " \n"}"#, "P, record 1: `content` is blank"),
            (r#"{"doc_id": " ", "content": "x"}"#, "P, record 1: `doc_id` is blank"),
            (
                r#"{"doc_id": [], "content": "x"}"#,
                "P, record 1: `doc_id` is a list of 0, expected a text or a number",
            ),
            (
                "{\"doc_id\": 1, \"content\": \"x\"}\n\n{\"doc_id\": 2, \"text\": 3}",
                "P, record 3: `text` is 3, expected a text",
            ),
            (
                r#"{"doc_id": 1, "content": "x", "token_count": -1}"#,
                "P, record 1: `token_count` is -1, expected a count",
            ),
            (
                r#"[{"doc_id": 1, "content": "x"}, {"doc_id": "1", "content": "y"}]"#,
                "P, record 2: `doc_id` \"1\" is that of record 1 too",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), message, "{text}");
        }
    }
}
