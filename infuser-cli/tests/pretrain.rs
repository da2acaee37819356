//! `infuser pretrain`, `infuser world`, `infuser influence foresee`, `infuser report` and
//! `infuser experiment`, small.

use std::{fs, path::Path, process::Command, thread::sleep, time::Duration};

use serde_json::Value;

use crate::program::{program, stderr};

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A short course of the recipe.
fn pretrain(out: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.args(["pretrain", "--recipe", "tiny", "--out"]).arg(out);
    for set in ["steps=30", "batch=8", "log_every=5", "checkpoint.every=10"] {
        command.args(["--set", set]);
    }
    command.args(more);
    command
}

fn losses(out: &Path) -> Vec<f64> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let loss = |line: &str| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap();
    text.lines().map(loss).collect()
}

#[test]
fn a_course_repeats_to_the_bit_also_when_it_was_killed_and_on_any_threads() {
    let top = tempfile::tempdir().unwrap();
    let (whole, killed) = (top.path().join("whole"), top.path().join("killed"));
    done(&mut pretrain(&whole, &["--threads", "1"]));
    let mut child = pretrain(&killed, &["--threads", "3"]).spawn().unwrap();
    while !killed.join("checkpoints/000010").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    done(program().args(["pretrain", "--resume", "--out"]).arg(&killed));
    let weights = |out: &Path| fs::read(out.join("model/model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&killed));
    let losses_whole = losses(&whole);
    assert_eq!((losses_whole.len(), &losses_whole), (6, &losses(&killed)));
    assert!(losses_whole[5] < losses_whole[0], "{losses_whole:?}");
    let other = pretrain(&killed, &["--resume", "--set", "batch=9"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("batch: 8 -> 9"), "{}", stderr(&other));
}

#[test]
#[cfg(unix)]
fn an_interrupted_course_loses_no_step() {
    let top = tempfile::tempdir().unwrap();
    let (whole, stopped) = (top.path().join("whole"), top.path().join("stopped"));
    let no_checkpoints = ["--set", "checkpoint.every=1000", "--set", "steps=60"];
    done(&mut pretrain(&whole, &no_checkpoints));
    let mut child =
        pretrain(&stopped, &no_checkpoints).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !fs::read(stopped.join("metrics.jsonl")).is_ok_and(|lines| !lines.is_empty()) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        sleep(Duration::from_millis(5));
    }
    done(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("infuser pretrain --resume"), "{}", stderr(&output));
    let text = fs::read_to_string(stopped.join("metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let step = last["step"].as_u64().unwrap();
    assert!((5..60).contains(&step), "{text}");
    assert!(stopped.join(format!("checkpoints/{step:06}/train.state")).exists(), "{step}");
    done(program().args(["pretrain", "--resume", "--out"]).arg(&stopped));
    let weights = |out: &Path| fs::read(out.join("model/model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&stopped));
    let text = fs::read_to_string(stopped.join("metrics.jsonl")).unwrap();
    let steps = |line: &str| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap();
    assert!(text.lines().map(steps).is_sorted_by(|a, b| a < b), "{text}");
}

#[test]
fn files_of_every_form_are_learned_from() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("lines.jsonl");
    let lines = [
        r#"{"prompt": "47 mod 5 = ?\nA: 2\nB: 9\nC: 4\nD: 1\nThink: ", "completion": "47 / 5 = 9; 9 * 5 = 45; 47 - 45 = 2 => 2\\boxed{A}"}"#,
        r#"{"text": "Worksheet:\n[key] 47 mod 5 = 2"}"#,
        r#"{"messages": [{"role": "user", "content": "reverse 47 = ?"}, {"role": "assistant", "content": "74"}]}"#,
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let out = top.path().join("out");
    let files = format!("data.files=[{:?}]", file.to_str().unwrap());
    let course = |out: &Path, files: &str| {
        let mut command = program();
        command.args(["pretrain", "--set", "model.folder=embedded:tiny", "--set", files]);
        command.args(["--set", "steps=30", "--set", "batch=3", "--set", "log_every=10"]);
        command.args(["--set", "optimizer.learning_rate=1e-3", "--out"]).arg(out);
        command
    };
    done(&mut course(&out, &files));
    let losses = losses(&out);
    assert!(losses[2] < 0.7 * losses[0], "{losses:?}");
    for (text, message) in [
        ("{\"prompt\": \"a\"}", "line 1: expected `prompt` and `completion`"),
        ("{\"text\": 3}", "line 1: `text` is 3, expected a text"),
        ("[]", "line 1: expected an object"),
        ("", "holds nothing to learn from"),
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}",
            "the last message is not the assistant's",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let output = course(&top.path().join("bad"), &files).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}: {}", stderr(&output));
        assert!(stderr(&output).contains(message), "{text}: {}", stderr(&output));
        let _ = fs::remove_dir_all(top.path().join("bad"));
    }
    let missing =
        program().args(["pretrain", "--out"]).arg(top.path().join("none")).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("model.config"), "{}", stderr(&missing));
}

/// The world's files give the run that the world in memory gives.
#[test]
fn the_world_as_files_trains_like_the_world_in_memory() {
    let top = tempfile::tempdir().unwrap();
    let world = top.path().join("world");
    let mut command = program();
    command.args(["world", "--documents", "30", "--questions", "10", "--test-questions", "8"]);
    command.args(["--unreliable", "0.7"]);
    done(command.arg("--out").arg(&world));
    let small = |out: &Path, sets: [String; 3]| {
        let mut command = program();
        command.arg("train").arg("--out").arg(out);
        let own = ["run.iterations=1", "questions.batch=3", "evaluation.samples=1"];
        for set in own.into_iter().map(String::from).chain(sets) {
            command.args(["--set", &set]);
        }
        done(&mut command);
        fs::read(out.join("checkpoints/000001/solver.state")).unwrap()
    };
    let place = |name: &str| world.join(name).display().to_string();
    let files = small(
        &top.path().join("files"),
        [
            format!("data.documents={}", place("documents.jsonl")),
            format!("data.dev={}", place("dev.jsonl")),
            format!("data.test={}", place("test.jsonl")),
        ],
    );
    let memory = small(
        &top.path().join("memory"),
        [
            "data.documents=embedded:30:0.7".into(),
            "data.dev=embedded:remainder:10".into(),
            "data.test=embedded:remainder:8".into(),
        ],
    );
    assert!(files == memory);
}

/// One line says why, before any run and without a folder.
#[test]
fn an_experiment_that_cannot_run_is_refused() {
    let top = tempfile::tempdir().unwrap();
    let (out, file) = (top.path().join("compare"), top.path().join("file"));
    fs::write(&file, "").unwrap();
    let below = file.join("compare");
    for (arms, set, out, message) in [
        ("tiny,tiny-fixed", "run.seed=7", &out, "--seeds"),
        ("tiny,tiny-fixed", "run={ seed = 7 }", &out, "--seeds"),
        ("tiny", "run.bogus=1", &out, "tiny: `run.bogus` (--set): there is no such key"),
        ("tiny", "run.seed", &out, "expected section.key=value"),
        ("tiny", "questions.batch=0", &out, "tiny: questions.batch"),
        ("tiny,qwen3-8b", "run.iterations=1", &out, "qwen3-8b: models.solver is missing"),
        ("tiny", "data.documents=nowhere.jsonl", &out, "nowhere.jsonl"),
        ("tiny,tiny-fixed,tiny", "run.iterations=1", &out, "--arms names tiny twice"),
        ("tiny,tini", "run.iterations=1", &out, "there is no recipe tini"),
        ("tiny", "run.iterations=1", &file, "cannot make"),
        ("tiny", "run.iterations=1", &below, "cannot make"),
    ] {
        let mut command = program();
        command.args(["experiment", "--arms", arms, "--seeds", "1..2", "--set", set, "--out"]);
        let output = command.arg(out).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arms} {set}: {text}");
        assert!(text.contains(message) && text.lines().count() == 1, "{arms} {set}: {text}");
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1, "{arms} {set}");
    }
}

#[test]
fn runs_are_compared_reported_and_asked_for_foresight() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("compare");
    let experiment = || {
        let mut command = program();
        command.args(["experiment", "--arms", "tiny,tiny-fixed", "--seeds", "1..2", "--jobs", "2"]);
        for set in [
            "run.iterations=2",
            "questions.batch=3",
            "evaluation.samples=1",
            "evaluation.every=1",
            "data.dev=embedded:remainder:12",
            "data.test=embedded:remainder:20",
        ] {
            command.args(["--set", set]);
        }
        command.arg("--out").arg(&out);
        command
    };
    let page = done(&mut experiment());
    assert!(page.contains("tiny-fixed") && page.contains('['), "{page}");
    let table = json(&out.join("table.json"));
    assert_eq!(table[1]["after"].as_array().unwrap().len(), 2);
    let stamp = |seed| {
        let path = out.join(format!("tiny/seed-{seed}/summary.json"));
        fs::metadata(path).unwrap().modified().unwrap()
    };
    let before = stamp(1);
    // What was interrupted is run again, what is complete is not.
    fs::remove_dir_all(out.join("tiny/seed-2")).unwrap();
    assert_eq!(done(&mut experiment()).lines().count(), page.lines().count());
    assert_eq!(stamp(1), before);
    // Other settings give no table of the old runs.
    for set in ["run.iterations=3", "run={ iterations = 3 }"] {
        let other = experiment().args(["--set", set]).output().unwrap();
        assert_eq!(other.status.code(), Some(2), "{}", stderr(&other));
        let message = stderr(&other);
        assert!(other.stdout.is_empty() && message.lines().count() == 1, "{message}");
        assert!(message.contains("tiny/seed-1 was begun with other settings"), "{message}");
        assert!(message.contains("run.iterations: 2 -> 3"), "{message}");
    }

    let report = top.path().join("report.html");
    let mut command = program();
    let charts = top.path().join("charts");
    // A run under way belongs to its recipe too.
    fs::remove_file(out.join("tiny-fixed/seed-2/summary.json")).unwrap();
    command.arg("report").arg(&out).arg("--out").arg(&report).arg("--charts").arg(&charts);
    assert!(done(&mut command).contains("4 runs of 2 recipes"), "all below the folder are found");
    // As `OUT/*` names them; a file alone is refused.
    let mut command = program();
    command.arg("report").args(["tiny", "table.json"].map(|name| out.join(name)));
    let one = done(command.arg("--out").arg(top.path().join("one.html")));
    assert!(one.contains("2 runs of 1 recipe;"), "{one}");
    let refused = program().arg("report").arg(out.join("table.json")).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("holds no run: give a folder"), "{}", stderr(&refused));
    let svg = fs::read_to_string(charts.join("test-accuracy_strict.svg")).unwrap();
    assert!(svg.contains("tiny-fixed"), "a chart is a file of its own");
    let html = fs::read_to_string(&report).unwrap();
    for part in ["Test accuracy", "tiny-fixed", "Highest influence", "<svg", "Seconds by stage"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("http://") || !html.contains("src="), "it needs nothing else");

    let foresight = top.path().join("foresight.json");
    let plot = top.path().join("foresight.svg");
    let mut command = program();
    command.args(["influence", "foresee", "--questions", "12", "--at", "0", "--run"]);
    command.arg(out.join("tiny/seed-1")).arg("--out").arg(&foresight).arg("--plot").arg(&plot);
    let page = done(&mut command);
    assert!(page.contains("preconditioned_cosine"), "{page}");
    let found = json(&foresight);
    assert!(found["questions"].as_array().unwrap().len() >= 12);
    // A small step does what the preconditioned inner product says.
    assert!(found["spearman"][2].as_f64().unwrap() > 0.95, "{}", found["spearman"]);
    assert!(fs::read_to_string(&plot).unwrap().contains("<svg"));
    let missing = program()
        .args(["influence", "foresee", "--at", "7", "--out", "x", "--run"])
        .arg(out.join("tiny/seed-1"))
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("no checkpoint of iteration 7"), "{}", stderr(&missing));
}
