//! Records of a file in any of four formats, which is found from its content.

use std::path::Path;

use serde_json::{Map, Value};

use super::parquet;
use crate::{Error, Result, files, json};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// JSON lines, a list, or an object that holds a list.
    Json,
    /// Separated by commas.
    Csv,
    Parquet,
}

/// What must be known about a file besides its content.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape<'a> {
    /// Not to be found from the content.
    pub(super) format: Option<Format>,
    /// Names of CSV columns, for a file whose first line does not name them.
    pub(super) header: Option<&'a [String]>,
    /// The key under which a JSON object holds its records.
    pub(super) records: Option<&'a str>,
}

/// Records and the names they use.
#[derive(Debug)]
pub(crate) struct Table {
    /// Every name that a record uses, in order of appearance.
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One record.
#[derive(Debug)]
pub(crate) struct Row {
    /// Counted from 1; for JSON lines the line.
    pub(crate) number: usize,
    pub(crate) fields: Map<String, Value>,
}

impl Row {
    /// The value of a column. `a.b` is field `b` of the object in `a`, if no column has that name.
    pub(super) fn get(&self, column: &str) -> Option<&Value> {
        self.fields.get(column).or_else(|| {
            let (outer, inner) = column.split_once('.')?;
            self.fields.get(outer)?.get(inner)
        })
    }
}

/// Reads all records; of a Parquet file only the columns whose first name is `wanted`.
pub(super) fn read(path: &Path, shape: &Shape<'_>, wanted: &[&str]) -> Result<Table> {
    let bytes = files::read(path)?;
    let format = shape.format.unwrap_or_else(|| format_of(&bytes));
    if format == Format::Parquet {
        return parquet::read(path, bytes, wanted);
    }
    let text = files::text(path, bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.trim().is_empty() {
        return Err(Error::file(path, "holds nothing, expected records"));
    }
    if format == Format::Csv {
        return read_csv(path, text, shape.header);
    }
    Ok(Table::of(read_json(path, text, shape.records)?))
}

/// Reads all records of a JSON list, JSON lines or Parquet; of the latter only the `wanted` columns.
pub(crate) fn read_objects(path: &Path, wanted: &[&str]) -> Result<Table> {
    let bytes = files::read(path)?;
    match format_of(&bytes) {
        Format::Parquet => parquet::read(path, bytes, wanted),
        Format::Json => {
            let text = files::text(path, bytes)?;
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            Ok(Table::of(read_json(path, text, None)?))
        }
        Format::Csv => Err(Error::file(path, "expected a JSON list, JSON lines or Parquet")),
    }
}

fn format_of(bytes: &[u8]) -> Format {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match bytes.trim_ascii_start() {
        [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
        [b'{' | b'[', ..] => Format::Json,
        _ => Format::Csv,
    }
}

impl Table {
    /// The names are those of the fields, and those of fields in fields.
    fn of(rows: Vec<Row>) -> Self {
        let mut columns = Map::new();
        for row in &rows {
            for (name, value) in &row.fields {
                if !columns.contains_key(name) {
                    columns.insert(name.clone(), Value::Null);
                }
                for inner in value.as_object().into_iter().flat_map(Map::keys) {
                    let name = format!("{name}.{inner}");
                    columns.entry(name).or_insert(Value::Null);
                }
            }
        }
        Self { columns: columns.into_iter().map(|(name, _)| name).collect(), rows }
    }
}

fn read_json(path: &Path, text: &str, key: Option<&str>) -> Result<Vec<Row>> {
    let malformed = |problem: String| Error::file(path, problem);
    if text.trim_start().starts_with('[') {
        let Value::Array(list) = json::value(text).map_err(malformed)? else { return Ok(vec![]) };
        return rows_of(path, list);
    }
    let mut lines = files::lines(text);
    let first = lines.next().is_some_and(|(_, line)| json::object(line).is_ok());
    let alone = lines.next().is_none();
    if first && !(alone && key.is_some()) {
        let row = |(number, line): (usize, &str)| {
            let fields = json::object(line);
            let fields = fields.map_err(|problem| Error::record(path, number, problem))?;
            Ok(Row { number, fields })
        };
        return files::lines(text).map(row).collect();
    }
    let mut fields = json::object(text).map_err(malformed)?;
    let Some(key) = key else { return Ok(vec![Row { number: 1, fields }]) };
    match fields.remove(key) {
        Some(Value::Array(list)) => rows_of(path, list),
        Some(other) => {
            Err(malformed(format!("`{key}` is {}, expected a list", json::shown(&other))))
        }
        None => Err(malformed(format!("an object without `{key}`, which should hold its records"))),
    }
}

fn rows_of(path: &Path, list: Vec<Value>) -> Result<Vec<Row>> {
    let row = |(i, value)| match value {
        Value::Object(fields) => Ok(Row { number: i + 1, fields }),
        other => {
            let problem = format!("{}, expected an object", json::shown(&other));
            Err(Error::record(path, i + 1, problem))
        }
    };
    list.into_iter().enumerate().map(row).collect()
}

fn read_csv(path: &Path, text: &str, header: Option<&[String]>) -> Result<Table> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(header.is_none())
        // Lengths are compared below, with a plainer message.
        .flexible(true)
        .from_reader(text.as_bytes());
    let malformed = |error: csv::Error| Error::file(path, format!("not CSV: {error}"));
    let columns: Vec<String> = match header {
        Some(names) => names.to_vec(),
        None => reader.headers().map_err(malformed)?.iter().map(|s| s.trim().into()).collect(),
    };
    let mut rows = Vec::new();
    for (i, record) in reader.records().enumerate() {
        let (record, number) = (record.map_err(malformed)?, i + 1);
        if record.len() != columns.len() {
            let (found, expected) = (record.len(), columns.len());
            let problem = format!("{found} fields, expected {expected} as the columns have names");
            return Err(Error::record(path, number, problem));
        }
        let mut fields = Map::new();
        for (name, text) in columns.iter().zip(&record) {
            // An unnamed column is the row number of the program that wrote the file.
            if !name.is_empty() && fields.insert(name.clone(), text.into()).is_some() {
                let problem = format!("two columns are named {}", json::quoted(name));
                return Err(Error::file(path, problem));
            }
        }
        rows.push(Row { number, fields });
    }
    Ok(Table { columns, rows })
}
