//! `infuser grade`.

use std::collections::BTreeMap;

use infuser_data::{
    answer::{self, Reason, Submission, Verdict, math, mcq, numeric},
    question::letter,
};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    args::Grade,
    failure::Failure,
    jsonl::{self, Output},
    report::grouped,
    say::say,
};

/// Letters of a question whose choices are not given: the most that public sets have.
const LETTERS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Mcq,
    Math,
    Numeric,
    Text,
}

impl Kind {
    const ALL: [(&str, Self); 4] = [
        ("mcq", Self::Mcq),
        ("math", Self::Math),
        ("numeric", Self::Numeric),
        ("text", Self::Text),
    ];

    fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// One line of input, checked.
struct Task {
    id: Value,
    kind: Kind,
    golds: Vec<String>,
    text: String,
    /// Whether the text is a whole response.
    whole: bool,
    choices: Vec<String>,
    digits: u32,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a Value,
    verdict: &'static str,
    extracted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

pub(crate) fn run(args: &Grade) -> Result<(), Failure> {
    let tasks = jsonl::read(&args.input, Task::read)?;
    let grades: Vec<answer::Grade> = tasks.par_iter().map(Task::grade).collect();
    let mut output = Output::open(args.output.as_deref())?;
    for (task, grade) in tasks.iter().zip(&grades) {
        output.line(&Line {
            id: &task.id,
            verdict: grade.verdict.name(),
            extracted: grade.extracted.clone(),
            reason: reason(grade.verdict).map(Reason::name),
        })?;
    }
    output.finish()?;
    say(totals(&tasks, &grades).trim_end());
    Ok(())
}

fn reason(verdict: Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Unparsable(reason) => Some(reason),
        Verdict::Correct | Verdict::Wrong => None,
    }
}

impl Task {
    fn read(mut fields: Map<String, Value>) -> Result<Self, String> {
        let id = jsonl::id(&mut fields)?;
        let kind =
            fields.remove("kind").ok_or("`kind` is missing; give mcq, math, numeric or text")?;
        let known = Kind::ALL.iter().find(|(name, _)| kind.as_str() == Some(name));
        let (_, kind) =
            known.ok_or(format!("`kind` is {kind}, expected mcq, math, numeric or text"))?;
        let golds = match fields.remove("gold") {
            None => return Err("`gold` is missing; give the reference answer".into()),
            Some(Value::Array(golds)) if golds.is_empty() => {
                return Err("`gold` is an empty list".into());
            }
            Some(Value::Array(golds)) => {
                golds.into_iter().map(|gold| plain("gold", gold)).collect()
            }
            Some(gold) => plain("gold", gold).map(|gold| vec![gold]),
        }?;
        let (whole, text) = match (fields.remove("response"), fields.remove("prediction")) {
            (Some(response), None) => (true, response),
            (None, Some(prediction)) => (false, prediction),
            (None, None) => return Err("`response` or `prediction` is missing".into()),
            (Some(_), Some(_)) => {
                return Err("`response` and `prediction` are both given; give one".into());
            }
        };
        let text = plain(if whole { "response" } else { "prediction" }, text)?;
        let digits = match fields.remove("digits") {
            None => math::DIGITS,
            Some(digits) => digits
                .as_u64()
                .filter(|digits| (1..=15).contains(digits))
                .ok_or(format!("`digits` is {digits}, expected 1 to 15"))?
                as u32,
        };
        let choices = choices(*kind, fields.remove("choices"), &golds)?;
        Ok(Self { id, kind: *kind, golds, text, whole, choices, digits })
    }

    /// The best of the verdicts against the accepted references.
    fn grade(&self) -> answer::Grade {
        let submission = if self.whole {
            Submission::Response(&self.text)
        } else {
            Submission::Prediction(&self.text)
        };
        let mut grades = self.golds.iter().map(|gold| match self.kind {
            Kind::Mcq => match mcq::resolve(&self.choices, gold) {
                Some(correct) => mcq::grade(submission, &self.choices, correct),
                None => mcq::grade(submission, &self.choices, self.choices.len()),
            },
            Kind::Math => math::grade_to(submission, gold, self.digits),
            Kind::Numeric => numeric::grade(submission, gold),
            Kind::Text => answer::text::grade(submission, gold),
        });
        let none =
            answer::Grade { verdict: Verdict::Unparsable(Reason::NoAnswer), extracted: None };
        let mut best = grades.next().unwrap_or(none);
        for grade in grades {
            if best.verdict == Verdict::Correct {
                break;
            }
            // A reference that was not understood could have been the right one.
            let undecided =
                matches!(grade.verdict, Verdict::Unparsable(_)) && best.verdict == Verdict::Wrong;
            if grade.verdict == Verdict::Correct || undecided {
                best = grade;
            }
        }
        best
    }
}

/// A text, or a number as it is written.
fn plain(field: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("`{field}` is {other}, expected a text")),
    }
}

/// The choices of a multiple-choice line.
fn choices(kind: Kind, given: Option<Value>, golds: &[String]) -> Result<Vec<String>, String> {
    let given = match given {
        None | Some(Value::Null) => {
            let beyond = golds.iter().filter_map(|gold| match gold.trim().as_bytes() {
                [letter] if letter.is_ascii_alphabetic() => {
                    Some(usize::from(letter.to_ascii_uppercase() - b'A') + 1)
                }
                _ => None,
            });
            let count = beyond.max().unwrap_or(0).max(LETTERS);
            return Ok((0..count).map(|i| letter(i).to_string()).collect());
        }
        Some(Value::Array(choices)) => choices,
        Some(other) => return Err(format!("`choices` is {other}, expected a list of texts")),
    };
    if kind != Kind::Mcq {
        return Err("`choices` are given, but `kind` is not mcq".into());
    }
    let choices: Vec<String> =
        given.into_iter().map(|choice| plain("choices", choice)).collect::<Result<_, _>>()?;
    if !(2..=26).contains(&choices.len()) {
        return Err(format!("`choices` are {}, expected 2 to 26", choices.len()));
    }
    Ok(choices)
}

/// Counts by kind and verdict, and of reasons.
fn totals(tasks: &[Task], grades: &[answer::Grade]) -> String {
    let mut counts: BTreeMap<Kind, BTreeMap<&str, u128>> = BTreeMap::new();
    for (task, grade) in tasks.iter().zip(grades) {
        let row = counts.entry(task.kind).or_default();
        *row.entry(grade.verdict.name()).or_default() += 1;
        if let Some(reason) = reason(grade.verdict) {
            *row.entry(reason.name()).or_default() += 1;
        }
    }
    let mut text = String::new();
    for (kind, row) in counts {
        let count = |name| row.get(name).copied().unwrap_or(0);
        let verdicts = [("correct", ", "), ("wrong", ", "), ("unparsable", "")];
        let named =
            verdicts.map(|(name, end)| format!("{} {name}{end}", grouped(count(name)))).concat();
        let others = |name: &&&str| !verdicts.iter().any(|(verdict, _)| verdict == *name);
        let reasons: Vec<_> = row
            .keys()
            .filter(others)
            .map(|name| format!("{name} {}", grouped(count(name))))
            .collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        text += &format!("{}: {named}{reasons}\n", kind.name());
    }
    text
}
