//! Where a public layout keeps what an item needs: a TOML text, embedded or the user's own.

use std::path::Path;

use serde::Deserialize;

use super::{Parsed, extract::Kind, table::Format};
use crate::{Error, Result, files};

/// The embedded mappings, by name.
const EMBEDDED: [(&str, &str); 11] = [
    ("aime", include_str!("../../mappings/aime.toml")),
    ("bbeh", include_str!("../../mappings/bbeh.toml")),
    ("gpqa", include_str!("../../mappings/gpqa.toml")),
    ("gsm8k", include_str!("../../mappings/gsm8k.toml")),
    ("math", include_str!("../../mappings/math.toml")),
    ("medqa", include_str!("../../mappings/medqa.toml")),
    ("mmlu", include_str!("../../mappings/mmlu.toml")),
    ("mmlu-csv", include_str!("../../mappings/mmlu-csv.toml")),
    ("mmlu-pro", include_str!("../../mappings/mmlu-pro.toml")),
    ("supergpqa", include_str!("../../mappings/supergpqa.toml")),
    ("theoremqa", include_str!("../../mappings/theoremqa.toml")),
];

/// How the records of a public layout become items. `mappings/README.md` describes the keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    pub(super) set: Option<String>,
    pub(super) split: Option<String>,
    pub(super) format: Option<Format>,
    pub(super) header: Option<Vec<String>>,
    pub(super) records: Option<String>,
    pub(super) r#type: Kind,
    pub(super) question: Names,
    pub(super) context: Option<Names>,
    pub(super) picture: Option<Names>,
    pub(super) id: Option<Names>,
    #[serde(default)]
    pub(super) optional: Vec<Field>,
    #[serde(default)]
    pub(super) choices: Vec<ChoicesRule>,
    pub(super) answer: Vec<AnswerRule>,
    #[serde(default)]
    pub(super) subject: Vec<SubjectRule>,
}

/// A column, or several names that it may have.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected the name of a column, or a list of names")]
pub(super) enum Names {
    One(String),
    Any(Vec<String>),
}

/// What a file may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Field {
    Context,
    Id,
    Picture,
}

/// Where the choices are: one of the three.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChoicesRule {
    pub(super) list: Option<Names>,
    pub(super) letters: Option<Names>,
    pub(super) columns: Option<Vec<String>>,
    /// Put them in an order that depends on the question alone.
    #[serde(default)]
    pub(super) shuffle: bool,
}

/// Where the answer is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerRule {
    // Of a choice; those that are given must agree.
    pub(super) index: Option<Names>,
    pub(super) letter: Option<Names>,
    pub(super) text: Option<Names>,
    #[serde(default)]
    pub(super) first_choice: bool,
    // Of an open question.
    pub(super) column: Option<Names>,
    pub(super) after: Option<String>,
    #[serde(default)]
    pub(super) boxed: bool,
}

/// Where the subject is: one of the four.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectRule {
    pub(super) column: Option<Names>,
    pub(super) constant: Option<String>,
    #[serde(default)]
    pub(super) file: bool,
    #[serde(default)]
    pub(super) folder: bool,
    /// Beginnings and endings that are no part of the file's or folder's name.
    #[serde(default)]
    pub(super) without: Vec<String>,
}

impl Mapping {
    /// The names of the embedded mappings.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// An embedded mapping by name; anything that ends in `.toml` is a file.
    ///
    /// # Errors
    /// An unknown name, with the nearest; a file that is not a mapping.
    pub fn find(name: &str) -> Result<Self> {
        if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
            return Self::read(Path::new(name));
        }
        let Some((_, text)) = EMBEDDED.iter().find(|(known, _)| *known == name) else {
            let known: Vec<String> = Self::names().map(String::from).collect();
            let near = listed(&crate::nearest(name, &known));
            let problem = format!(
                "no layout is named `{name}`; the nearest are {near}, and FILE.toml is one of yours"
            );
            return Err(Error::Setting(problem));
        };
        Self::parse(text).map_err(Error::Setting)
    }

    /// A mapping of the user's.
    ///
    /// # Errors
    /// An unreadable file; a text that is not a mapping, with the key.
    pub fn read(path: &Path) -> Result<Self> {
        const MAX_BYTES: u64 = 1 << 20;
        let text = files::text(path, files::read_at_most(path, MAX_BYTES)?)?;
        Self::parse(&text).map_err(|problem| Error::file(path, problem))
    }

    fn parse(text: &str) -> Parsed<Self> {
        let mapping: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        mapping.check()?;
        Ok(mapping)
    }

    fn check(&self) -> Parsed<()> {
        let is_choice = self.r#type == Kind::Mcq;
        if is_choice == self.choices.is_empty() {
            return Err("`choices` are needed for type mcq, and for no other".into());
        }
        if self.answer.is_empty() {
            return Err("`answer` has no rule".into());
        }
        for rule in &self.choices {
            let ways = [rule.list.is_some(), rule.letters.is_some(), rule.columns.is_some()];
            if count(ways) != 1 {
                return Err("`choices` need one of list, letters and columns".into());
            }
        }
        for rule in &self.answer {
            let choice = [
                rule.index.is_some(),
                rule.letter.is_some(),
                rule.text.is_some(),
                rule.first_choice,
            ];
            let open = [rule.column.is_some(), rule.after.is_some(), rule.boxed];
            let fits = match is_choice {
                true => count(choice) > 0 && count(open) == 0,
                false => count(choice) == 0 && open[0] && count(open) < 3,
            };
            if !fits {
                return Err("`answer` needs some of index, letter, text and first_choice for \
                            type mcq, else column and perhaps one of after and boxed"
                    .into());
            }
            if rule.after.as_ref().is_some_and(String::is_empty) {
                return Err("`after` is empty".into());
            }
        }
        for rule in &self.subject {
            let ways = [rule.column.is_some(), rule.constant.is_some(), rule.file, rule.folder];
            if count(ways) != 1 {
                return Err("`subject` needs one of column, constant, file and folder".into());
            }
        }
        self.check_names()
    }

    fn check_names(&self) -> Parsed<()> {
        let mut all = self.columns();
        if all.any(|names| names.all().is_empty()) {
            return Err("a list of column names is empty".into());
        }
        let mut header: Vec<&String> = self.header.iter().flatten().collect();
        header.sort_unstable();
        match header.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("`header` names `{}` twice", pair[0])),
            None => Ok(()),
        }
    }

    /// Every column that may be looked at, but for those of `choices.columns`.
    fn columns(&self) -> impl Iterator<Item = &Names> {
        let plain = [Some(&self.question), self.context.as_ref(), self.picture.as_ref()];
        let choices = self.choices.iter().flat_map(|rule| [&rule.list, &rule.letters]);
        let answers = self.answer.iter();
        let answers = answers.flat_map(|a| [&a.index, &a.letter, &a.text, &a.column]);
        let subjects = self.subject.iter().map(|rule| &rule.column);
        let rules = choices.chain(answers).chain(subjects).chain([&self.id]);
        plain.into_iter().flatten().chain(rules.flatten())
    }

    /// The first names of all columns that may be looked at.
    pub(super) fn wanted(&self) -> Vec<&str> {
        let single = self.choices.iter().flat_map(|rule| rule.columns.iter().flatten());
        let names = self.columns().flat_map(Names::all).chain(single);
        let mut outer: Vec<&str> = names
            .flat_map(|name| [name.as_str(), name.split('.').next().unwrap_or(name)])
            .collect();
        outer.sort_unstable();
        outer.dedup();
        outer
    }
}

impl Names {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Any(names) => names,
        }
    }

    /// The first name that is there, or what to say.
    pub(super) fn find(&self, columns: &[String]) -> Parsed<&str> {
        let names = self.all();
        let found = names.iter().find(|name| columns.contains(name)).map(String::as_str);
        found.ok_or_else(|| match names {
            [] => "no name is given".into(),
            [name] => format!("no column is named `{name}`; {}", near(name, columns)),
            [name, ..] => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("no column is named one of {}; {}", listed(&names), near(name, columns))
            }
        })
    }
}

fn near(name: &str, columns: &[String]) -> String {
    match &crate::nearest(name, columns)[..] {
        [] => "there are no columns".into(),
        near => format!("the nearest are {}", listed(near)),
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn count<const N: usize>(ways: [bool; N]) -> usize {
    ways.into_iter().filter(|way| *way).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_mappings_are_sound_and_sorted() {
        let names: Vec<&str> = Mapping::names().collect();
        assert!(names.is_sorted());
        for name in names {
            let mapping = Mapping::find(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(mapping.set.is_some(), "{name} names its set");
        }
    }

    #[test]
    fn faults_of_mappings_are_named() {
        let open = "type = 'math'\nquestion = 'q'\n";
        let choice = "type = 'mcq'\nquestion = 'q'\n";
        for (text, problem) in [
            ("", "missing field"),
            ("x = 1", "unknown field"),
            ("type = 'essay'", "unknown variant `essay`"),
            (&format!("{open}answer = []"), "no rule"),
            (&format!("{open}[[answer]]"), "`answer` needs"),
            (&format!("{open}[[answer]]\ncolum = 'a'"), "unknown field `colum`"),
            (&format!("{open}[[answer]]\ncolumn = 5"), "expected the name of a column"),
            (&format!("{open}[[answer]]\ncolumn = []"), "is empty"),
            (&format!("{open}[[answer]]\ncolumn = 'a'\nafter = ''"), "`after` is empty"),
            (&format!("{open}[[answer]]\ncolumn = 'a'\nafter = 'x'\nboxed = true"), "`answer`"),
            (&format!("{open}[[answer]]\nletter = 'a'"), "`answer` needs"),
            (&format!("{open}[[answer]]\ncolumn = 'a'\n[[choices]]\nlist = 'c'"), "`choices` are"),
            (&format!("{choice}[[answer]]\nletter = 'a'"), "`choices` are needed"),
            (&format!("{choice}[[answer]]\nletter = 'a'\n[[choices]]"), "`choices` need one"),
            (&format!("{open}[[answer]]\ncolumn = 'a'\n[[subject]]"), "`subject` needs one"),
            (&format!("{open}header = ['a', 'a']\n[[answer]]\ncolumn = 'a'"), "`a` twice"),
        ] {
            let found = Mapping::parse(text).expect_err(text);
            assert!(found.contains(problem), "{text}: {found}");
        }
        let error = Mapping::find("gms8k").unwrap_err().to_string();
        assert!(error.contains("the nearest are `gsm8k`"), "{error}");
    }
}
