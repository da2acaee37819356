use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{fixture, infuser, lines, numbers, stderr};

fn question(id: u64, prompt: &[u32], answers: &[(&[u32], f64)]) -> Value {
    let responses: Vec<Value> = answers
        .iter()
        .map(|(tokens, reward)| json!({"tokens": tokens, "reward": reward}))
        .collect();
    json!({"id": id, "tokens": prompt, "responses": responses})
}

fn text(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn target() -> Vec<Value> {
    vec![
        question(0, &[1, 2, 3], &[(&[4, 5], 1.0), (&[6], 0.0)]),
        question(1, &[9], &[(&[7, 8, 9], 0.25), (&[3], 1.0), (&[2, 2], 0.0)]),
    ]
}

/// Runs a command on these files; what it writes goes beside them.
fn run(command: &[&str], target: &str, questions: &str, more: &[&str]) -> (Output, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    fs::write(place("target.jsonl"), target).unwrap();
    fs::write(place("questions.jsonl"), questions).unwrap();
    let model = fixture("models/qwen3_tied").to_str().unwrap().to_string();
    let mut arguments: Vec<String> = command.iter().map(|part| part.to_string()).collect();
    for (name, value) in [
        ("--model", model),
        ("--target", place("target.jsonl")),
        ("--questions", place("questions.jsonl")),
    ] {
        arguments.extend([name.to_string(), value]);
    }
    arguments.extend(more.iter().map(|part| part.replace("HERE", folder.path().to_str().unwrap())));
    (infuser(&arguments), folder)
}

#[test]
fn questions_are_scored_in_order() {
    let mut questions = target();
    let mirrored = question(2, &[1, 2, 3], &[(&[4, 5], 0.0), (&[6], 1.0)]);
    let equal = question(3, &[1], &[(&[4], 1.0), (&[5], 1.0)]);
    let imitated = json!({"id": "x", "tokens": [1, 2], "responses": [{"tokens": [3, 4]}]});
    questions.extend([mirrored, equal, imitated]);
    let (output, _folder) = run(&["score"], &text(&target()), &text(&questions), &[]);
    let got = lines(&output);
    let ids: Vec<&Value> = got.iter().map(|line| &line["id"]).collect();
    assert_eq!(json!(ids), json!([0, 1, 2, 3, "x"]));
    let score = |line: usize, name: &str| got[line][name].as_f64().unwrap();
    for name in ["score", "dot", "cosine", "preconditioned_dot", "preconditioned_cosine"] {
        // The first question with its rewards exchanged has the opposite gradient.
        assert!(score(0, name) > 0.0 && score(1, name) > 0.0, "{name}: {got:?}");
        assert!((score(0, name) + score(2, name)).abs() <= 1e-4 * score(0, name).abs(), "{name}");
        assert_eq!(score(3, name), 0.0);
    }
    assert_eq!(got[0]["score"], got[0]["preconditioned_cosine"]);
    let paths: Vec<&Value> = got.iter().map(|line| &line["path"]).collect();
    assert_eq!(json!(paths), json!(["tiles", "tiles", "tiles", "silent", "tiles"]));
    assert_eq!(got[0]["origin"]["optimizer"], Value::Null);
    assert!(stderr(&output).contains("5 questions, 1 without a gradient"), "{}", stderr(&output));

    // The same through a stored gradient, under another name.
    let more = ["--batch-tokens", "4", "--similarity", "dot", "--out", "HERE/scores.jsonl"];
    let (output, folder) = run(&["score"], &text(&target()), &text(&questions), &more);
    assert!(stderr(&output).contains("went through a stored gradient"), "{}", stderr(&output));
    let written = fs::read_to_string(folder.path().join("scores.jsonl")).unwrap();
    for (line, want) in written.lines().zip(&got) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["score"], line["dot"]);
        for name in ["cosine", "preconditioned_cosine"] {
            let gap = line[name].as_f64().unwrap() - want[name].as_f64().unwrap();
            assert!(gap.abs() < 1e-4, "{name}: {line}, {want}");
        }
    }
}

#[test]
fn a_validation_is_a_report_and_a_drawing() {
    let mut questions = target();
    questions.push(question(2, &[1, 5], &[(&[4, 5], 0.0), (&[6, 1], 1.0)]));
    let more =
        ["--learning-rates", "1e-4,1e-6", "--out", "HERE/report.json", "--plot", "HERE/plot.svg"];
    let (output, folder) =
        run(&["influence", "validate"], &text(&target()), &text(&questions), &more);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = fs::read(folder.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let trials = report["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 4);
    assert_eq!(
        (&trials[1]["step"], &trials[1]["learning_rate"]),
        (&json!("preconditioned"), &json!(1e-6))
    );
    let slope = trials[1]["agreement"]["preconditioned_dot"]["slope"].as_f64().unwrap();
    assert!((slope - 1.0).abs() < 0.05, "{slope}");
    let decreases = numbers(&report["questions"][0]["decreases"]);
    assert_eq!(decreases.len(), 4);
    assert!(decreases[1] > 0.0 && decreases[1] < decreases[0], "{decreases:?}");
    let plot = fs::read_to_string(folder.path().join("plot.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>"));
    // A dot for each of three questions in each of eight panels.
    assert_eq!(plot.matches("<circle").count(), 24);
    assert!(stderr(&output).contains("preconditioned_dot"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn bad_lines_and_settings_are_named() {
    let good = text(&target());
    let line = |responses: Value| {
        format!("{good}\n{}", json!({"id": 7, "tokens": [1], "responses": responses}))
    };
    let cases = [
        (format!("{good}{{\"id\": 7, \"tokens\": [1]}}"), "`responses` is missing"),
        (line(json!([])), "`responses` is empty"),
        (line(json!([1])), "response 0: expected an object"),
        (line(json!([{"tokens": []}])), "response 0: it has no tokens"),
        (line(json!([{"tokens": [1]}, {"text": 5}])), "response 1: `text` is 5"),
        (line(json!([{"tokens": [1]}, {"text": "a"}])), "needs a tokenizer"),
        (line(json!([{"tokens": [1], "text": "a"}])), "not both"),
        (line(json!([{"reward": 1}])), "one of `text` and `tokens` is missing"),
        (line(json!([{"tokens": [1], "reward": "a"}])), "`reward` is \"a\""),
        (line(json!([{"tokens": [1], "reward": 1}, {"tokens": [1]}])), "1 of 2 responses have"),
        (line(json!([{"tokens": [1, 2], "logprobs": [0.1]}])), "1 weights for 2 tokens"),
        (line(json!([{"tokens": [1], "logprobs": ["a"]}])), "`logprobs` holds \"a\""),
        (line(json!([{"tokens": [5000]}])), "outside the model's vocabulary"),
    ];
    for (questions, problem) in &cases {
        for (target, asked) in [(&good, questions), (questions, &good)] {
            let (output, _folder) = run(&["score"], target, asked, &[]);
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{problem}: {text}");
            assert!(text.contains(problem) && text.contains("line "), "{problem}: {text}");
            assert!(output.stdout.is_empty());
        }
    }
    let settings: [(&[&str], &str); 7] = [
        (&["--similarity", "euclid"], "none of dot, cosine"),
        (&["--temperature", "0"], "--temperature 0"),
        (&["--truncate", "-1"], "--truncate -1"),
        (&["--beta2", "1"], "--beta2 1"),
        (&["--epsilon", "0"], "--epsilon 0"),
        (&["--optimizer", "nowhere"], "nowhere"),
        (&["--advantage", "best"], "best"),
    ];
    for (more, problem) in settings {
        let (output, _folder) = run(&["score"], &good, &good, more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(stderr(&output).contains(problem), "{more:?}: {}", stderr(&output));
    }
    for more in [["--learning-rates", "0"], ["--learning-rates", "x"], ["--max-norm", "0"]] {
        let (output, _folder) = run(&["influence", "validate"], &good, &good, &more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
    }
}

#[test]
fn a_target_without_direction_is_bad_input() {
    let equal = text(&[question(0, &[1], &[(&[2], 1.0), (&[3], 1.0)])]);
    let (output, folder) =
        run(&["score"], &equal, &text(&target()), &["--out", "HERE/scores.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no direction"), "{}", stderr(&output));
    assert!(!Path::new(&folder.path().join("scores.jsonl")).exists());
}
