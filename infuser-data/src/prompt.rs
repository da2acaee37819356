//! Prompts: what a generator is asked to write, what a solver is asked to answer.
//!
//! Each is a template file. The built-in ones can be replaced one by one. What is put into them, a
//! document or a question, is data: braces in it are never read as a template.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig};
use serde_json::{Value, json};

use crate::{
    Error, Result,
    chat::Message,
    files,
    question::{Answer, Form, Question, letter},
};

/// The most bytes of one template.
const MAX_TEMPLATE: u64 = 1 << 20;
/// Steps of one rendering: more than any sensible template takes.
const FUEL: u64 = 10_000_000;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../templates/", $name)))),*]
    };
}

/// The templates by name.
const BUILT_IN: [(&str, &str); 15] = built_in![
    "choice_generator.base.jinja",
    "choice_generator.system.jinja",
    "choice_generator.user.jinja",
    "choice_solver.base.jinja",
    "choice_solver.system.jinja",
    "choice_solver.user.jinja",
    "open_generator.base.jinja",
    "open_generator.system.jinja",
    "open_generator.user.jinja",
    "open_solver.base.jinja",
    "open_solver.system.jinja",
    "open_solver.user.jinja",
    "seeded_generator.base.jinja",
    "seeded_generator.system.jinja",
    "seeded_generator.user.jinja",
];

/// What is asked for, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask<'a> {
    /// A multiple-choice question from a document. Templates see `document`, `fewest` and `most`.
    Choice {
        /// The document's text.
        document: &'a str,
        /// How many choices the question may have.
        choices: RangeInclusive<usize>,
    },
    /// A question with a short answer that a program can check, from a document. Templates see
    /// `document`.
    Open {
        /// The document's text.
        document: &'a str,
    },
    /// A multiple-choice question like others. Templates see `examples`, a list of objects with
    /// `question`, `choices` (objects with `letter` and `text`), `letter` and `answer`, and `fewest`
    /// and `most`.
    Seeded {
        /// The others.
        examples: &'a [Question],
        /// How many choices the question may have.
        choices: RangeInclusive<usize>,
    },
    /// An answer to a question, with or without choices. Templates see `question` and, with choices,
    /// `choices`, objects with `letter` and `text`. They do not see the answer.
    Answer(&'a Question),
}

impl Ask<'_> {
    /// The beginning of the names of its templates.
    fn name(&self) -> &'static str {
        match self {
            Self::Choice { .. } => "choice_generator",
            Self::Open { .. } => "open_generator",
            Self::Seeded { .. } => "seeded_generator",
            Self::Answer(question) => match question.answer() {
                Answer::Choice { .. } => "choice_solver",
                Answer::Open { .. } => "open_solver",
            },
        }
    }

    fn context(&self) -> Value {
        match self {
            Self::Choice { document, choices } => {
                json!({"document": document, "fewest": choices.start(), "most": choices.end()})
            }
            Self::Open { document } => json!({"document": document}),
            Self::Seeded { examples, choices } => {
                let examples: Vec<Value> = examples.iter().map(shown_with_answer).collect();
                json!({"examples": examples, "fewest": choices.start(), "most": choices.end()})
            }
            Self::Answer(question) => shown(question),
        }
    }
}

fn shown(question: &Question) -> Value {
    match question.answer() {
        Answer::Open { .. } => json!({"question": question.text()}),
        Answer::Choice { choices, .. } => {
            let lettered = |(index, text): (usize, &String)| json!({"letter": letter(index).to_string(), "text": text});
            let choices: Vec<Value> = choices.iter().enumerate().map(lettered).collect();
            json!({"question": question.text(), "choices": choices})
        }
    }
}

fn shown_with_answer(question: &Question) -> Value {
    let mut fields = shown(question);
    match question.answer() {
        Answer::Open { reference, .. } => {
            fields["choices"] = json!([]);
            fields["letter"] = json!("");
            fields["answer"] = json!(reference);
        }
        Answer::Choice { choices, correct } => {
            fields["letter"] = json!(letter(*correct).to_string());
            fields["answer"] = json!(choices[*correct]);
        }
    }
    fields
}

/// The templates, ready to be filled in.
#[derive(Debug)]
pub struct Prompts {
    environment: Environment<'static>,
    /// Where templates that are not built in come from, by name.
    places: BTreeMap<&'static str, PathBuf>,
}

impl Prompts {
    /// The built-in templates.
    ///
    /// # Errors
    /// None in practice: the built-in templates are tested.
    pub fn builtin() -> Result<Self> {
        Self::with(BTreeMap::new())
    }

    /// The built-in templates, but for those that stand in `folder` under the same names.
    ///
    /// Names are `PROMPT.PART.jinja`. A prompt is `choice_generator`, `open_generator`,
    /// `seeded_generator`, `choice_solver` or `open_solver`; a part is `system` or `user` for chat
    /// models, or `base` for models that continue a text. The built-in `base` of a generator includes its
    /// two other parts. Templates are Jinja, with blocks trimmed and without HTML escapes; a variable
    /// that is not there is an error.
    ///
    /// # Errors
    /// An unreadable folder or file; a `.jinja` file of another name; a template that cannot be read or
    /// filled in, with its line.
    pub fn load(folder: &Path) -> Result<Self> {
        let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
        let mut found = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(Error::io("read", folder))?.path();
            if path.extension().is_none_or(|extension| extension != "jinja") {
                continue;
            }
            let known = BUILT_IN
                .iter()
                .find(|(name, _)| path.file_name().is_some_and(|file| file == *name));
            let Some((name, _)) = known else {
                let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                let problem =
                    format!("no prompt has this name; the names are {}", names.join(", "));
                return Err(Error::file(&path, problem));
            };
            let text = files::text(&path, files::read_at_most(&path, MAX_TEMPLATE)?)?;
            found.insert(*name, (path, text));
        }
        Self::with(found)
    }

    /// The built-in templates, but for `own`: names and sources.
    pub(crate) fn overlaid(own: &[(&'static str, &str)]) -> Result<Self> {
        let place = |name: &str| Path::new("(built-in prompts)").join(name);
        Self::with(
            own.iter().map(|(name, text)| (*name, (place(name), text.to_string()))).collect(),
        )
    }

    fn with(mut own: BTreeMap<&'static str, (PathBuf, String)>) -> Result<Self> {
        let mut prompts = Self { environment: environment()?, places: BTreeMap::new() };
        for (name, built_in) in BUILT_IN {
            let added = match own.remove(name) {
                None => prompts.environment.add_template(name, built_in),
                Some((path, text)) => {
                    prompts.places.insert(name, path);
                    prompts.environment.add_template_owned(name, text)
                }
            };
            added.map_err(|error| prompts.broken(name, &error))?;
        }
        prompts.check()?;
        Ok(prompts)
    }

    /// The prompt for a chat model: a system message and a user message. A template that gives nothing
    /// but white space gives no message.
    ///
    /// # Errors
    /// A template of the user's that cannot be filled in.
    pub fn chat(&self, ask: &Ask<'_>) -> Result<Vec<Message>> {
        let mut messages = Vec::with_capacity(2);
        for role in ["system", "user"] {
            let content = self.fill(ask, role)?;
            if !content.trim().is_empty() {
                messages.push(Message::new(role, &content));
            }
        }
        Ok(messages)
    }

    /// The prompt for a model that continues a text: it ends where the model goes on.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub fn text(&self, ask: &Ask<'_>) -> Result<String> {
        self.fill(ask, "base")
    }

    fn fill(&self, ask: &Ask<'_>, part: &str) -> Result<String> {
        let name = format!("{}.{part}.jinja", ask.name());
        let filled = self
            .environment
            .get_template(&name)
            .and_then(|template| template.render(minijinja::value::Serde(ask.context())));
        filled.map_err(|error| self.broken(&name, &error))
    }

    /// Fills in every template once, so that a variable that is not there is seen at the start.
    fn check(&self) -> Result<()> {
        let invalid = |error: crate::question::Invalid| Error::Setting(error.to_string());
        let choice = Question::choice("?", &["a", "b"], 0).map_err(invalid)?;
        let open = Question::open("?", "a", Form::Text).map_err(invalid)?;
        let examples = [choice.clone(), open.clone()];
        for ask in [
            Ask::Choice { document: "a", choices: 4..=8 },
            Ask::Open { document: "a" },
            Ask::Seeded { examples: &examples, choices: 4..=8 },
            Ask::Answer(&choice),
            Ask::Answer(&open),
        ] {
            self.chat(&ask)?;
            self.text(&ask)?;
        }
        Ok(())
    }

    /// An error of the template engine, with file and line.
    fn broken(&self, name: &str, error: &minijinja::Error) -> Error {
        // A template that is included is the one to name.
        let mut inner = error;
        while let Some(source) = std::error::Error::source(inner).and_then(|e| e.downcast_ref()) {
            inner = source;
        }
        let name = inner.name().unwrap_or(name);
        let path = self.places.get(name).cloned();
        let path = path.unwrap_or_else(|| Path::new("(built-in prompts)").join(name));
        let line = inner.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        let detail = inner.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        Error::file(&path, format!("{line}{}{detail}", inner.kind()))
    }
}

fn environment() -> Result<Environment<'static>> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    let syntax = syntax.map_err(|error| Error::Setting(error.to_string()))?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    Ok(environment)
}
