use serde_json::{Value, json};

use crate::program::{infuser, lines, stderr};

/// Runs `infuser grade` on these records.
fn grade(records: &[Value]) -> std::process::Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    std::fs::write(&path, text).unwrap();
    infuser(&["grade", "--input", path.to_str().unwrap()])
}

#[test]
fn every_kind_is_graded_in_order() {
    let choices = ["red", "green"];
    let output = grade(&[
        json!({"id": 1, "kind": "mcq", "gold": "B", "choices": choices, "response": "The answer is (B)."}),
        json!({"id": 2, "kind": "mcq", "gold": "green", "choices": choices, "prediction": "a"}),
        json!({"id": 3, "kind": "mcq", "gold": "J", "response": r"\boxed{J}", "other": 1}),
        json!({"id": "x", "kind": "math", "gold": r"\frac12", "response": r"$\boxed{0.5}$"}),
        json!({"id": 5, "kind": "math", "gold": "0", "prediction": "2003^{2002^{2001}}"}),
        json!({"id": 6, "kind": "math", "gold": "1/3", "digits": 2, "prediction": "0.33"}),
        json!({"id": 7, "kind": "numeric", "gold": 1000, "response": "It costs $1,000.00 in all."}),
        json!({"id": 8, "kind": "text", "gold": ["Rome", "Paris"], "response": "Answer: paris."}),
        json!({"id": 9, "kind": "text", "gold": "Paris", "response": ""}),
        json!({"id": 10, "kind": "mcq", "gold": "blue", "choices": choices, "prediction": "A"}),
    ]);
    let found = lines(&output);
    let line = |id: Value, verdict: &str, extracted: Value| json!({"id": id, "verdict": verdict, "extracted": extracted});
    let unparsable = |id: Value, extracted: Value, reason: &str| json!({"id": id, "verdict": "unparsable", "extracted": extracted, "reason": reason});
    let expected = [
        line(json!(1), "correct", json!("B")),
        line(json!(2), "wrong", json!("A")),
        line(json!(3), "correct", json!("J")),
        line(json!("x"), "correct", json!("0.5")),
        unparsable(json!(5), json!("2003^{2002^{2001}}"), "undecided"),
        line(json!(6), "correct", json!("0.33")),
        line(json!(7), "correct", found[6]["extracted"].clone()),
        line(json!(8), "correct", json!("paris.")),
        unparsable(json!(9), Value::Null, "no_answer"),
        unparsable(json!(10), Value::Null, "unreadable_reference"),
    ];
    assert_eq!(found, expected);
    let totals = "mcq: 2 correct, 1 wrong, 1 unparsable (unreadable_reference 1)\n\
                  math: 2 correct, 0 wrong, 1 unparsable (undecided 1)\n\
                  numeric: 1 correct, 0 wrong, 0 unparsable\n\
                  text: 1 correct, 0 wrong, 1 unparsable (no_answer 1)\n";
    assert_eq!(stderr(&output), totals);
}

#[test]
fn a_bad_line_is_named_and_nothing_is_printed() {
    let good = json!({"id": 1, "kind": "text", "gold": "x", "response": "x"});
    for (field, value, complaint) in [
        ("kind", json!("essay"), "`kind` is \"essay\""),
        ("gold", json!([]), "`gold` is an empty list"),
        ("gold", json!({"a": 1}), "`gold` is {\"a\":1}, expected a text"),
        ("gold", Value::Null, "`gold` is null"),
        ("response", json!(["x"]), "`response` is [\"x\"]"),
        ("prediction", json!("x"), "both given"),
        ("choices", json!(["a", "b"]), "`kind` is not mcq"),
        ("choices", json!("ab"), "`choices` is \"ab\""),
        ("digits", json!(0), "`digits` is 0"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let output = grade(&[good.clone(), bad]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("line 2: ") && said.contains(complaint), "{said}");
        assert!(output.stdout.is_empty() && said.lines().count() == 1, "{said}");
    }
    for missing in ["id", "kind", "gold", "response"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(missing);
        let output = grade(&[bad]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(&format!("`{missing}`")), "{}", stderr(&output));
    }
}
