//! The graders against the test suites of others and against verdicts on real model outputs, and the
//! table of agreement in `docs/grading.md`.
//!
//! `INFUSER_SHOW=1` prints every disagreement; `INFUSER_BLESS=1` writes the table.

use std::{collections::BTreeMap, fmt::Write as _, fs, io::Read, path::PathBuf};

use infuser_data::answer::{Grade, Submission, Verdict, math, mcq, numeric, text};
use serde_json::Value;

use crate::shared::shared;

/// What a case says about our graders.
enum Outcome {
    Agrees,
    Differs(String),
    /// The case tests something no reward is made of.
    Apart,
}

/// Cases and agreements.
#[derive(Default, Clone, Copy, PartialEq, Debug)]
struct Count {
    cases: usize,
    agree: usize,
    apart: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Apart => self.apart += 1,
            Outcome::Agrees => (self.cases, self.agree) = (self.cases + 1, self.agree + 1),
            Outcome::Differs(_) => self.cases += 1,
        }
    }

    fn share(self) -> f64 {
        self.agree as f64 / self.cases.max(1) as f64
    }
}

fn cases() -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/grading/cases.jsonl");
    let text = fs::read_to_string(path).expect("the fixture");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn real_outputs() -> Option<Vec<Value>> {
    let path = shared("data/graders/real_outputs.jsonl.gz")?;
    let mut text = String::new();
    let file = fs::File::open(path).expect("the file");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    Some(text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        one => vec![plain(one)],
    }
}

fn is_true(expected: &Value) -> bool {
    expected.as_bool().unwrap_or_else(|| expected.as_f64() == Some(1.0))
}

fn right(grade: &Grade) -> bool {
    grade.verdict == Verdict::Correct
}

fn judged(grade: &Grade, expected: bool) -> Outcome {
    if right(grade) == expected { Outcome::Agrees } else { Outcome::Differs(format!("{grade:?}")) }
}

fn read_as(found: Option<&str>, expected: &Value) -> Outcome {
    if found.map(str::trim) == expected.as_str().map(str::trim) {
        Outcome::Agrees
    } else {
        Outcome::Differs(format!("read {found:?}"))
    }
}

fn letters(count: usize) -> Vec<String> {
    (0..count).map(|i| char::from(b'A' + i as u8).to_string()).collect()
}

/// A case of a public suite before our graders.
fn outcome(case: &Value) -> Outcome {
    let (gold, output) = (plain(&case["gold"]), plain(&case["pred"]));
    let (expected, opts) = (&case["expected"], &case["opts"]);
    let response = Submission::Response(&output);
    let prediction = Submission::Prediction(&output);
    match case["kind"].as_str().expect("a kind") {
        "math_extract_equal" => {
            // The suite's own option for how many digits make a decimal.
            let digits = opts["precision"].as_u64().map_or(math::DIGITS, |digits| digits as u32);
            judged(&math::grade_to(response, &gold, digits), is_true(expected))
        }
        "math_equal" => judged(&math::grade(prediction, &gold), is_true(expected)),
        "gsm_number_equal" => judged(&numeric::grade(response, &gold), is_true(expected)),
        "string_match" => judged(&text::grade(response, &gold), is_true(expected)),
        "string_or_number_match" => match opts["location"].as_str() {
            None => judged(&numeric::grade(response, &list(&case["gold"])[0]), is_true(expected)),
            // A reward takes the final answer: not the first number, not any, and units are read.
            Some(_) => Outcome::Apart,
        },
        "mcq_extract" => {
            let choices =
                opts["choices"].as_array().map_or_else(|| letters(26), |_| list(&opts["choices"]));
            read_as(mcq::grade(response, &choices, 0).extracted.as_deref(), expected)
        }
        "mcq_extract_equal" => {
            let correct = mcq::resolve(&letters(4), &gold).expect("a letter");
            judged(&mcq::grade(response, &letters(4), correct), is_true(expected))
        }
        "metric_case" => metric(case),
        "boxed_extract" | "final_extract" => {
            let found = math::grade(response, "0").extracted;
            let boxed = found.filter(|_| {
                output.contains("boxed{") || output.contains("boxed ") || output.contains("Final")
            });
            read_as(boxed.as_deref(), expected)
        }
        // Ours has no normal form as text: it must read both forms as the same.
        "normalize" | "normalize_hybrid" if plain(expected).starts_with("Eq(") => Outcome::Apart,
        "normalize" | "normalize_hybrid" => {
            judged(&math::grade(prediction, &plain(expected)), true)
        }
        // A score between 0 and 1, and the inside of another grader: no reward is made of them.
        "token_f1" | "split_parts" => Outcome::Apart,
        kind => panic!("a new kind of case: {kind}"),
    }
}

/// A case with one or more samples: its score is the mean of the verdicts where one sample is drawn.
fn metric(case: &Value) -> Outcome {
    let (opts, samples) = (&case["opts"], list(&case["pred"]));
    let name = opts["metric"].as_str().expect("a metric");
    if opts["params"]["k"].as_u64().is_some_and(|k| k > 1) {
        // Statistics over several draws; issue with the verdicts are seen in the others.
        return Outcome::Apart;
    }
    let scores = case["expected"].as_object().expect("scores");
    let expected = scores.values().next().and_then(Value::as_f64).expect("a score");
    let gold = plain(&case["gold"]);
    let choices = list(&opts["choices"]);
    let is_right = |sample: &String| match name {
        _ if name.starts_with("gpqa") || name.contains("letters") => {
            let correct = mcq::resolve(&choices, &gold).expect("a choice");
            right(&mcq::grade(Submission::Response(sample), &choices, correct))
        }
        "expr_gold_metric" => right(&text::grade(Submission::Response(sample), &gold)),
        _ => right(&math::grade(Submission::Response(sample), &gold)),
    };
    let found =
        samples.iter().filter(|sample| is_right(sample)).count() as f64 / samples.len() as f64;
    if found == expected {
        Outcome::Agrees
    } else {
        Outcome::Differs(format!("{found}, not {expected}"))
    }
}

/// A real output before our graders; `None` where there is no independent verdict.
fn real(row: &Value) -> Option<Outcome> {
    let (gold, output) = (plain(&row["gold"]), plain(&row["response"]));
    let response = Submission::Response(&output);
    let expected = row["expected"].as_bool().or(row["ref_math_verify"].as_bool())?;
    Some(match row["kind"].as_str().expect("a kind") {
        "math_response" | "math_final_only" => judged(&math::grade(response, &gold), expected),
        "gsm_response" => judged(&numeric::grade(response, &gold), expected),
        "mcq_response" => {
            let choices = letters(row["n_options"].as_u64().expect("a number") as usize);
            let correct = mcq::resolve(&choices, &gold).expect("a letter");
            judged(&mcq::grade(response, &choices, correct), expected)
        }
        kind => panic!("a new kind of output: {kind}"),
    })
}

fn show(row: &Value, outcome: &Outcome) {
    if let Outcome::Differs(how) = outcome
        && std::env::var_os("INFUSER_SHOW").is_some()
    {
        let end = |text: String| {
            text.chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect::<String>()
        };
        let output =
            end(plain(if row["pred"].is_null() { &row["response"] } else { &row["pred"] }));
        println!(
            "{} {} gold {} expected {}: {how}\n  {output:?}",
            row["id"], row["kind"], row["gold"], row["expected"]
        );
    }
}

/// Agreement by kind and repository.
fn counted() -> BTreeMap<(String, String), Count> {
    let mut counts: BTreeMap<_, Count> = BTreeMap::new();
    for case in &cases() {
        let outcome = outcome(case);
        show(case, &outcome);
        let source = plain(&case["source"]).split('@').next().unwrap_or("").to_string();
        counts.entry((plain(&case["kind"]), source)).or_default().add(&outcome);
    }
    counts
}

#[test]
fn public_suites_agree() {
    let counts = counted();
    let mut all = Count::default();
    for count in counts.values() {
        all.cases += count.cases;
        all.agree += count.agree;
    }
    assert!(all.share() >= 0.95, "{all:?} over all kinds that rewards need");
    let math_verify = counts[&("math_extract_equal".into(), "huggingface/Math-Verify".into())];
    assert!(math_verify.share() >= 0.99, "{math_verify:?} on Math-Verify's own suite");
}

fn counted_real() -> Option<BTreeMap<String, Count>> {
    let mut counts: BTreeMap<_, Count> = BTreeMap::new();
    for row in &real_outputs()? {
        if let Some(outcome) = real(row) {
            show(row, &outcome);
            counts.entry(plain(&row["kind"])).or_default().add(&outcome);
        }
    }
    Some(counts)
}

#[test]
fn real_outputs_agree() {
    let Some(counts) = counted_real() else { return };
    for (kind, target) in [("mcq_response", 0.995), ("gsm_response", 1.0), ("math_response", 0.99)]
    {
        let count = counts[kind];
        assert!(count.cases > 200 && count.share() >= target, "{kind}: {count:?}, not {target}");
    }
}

/// The tables that were measured are the tables that are printed.
#[test]
fn the_page_says_what_was_measured() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/grading.md");
    let page = fs::read_to_string(&path).expect("docs/grading.md");
    let mut table =
        "| suite | kind | cases | agree | not for a reward |\n|---|---|---|---|---|\n".to_string();
    for ((kind, source), count) in counted() {
        writeln!(
            table,
            "| {source} | `{kind}` | {} | {} | {} |",
            count.cases, count.agree, count.apart
        )
        .expect("a string");
    }
    let mut page_now = replaced(&page, "suites", &table);
    if let Some(counts) = counted_real() {
        let mut table = "| kind | outputs | agree |\n|---|---|---|\n".to_string();
        for (kind, count) in counts {
            writeln!(table, "| `{kind}` | {} | {} |", count.cases, count.agree).expect("a string");
        }
        page_now = replaced(&page_now, "outputs", &table);
    }
    if std::env::var_os("INFUSER_BLESS").is_some() {
        fs::write(&path, &page_now).expect("docs/grading.md");
        return;
    }
    assert_eq!(page, page_now, "run again with INFUSER_BLESS=1 and read what changed");
}

/// The page with the lines between two marks replaced.
fn replaced(page: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- measured: {name} -->\n"), "<!-- end -->");
    let start = page.find(&open).expect("the mark") + open.len();
    let end = start + page[start..].find(close).expect("its end");
    format!("{}\n{table}\n{}", &page[..start], &page[end..])
}
