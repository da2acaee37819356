//! `infuser parse`.

use std::{collections::BTreeMap, fmt::Write as _};

use infuser_data::{
    question::{
        self, Answer, Reject, Seeds,
        parse::{Generated, Shape, Task, parse},
    },
    suite,
};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    args::{Form, Parse},
    failure::Failure,
    jsonl::{self, Output},
    report::grouped,
    say::say,
};

/// One line of input, checked.
struct Raw {
    id: Value,
    source: String,
    text: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Question { id: &'a Value, question: Shown<'a> },
    Reject { id: &'a Value, reject: &'static str, detail: String },
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<usize>,
    answer: &'a str,
    notes: &'a BTreeMap<&'static str, String>,
}

pub(crate) fn run(args: &Parse) -> Result<(), Failure> {
    let seeds = args.seeds.as_deref().map(suite::read).transpose()?;
    let seeds = seeds.map(|set| Seeds::new(set.items.iter().map(|item| item.question.text())));
    let shape = match args.form {
        Form::Mcq => Shape::Choice,
        Form::Free => Shape::Open(question::Form::Math),
    };
    let raw = jsonl::read(&args.input, Raw::read)?;
    let found: Vec<Result<Generated, Reject>> = raw
        .par_iter()
        .map(|raw| {
            let task = Task::new(shape, &raw.source);
            parse(&raw.text, &Task { seeds: seeds.as_ref(), shuffle: args.seed, ..task })
        })
        .collect();
    let mut output = Output::open(args.output.as_deref())?;
    for (raw, found) in raw.iter().zip(&found) {
        output.line(&Line::new(&raw.id, found))?;
    }
    output.finish()?;
    say(totals(&found).trim_end());
    Ok(())
}

impl Raw {
    fn read(mut fields: Map<String, Value>) -> Result<Self, String> {
        let id = jsonl::id(&mut fields)?;
        let source = match fields.remove("source").as_ref().unwrap_or(&id) {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err("`id` or `source` is not a string or number".into()),
        };
        match fields.remove("text") {
            Some(Value::String(text)) => Ok(Self { id, source, text }),
            Some(_) => Err("`text` is not a string; give a generator's output".into()),
            None => Err("`text` is missing; give a generator's output".into()),
        }
    }
}

impl<'a> Line<'a> {
    fn new(id: &'a Value, found: &'a Result<Generated, Reject>) -> Self {
        let Generated { id: name, question, notes } = match found {
            Ok(generated) => generated,
            Err(reject) => {
                return Self::Reject { id, reject: reject.name(), detail: reject.to_string() };
            }
        };
        let (choices, correct, answer) = match question.answer() {
            Answer::Choice { choices, correct } => {
                (Some(&choices[..]), Some(*correct), &choices[*correct][..])
            }
            Answer::Open { reference, .. } => (None, None, &reference[..]),
            // No other kind was asked for.
            _ => (None, None, ""),
        };
        let text = question.text();
        Self::Question { id, question: Shown { id: name, text, choices, correct, answer, notes } }
    }
}

/// How many questions there are, and how many rejects of each name.
fn totals(found: &[Result<Generated, Reject>]) -> String {
    let mut rejects: BTreeMap<&str, usize> = BTreeMap::new();
    for reject in found.iter().filter_map(|found| found.as_ref().err()) {
        *rejects.entry(reject.name()).or_default() += 1;
    }
    let questions = found.len() - rejects.values().sum::<usize>();
    let mut text = format!("{:>9}  questions\n", grouped(questions as u128));
    for (name, count) in rejects {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:>9}  {name}", grouped(count as u128));
    }
    text
}
