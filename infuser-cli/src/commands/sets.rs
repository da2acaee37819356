//! `infuser sets`.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, path::Path};

use infuser_data::{
    files,
    suite::{self, Labels, Mapping, Skipped, Suite},
};
use serde::Serialize;

use crate::{
    args::{Sets, SetsImport, SetsShow},
    failure::Failure,
    report::grouped,
};

/// Skipped records that are named one by one for each reason.
const NAMED: usize = 3;
/// Subjects that a table shows.
const SUBJECTS: usize = 20;

pub(crate) fn run(command: &Sets) -> Result<(), Failure> {
    match command {
        Sets::Import(args) => import(args),
        Sets::Show(args) => show(args),
    }
}

fn import(args: &SetsImport) -> Result<(), Failure> {
    let mapping = Mapping::find(&args.layout)?;
    let labels = Labels { set: args.set_name.clone(), split: args.split.clone() };
    let suite = suite::import(&mapping, &args.input, &labels)?;
    if let Some(path) = &args.skipped {
        write_skipped(path, &suite.skipped)?;
    }
    let summary = Summary::new(&suite);
    if suite.items.is_empty() {
        return Err(Failure::bad_input(format!(
            "nothing to import with the layout {}: {}",
            args.layout,
            summary.commonest()
        )));
    }
    suite::write(&args.out, &suite.items)?;
    print(&format!("{}written to {}\n", summary.table(), args.out.display()))
}

fn show(args: &SetsShow) -> Result<(), Failure> {
    let summary = Summary::new(&suite::read(&args.file)?);
    if summary.items + summary.skipped == 0 {
        return Err(Failure::bad_input(format!("{} has no records", args.file.display())));
    }
    if !args.json {
        return print(&summary.table());
    }
    let text = serde_json::to_string(&summary)
        .map_err(|error| Failure::failed("the counts cannot be written as JSON", error))?;
    print(&format!("{text}\n"))
}

fn print(text: &str) -> Result<(), Failure> {
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|error| Failure::output("standard output", error))
}

fn write_skipped(path: &Path, skipped: &[Skipped]) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        id: &'a str,
        why: &'static str,
    }
    let mut file = files::Writer::create(path)?;
    for skipped in skipped {
        file.line(&Line { id: &skipped.id, why: skipped.why.name() })?;
    }
    Ok(file.finish()?)
}

/// What a suite holds, in numbers.
#[derive(Serialize)]
struct Summary {
    items: usize,
    skipped: usize,
    /// `SET/SPLIT` and how many items it has.
    parts: BTreeMap<String, usize>,
    types: BTreeMap<&'static str, usize>,
    /// Items without a subject are not counted.
    subjects: BTreeMap<String, usize>,
    reasons: BTreeMap<&'static str, Reason>,
}

#[derive(Serialize, Default)]
struct Reason {
    count: usize,
    /// What the name of the reason means.
    meaning: String,
    /// The first ids.
    first: Vec<String>,
}

impl Summary {
    fn new(suite: &Suite) -> Self {
        let mut summary = Self {
            items: suite.items.len(),
            skipped: suite.skipped.len(),
            parts: BTreeMap::new(),
            types: BTreeMap::new(),
            subjects: BTreeMap::new(),
            reasons: BTreeMap::new(),
        };
        for item in &suite.items {
            *summary.parts.entry(format!("{}/{}", item.set, item.split)).or_default() += 1;
            *summary.types.entry(item.kind()).or_default() += 1;
            if let Some(subject) = &item.subject {
                *summary.subjects.entry(subject.clone()).or_default() += 1;
            }
        }
        for skipped in &suite.skipped {
            let reason = summary.reasons.entry(skipped.why.name()).or_default();
            reason.count += 1;
            if reason.count == 1 {
                reason.meaning = skipped.why.to_string();
            }
            if reason.first.len() < NAMED {
                reason.first.push(skipped.id.clone());
            }
        }
        summary
    }

    /// Why nothing came in.
    fn commonest(&self) -> String {
        let reason = self.reasons.values().max_by_key(|reason| reason.count);
        reason.map_or("the files hold no record".into(), |Reason { count, meaning, first }| {
            let (count, all) = (grouped(*count as u128), grouped(self.skipped as u128));
            format!("{count} of {all} records: {meaning}, as {}", first.join(", "))
        })
    }

    fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let mut line = |count: usize, what: &str| {
            let _ = writeln!(text, "{:>9}  {what}", grouped(count as u128));
        };
        line(self.items, "items");
        for (name, count) in &self.parts {
            line(*count, &format!("  of {name}"));
        }
        for (name, count) in &self.types {
            line(*count, &format!("  of type {name}"));
        }
        let mut subjects: Vec<_> = self.subjects.iter().collect();
        subjects.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (name, count) in subjects.iter().take(SUBJECTS) {
            line(**count, &format!("  on {name}"));
        }
        if let Some(rest) = subjects.get(SUBJECTS..).filter(|rest| !rest.is_empty()) {
            let count = rest.iter().map(|(_, count)| **count).sum();
            line(count, &format!("  on {} more subjects", rest.len()));
        }
        line(self.skipped, "skipped");
        for reason in self.reasons.values() {
            let more = if reason.count > reason.first.len() { ", …" } else { "" };
            let first = reason.first.join(", ");
            line(reason.count, &format!("  {}: {first}{more}", reason.meaning));
        }
        text
    }
}
