use std::{collections::BTreeMap, path::PathBuf};

use infuser_data::{
    question::{Answer, Form},
    suite::{self, Labels, Mapping, Suite},
};

use crate::shared::shared;

fn file(name: &str) -> Option<PathBuf> {
    shared(&format!("data/questions/{name}/{name}.jsonl.gz"))
}

/// The row count that the note beside a set states.
fn stated_rows(name: &str) -> Option<usize> {
    let note = std::fs::read_to_string(shared(&format!("data/questions/{name}/SOURCE.txt"))?);
    let note = note.unwrap();
    let rows = note.lines().find_map(|line| line.strip_prefix("rows: ")).expect("a row count");
    Some(rows.split(' ').next().unwrap().parse().unwrap())
}

/// Each class of skips was looked at by eye:
/// - `math`: two answers are null and two empty (the source's solutions have no final box);
/// - `mmlu`: one item of the original has the very same choice twice;
/// - `mmlu_pro`: 17 items have choices that differ only in case: most are genotypes (`Bb bb`, `BB bb`)
///   and formulas (`Tl ⊃ El`, `tL ⊃ eL`), one is careless (`Codes`, `codes`); 5 have a single option;
/// - `supergpqa`: 34 items whose choices differ only in case, about half of them genotypes and
///   formulas, the others careless (`Cylinder`, `cylinder`);
/// - `theoremqa`: 53 questions show a picture;
/// - programs are not asked.
#[test]
fn every_shared_set_loads_whole() {
    let sets = [
        ("bbeh_mini", 460, &[][..]),
        ("gsm8k_test", 1319, &[]),
        ("gsm8k_train", 7473, &[]),
        ("humaneval", 164, &[("code", 164)]),
        ("humanevalplus", 164, &[("code", 164)]),
        ("math500", 500, &[]),
        ("math_train_rllm", 7474, &[("blank_answer", 4)]),
        ("mbpp", 974, &[("code", 974)]),
        ("medqa_us_test", 1273, &[]),
        ("mmlu_dev", 285, &[("duplicate_choices", 1)]),
        ("mmlu_pro_test", 12032, &[("too_few_choices", 5)]),
        ("olympiadbench_oe_maths_en", 675, &[]),
        ("supergpqa_part", 8489, &[]),
        ("theoremqa", 800, &[("picture", 53)]),
    ];
    for (name, rows, skips) in sets {
        let Some(path) = file(name) else { return };
        let suite = suite::read(&path).unwrap();
        assert_eq!(stated_rows(name), Some(rows), "{name}");
        assert_eq!(suite.items.len() + suite.skipped.len(), rows, "{name}");
        assert_eq!(suite.skips(), BTreeMap::from_iter(skips.iter().copied()), "{name}");
    }
}

#[test]
fn what_is_written_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["bbeh_mini", "gsm8k_test", "mmlu_dev", "supergpqa_part", "theoremqa"] {
        let Some(path) = file(name) else { return };
        let items = suite::read(&path).unwrap().items;
        let copy = folder.path().join("copy.jsonl");
        suite::write(&copy, &items).unwrap();
        assert_eq!(suite::read(&copy).unwrap(), Suite { items, skipped: vec![] }, "{name}");
    }
}

/// Answers of another kind than a text, as one public set has them.
#[test]
fn answers_that_are_not_texts() {
    let Some(path) = file("theoremqa") else { return };
    let suite = suite::read(&path).unwrap();
    let mut forms: BTreeMap<String, usize> = BTreeMap::new();
    for item in &suite.items {
        let Answer::Open { reference, form } = item.question.answer() else { panic!("{item:?}") };
        let list = reference.contains(", ");
        assert!(!reference.contains('e') || *form == Form::Text, "no exponents: {reference}");
        let kind = match (list, form) {
            (true, _) => "list",
            (false, Form::Text) => "word",
            (false, Form::Math) if reference.parse::<f64>().is_ok() => "number",
            (false, _) => "other",
        };
        *forms.entry(kind.into()).or_default() += 1;
    }
    let counts: Vec<(&str, usize)> = forms.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
    assert_eq!(counts, [("list", 58), ("number", 561), ("other", 16), ("word", 112)]);
}

/// A set taken from a public layout equals its copy in our form, which others made.
#[test]
fn a_public_layout_gives_what_others_made_of_it() {
    let Some(path) = file("gsm8k_test") else { return };
    let text = infuser_data::files::read_text(&path).unwrap();
    let mut lines = String::new();
    for (_, line) in infuser_data::files::lines(&text) {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let raw = serde_json::json!({"question": row["question"], "answer": row["solution"]});
        lines += &format!("{raw}\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("test.jsonl");
    std::fs::write(&raw, lines).unwrap();
    let labels = Labels { set: None, split: Some("test".into()) };
    let imported = suite::import(&Mapping::find("gsm8k").unwrap(), &[raw], &labels).unwrap();
    let kept = suite::read(&path).unwrap();
    let differing: Vec<_> =
        imported.items.iter().zip(&kept.items).filter(|(a, b)| a != b).take(5).collect();
    assert!(differing.is_empty(), "{differing:#?}");
    assert_eq!(imported, kept);
}
