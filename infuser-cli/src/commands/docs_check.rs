//! `infuser docs check`.

use std::{fmt::Write as _, io::Write as _};

use infuser_data::{
    files,
    overlap::{self, Overlap, Pool, Report},
    suite,
};
use serde::Serialize;

use crate::{args::DocsCheck, failure::Failure, report::grouped};

/// Items that the table shows.
const SHOWN: usize = 10;
/// Letters of an example that the table shows.
const WIDTH: usize = 60;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    words: usize,
    ngrams: usize,
    shared: usize,
    fraction: f64,
    /// Null if nothing is shared.
    example: Option<&'a str>,
    text: Option<&'a str>,
}

pub(crate) fn run(args: &DocsCheck) -> Result<(), Failure> {
    let suite = suite::read(&args.against)?;
    if suite.items.is_empty() {
        let path = args.against.display();
        return Err(Failure::bad_input(format!("{path} has no items to look for")));
    }
    let report = overlap::check(Pool::open(&args.pool)?, &suite.items, args.ngram)?;
    if report.texts == 0 {
        let path = args.pool.display();
        return Err(Failure::bad_input(format!("{path} has no texts to look in")));
    }
    if let Some(path) = &args.out {
        let mut file = files::Writer::create(path)?;
        for item in &report.items {
            file.line(&Line::new(item))?;
        }
        file.finish()?;
    }
    let written = std::io::stdout().write_all(table(&report, suite.skipped.len()).as_bytes());
    written.map_err(|error| Failure::output("standard output", error))?;
    let part = report.affected().len() as f64 / report.items.len() as f64;
    match args.fail_above {
        Some(limit) if part > limit => Err(Failure::stopped(format!(
            "{:.2} % of the items of {} share text with {}, more than --fail-above {limit}",
            100.0 * part,
            args.against.display(),
            args.pool.display()
        ))),
        _ => Ok(()),
    }
}

impl<'a> Line<'a> {
    fn new(item: &'a Overlap) -> Self {
        let Overlap { words, ngrams, shared, .. } = *item;
        let example = item.example.as_ref();
        Self {
            id: &item.id,
            words,
            ngrams,
            shared,
            fraction: item.fraction(),
            example: example.map(|example| &example.ngram[..]),
            text: example.map(|example| &example.text[..]),
        }
    }
}

fn table(report: &Report, skipped: usize) -> String {
    let affected = report.affected();
    let whole = affected.iter().filter(|item| item.shared == item.ngrams).count();
    let short = affected.iter().filter(|item| item.words < report.n).count();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |count: usize, what: &str| {
        let _ = writeln!(text, "{:>9}  {what}", grouped(count as u128));
    };
    line(report.texts, "texts in the pool");
    line(report.items.len(), "items looked for");
    if skipped > 0 {
        line(skipped, "records of the set skipped, see `infuser sets show`");
    }
    line(affected.len(), &format!("items share {} words in a row", report.n));
    line(whole, "  are there from end to end");
    line(short, &format!("  have fewer than {} words and are there whole", report.n));
    for item in affected.iter().take(SHOWN) {
        let Some(example) = &item.example else { continue };
        let words: String = example.ngram.chars().take(WIDTH).collect();
        let percent = 100.0 * item.fraction();
        let _ = writeln!(text, "{percent:>7.1} %  {} in {}: {words}", item.id, example.text);
    }
    if affected.len() > SHOWN {
        let _ =
            writeln!(text, "           … {} more; --out FILE writes all", affected.len() - SHOWN);
    }
    text
}
