use std::path::Path;

use serde_json::{Value, json};

use crate::program::{infuser, lines, stderr};

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.into_os_string().into_string().unwrap()
}

fn records(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

const METAL: &str = r#"<think>A draft: {"question_text": "?"}</think>
```json
{"question_text": "Which metal is liquid at room temperature?", "difficulty": "hard",
 "choices": ["A) Iron", "B) Mercury", "C) Gold", "D) Tin"], "ground_truth": "B"}
```"#;

#[test]
fn outputs_become_questions_or_rejects() {
    let folder = tempfile::tempdir().unwrap();
    let input = records(&[
        json!({"id": "a", "text": METAL}),
        json!({"id": 2, "text": "I cannot.", "more": 1}),
        json!({"id": 3, "text": METAL.replace("\"B\"", "\"E\"")}),
        json!({"id": 4, "text": "No."}),
        json!({"id": 5, "text": METAL, "source": "a"}),
    ]);
    let input = write(folder.path(), "raw.jsonl", &input);
    let output = infuser(&["parse", "--input", &input]);
    let found = lines(&output);
    assert_eq!(
        found[0],
        json!({"id": "a", "question": {
            "id": found[4]["question"]["id"],
            "text": "Which metal is liquid at room temperature?",
            "choices": ["Iron", "Mercury", "Gold", "Tin"],
            "correct": 1,
            "answer": "Mercury",
            "notes": {"difficulty": "hard"},
        }})
    );
    assert_eq!(found[0]["question"]["id"].as_str().map(str::len), Some(16));
    let none = "no JSON object outside the reasoning";
    assert_eq!(found[1], json!({"id": 2, "reject": "no_json", "detail": none}));
    let other = "the answer \"E\" is not among the choices";
    assert_eq!(found[2], json!({"id": 3, "reject": "answer_not_among_choices", "detail": other}));
    let totals = "        2  questions\n        1  answer_not_among_choices\n        2  no_json\n";
    assert_eq!(stderr(&output), totals);

    let place = folder.path().join("out.jsonl").into_os_string().into_string().unwrap();
    let again = infuser(&["parse", "--input", &input, "--output", &place, "--threads", "1"]);
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(std::fs::read(&place).unwrap(), output.stdout);
}

#[test]
fn a_seed_moves_choices_and_keeps_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let input = write(folder.path(), "raw.jsonl", &records(&[json!({"id": "a", "text": METAL})]));
    let mut orders = std::collections::BTreeSet::new();
    for seed in ["1", "2", "3", "4", "5", "6"] {
        let question =
            &lines(&infuser(&["parse", "--input", &input, "--seed", seed]))[0]["question"];
        let correct = question["correct"].as_u64().unwrap() as usize;
        assert_eq!(
            (&question["choices"][correct], &question["answer"]),
            (&json!("Mercury"), &json!("Mercury"))
        );
        orders.insert(question["choices"].to_string());
    }
    assert!(orders.len() > 2, "{orders:?}");
}

#[test]
fn open_questions_and_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let open = r#"{"question_text": "How much is $\frac{1}{2} + \frac{1}{4}$?", "ground_truth": "\frac{3}{4}"}"#;
    let input = write(folder.path(), "open.jsonl", &records(&[json!({"id": 1, "text": open})]));
    let found = lines(&infuser(&["parse", "--input", &input, "--form", "free"]));
    let question = &found[0]["question"];
    assert_eq!(question["text"], r"How much is $\frac{1}{2} + \frac{1}{4}$?");
    assert_eq!((&question["answer"], question.get("choices")), (&json!(r"\frac{3}{4}"), None));
    let found = lines(&infuser(&["parse", "--input", &input]));
    assert_eq!(found[0]["reject"], "too_few_choices");

    let set = json!({"id": "x", "set": "s", "split": "all", "type": "numeric",
        "question": "which metal is liquid at room temperature", "answer": "1"});
    let set = write(folder.path(), "set.jsonl", &records(&[set]));
    let input = write(folder.path(), "raw.jsonl", &records(&[json!({"id": 1, "text": METAL})]));
    let found = lines(&infuser(&["parse", "--input", &input, "--seeds", &set]));
    assert_eq!(found[0]["reject"], "copies_a_seed");
}

#[test]
fn a_bad_line_is_named_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    for (line, complaint) in [
        ("{\"id\": 1", "not JSON"),
        ("[1]", "expected an object"),
        ("{\"id\": 1}", "`text` is missing"),
        ("{\"id\": 1, \"text\": [1]}", "`text` is not a string"),
        ("{\"text\": \"a\"}", "`id` is missing"),
        ("{\"id\": {}, \"text\": \"a\"}", "`id` or `source` is not a string or number"),
    ] {
        let text = format!("{}\n{line}\n", json!({"id": 0, "text": "a"}));
        let input = write(folder.path(), "raw.jsonl", &text);
        let place = folder.path().join("out.jsonl");
        let output = infuser(&["parse", "--input", &input, "--output", place.to_str().unwrap()]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("line 2: ") && said.contains(complaint), "{said}");
        assert!(!place.exists() && output.stdout.is_empty());
    }
    let missing = infuser(&["parse", "--input", "nowhere.jsonl"]);
    assert_eq!(missing.status.code(), Some(2));
}
