//! What is refused before a run begins, what is told then, and messages that nobody reads.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    errors::assert_refused,
    program::{program, stderr},
};

/// One short iteration.
fn train(out: &Path, sets: &[&str]) -> Command {
    let mut command = program();
    command.arg("train").arg("--out").arg(out);
    let small = [
        "run.iterations=1",
        "evaluation.samples=1",
        "data.dev=embedded:remainder:6",
        "data.test=embedded:remainder:6",
        "data.documents=embedded:12",
        "questions.batch=2",
        "guard.min_answered=0",
    ];
    for set in small.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command
}

/// Standard error that nobody reads: its other end is closed.
fn unheard(mut command: Command) -> std::process::ExitStatus {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stderr(writer).output().unwrap().status
}

#[test]
fn nothing_stops_where_nobody_reads_its_messages() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("answers.jsonl");
    fs::write(&input, r#"{"id": 1, "kind": "math", "gold": "2", "response": "It is 2."}"#).unwrap();
    let mut grade = program();
    grade.args(["grade", "--input"]).arg(&input);
    assert_eq!(unheard(grade).code(), Some(0));
    let mut wrong = program();
    wrong.args(["grade", "--input", "nowhere.jsonl"]);
    assert_eq!(unheard(wrong).code(), Some(2));
    let out = folder.path().join("run");
    assert_eq!(unheard(train(&out, &[])).code(), Some(0));
    assert!(out.join("summary.json").exists());
}

#[test]
fn a_run_that_cannot_begin_leaves_no_folder_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (set, said) in [
        ("data.documents=nofile.jsonl", "nofile.jsonl"),
        ("questions.batch=13", "13"),
        ("data.dev=embedded:remainder:0", "data.dev"),
        ("solver.rollout.max_prompt_tokens=3", "data.dev: 6 of 6 prompts"),
        ("solver.rollout.cache_mib=1", "solver.rollout.cache_mib"),
        ("evaluation.samples=1000000000000", "evaluation.samples"),
    ] {
        let long = ["solver.rollout.max_tokens=100000", "models.variables={}"];
        let more = if set.contains("cache_mib") { &long[..1] } else { &[] };
        let sets = [&[set][..], more].concat();
        assert_refused(&train(&out, &sets).output().unwrap(), &[said]);
        assert!(!out.exists(), "{set}");
        assert_refused(&train(&out, &sets).arg("--dry-run").output().unwrap(), &[said]);
    }
    // And the command as it should have been begins.
    let output = train(&out, &[]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_dry_run_never_trains() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        train(&folder.path().join("run"), &[]).args(["--resume", "--dry-run"]).output().unwrap();
    assert_refused(&output, &["--dry-run"]);
}

/// Questions that are left out are told of before anything is computed; accuracy before training has a
/// line of its own.
#[test]
fn questions_that_are_too_long_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let test = folder.path().join("test.jsonl");
    let question = |id: u32, text: &str| {
        let options = ["1", "2", "3", "4"];
        let item = json!({
            "id": format!("own-{id}"), "set": "own", "split": "test", "type": "mcq", "question": text,
            "options": options, "answer_index": 1, "answer": "B",
        });
        item.to_string() + "\n"
    };
    let long = "1 + 1 = ".repeat(80);
    fs::write(&test, question(1, "1 + 1 = ?") + &question(2, &long)).unwrap();
    let set = format!("data.test={}", test.display());
    let out = folder.path().join("a run");
    let output = train(&out, &[&set]).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let at = |part: &str| lines.iter().position(|line| line.contains(part));
    let left_out = at("data.test: 1 of 2 prompts are longer than 200 tokens").unwrap();
    let before = at("before training  test").unwrap();
    assert!(left_out < before && before < at("iteration 1/1").unwrap(), "{said}");
    // A run that has ended is told of again, with the same figures.
    let summary = || -> Value {
        serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap()
    };
    let first = summary();
    assert!(first["tokens_drawn"].as_u64().unwrap() > 0);
    let resumed = program().args(["train", "--resume", "--out"]).arg(&out).output().unwrap();
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert_eq!(summary(), first);
}
