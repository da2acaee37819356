//! What a document is for: which kind of question is written from it, or the question that it is.

use infuser_data::{
    document::Document,
    prompt::Ask,
    question::{Form, Question, parse::Shape},
};
use regex::{Regex, RegexBuilder};

use crate::{
    config::{Questions, Route, Verifiable},
    error::{Error, Result},
};

/// The most bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

/// The routes and patterns of the settings, compiled.
#[derive(Debug, Clone)]
pub struct Routing {
    routes: Vec<(Regex, Shape)>,
    verifier: Option<Verifier>,
    choices: (usize, usize),
}

/// What a document is for.
#[derive(Debug, Clone)]
pub enum Posed<'a> {
    /// The generator is asked for a question from it.
    Ask {
        /// The prompt.
        ask: Ask<'a>,
        /// The kind of question.
        shape: Shape,
    },
    /// It is a question itself, and goes to the solver.
    Question(Question),
}

impl Routing {
    /// Of the settings.
    ///
    /// # Errors
    /// [`Error::Setting`]: a pattern that is no regular expression, is too large, or lacks its groups.
    pub fn new(settings: &Questions) -> Result<Self> {
        let route = |(i, route): (usize, &Route)| {
            let key = format!("questions.routes[{i}].pattern");
            Ok((pattern(&key, &route.pattern, false)?, route.form.shape()))
        };
        let routes = settings.routes.iter().enumerate().map(route).collect::<Result<_>>()?;
        let verifier = settings.verifiable.as_ref().map(Verifier::new).transpose()?;
        Ok(Self { routes, verifier, choices: settings.choices })
    }

    /// What this document is for.
    pub fn pose<'a>(&self, document: &'a Document) -> Posed<'a> {
        let question = self.verifier.as_ref().and_then(|verifier| verifier.question(document));
        question.map_or_else(|| self.ask(document), Posed::Question)
    }

    /// What the generator is asked for if it gets this document, whatever patterns say of it.
    pub fn ask<'a>(&self, document: &'a Document) -> Posed<'a> {
        let text = document.content.as_str();
        let shape = self.shape(document);
        let ask = match shape {
            Shape::Choice => {
                Ask::Choice { document: text, choices: self.choices.0..=self.choices.1 }
            }
            Shape::Open(_) => Ask::Open { document: text },
        };
        Posed::Ask { ask, shape }
    }

    fn shape(&self, document: &Document) -> Shape {
        match document.prompt_type.as_deref() {
            Some("mcq") => return Shape::Choice,
            Some("free_form") => return Shape::Open(Form::Math),
            _ => {}
        }
        let source = document.source.as_deref().unwrap_or("");
        let route = self.routes.iter().find(|(pattern, _)| pattern.is_match(source));
        route.map_or(Shape::Choice, |(_, shape)| *shape)
    }
}

/// Finds the question that a document is.
#[derive(Debug, Clone)]
struct Verifier {
    source: Option<Regex>,
    content: Regex,
    form: Form,
}

impl Verifier {
    fn new(settings: &Verifiable) -> Result<Self> {
        let Shape::Open(form) = settings.form.shape() else {
            let problem = "questions.verifiable.form = \"choice\" has no choices to show; use \
                           numeric, math or text";
            return Err(Error::Setting(problem.into()));
        };
        let source = settings.pattern.as_deref();
        let source = source.map(|text| pattern("questions.verifiable.pattern", text, false));
        let key = "questions.verifiable.content";
        // By itself first: an error shows what the user wrote.
        pattern(key, &settings.content, true)?;
        let content = pattern(key, &format!(r"\A(?:{})", settings.content), true)?;
        let names: Vec<_> = content.capture_names().flatten().collect();
        if !names.contains(&"question") || !names.contains(&"answer") {
            let problem = format!("{key} needs the groups `(?P<question>…)` and `(?P<answer>…)`");
            return Err(Error::Setting(problem));
        }
        Ok(Self { source: source.transpose()?, content, form })
    }

    /// `None` for a document that is for the generator.
    fn question(&self, document: &Document) -> Option<Question> {
        let source = document.source.as_deref().unwrap_or("");
        if self.source.as_ref().is_some_and(|pattern| !pattern.is_match(source)) {
            return None;
        }
        let found = self.content.captures(&document.content)?;
        let (question, answer) = (found.name("question")?.as_str(), found.name("answer")?.as_str());
        Question::open(question, answer, self.form).ok()
    }
}

fn pattern(key: &str, text: &str, whole: bool) -> Result<Regex> {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(PATTERN_BYTES).dot_matches_new_line(whole);
    builder.build().map_err(|error| Error::Setting(format!("{key}: {error}")))
}
