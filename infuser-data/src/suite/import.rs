//! Public layouts as suites, by a mapping.

use std::{collections::HashMap, path::Path};

use serde_json::Value;

use super::{
    Collected, Item, Mapping, Outcome, Parsed, Skipped, Suite, Usable, Why,
    answers::Answers,
    cells::{is_blank, optional_text, unexpected},
    mapping::{Field, Names, SubjectRule},
    table::{self, Row, Shape},
};
use crate::{Error, Result, question::Question};

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
