//! `infuser train` on what comes with the program, small.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::program::{program, stderr};

/// Settings that make an iteration short.
const SMALL: [&str; 9] = [
    "run.iterations=4",
    "checkpoint.every=2",
    "evaluation.every=3",
    "evaluation.samples=1",
    "data.dev=embedded:remainder:12",
    "data.test=embedded:remainder:20",
    "data.documents=embedded:40",
    "questions.batch=4",
    "influence.momentum=0.5",
];

fn train(out: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.arg("train").arg("--out").arg(out);
    for set in SMALL {
        command.args(["--set", set]);
    }
    command.args(more);
    command
}

fn done(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Final weights and moments of both roles, and every metric but times.
fn outcome(out: &Path) -> (Vec<Vec<u8>>, Vec<Value>) {
    let checkpoint = out.join("checkpoints/000004");
    let files = ["solver.state", "generator.state", "target.safetensors", "state.json"];
    let bytes = files.map(|name| fs::read(checkpoint.join(name)).unwrap()).into();
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let untimed = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let fields = line.as_object_mut().unwrap();
        fields.remove("secs").unwrap();
        fields.remove("at").unwrap();
        line
    };
    (bytes, text.lines().map(untimed).collect())
}

fn partial_files(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        path.extension().is_some_and(|extension| extension == "partial")
            || (path.is_dir() && partial_files(&path))
    })
}

/// Kills after a while, or (`in_write`) as soon as something is half written after that.
fn kill(mut child: Child, out: &Path, after: Duration, in_write: bool) {
    let start = Instant::now();
    while start.elapsed() < after && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(2));
    }
    while in_write && child.try_wait().unwrap().is_none() && !partial_files(out) {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn begun(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_run_that_is_killed_twenty_times_ends_with_the_bits_of_one_that_was_not() {
    let top = tempfile::tempdir().unwrap();
    let whole = top.path().join("whole");
    let start = Instant::now();
    done(train(&whole, &[]));
    let took = start.elapsed();
    let expected = outcome(&whole);
    let mut kills = 0;
    for run in 0.. {
        let out = top.path().join(format!("killed-{run}"));
        let mut moment = run * 7 + 3;
        let mut command = train(&out, &[]);
        for _ in 0..5 {
            // Spread over what a run takes; resumed runs are shorter, so some end first.
            let after = took * (moment % 19 + 1) / 24;
            kill(begun(command), &out, after, moment % 2 == 0);
            kills += 1;
            moment += 5;
            if !out.join("plan.toml").exists() {
                command = train(&out, &[]);
                continue;
            }
            command = program();
            command.args(["train", "--resume", "--out"]).arg(&out);
        }
        done(command);
        let (bytes, metrics) = outcome(&out);
        assert!(bytes == expected.0, "run {run}: the final state differs");
        assert!(metrics == expected.1, "run {run}: the metrics differ");
        if kills >= 20 {
            break;
        }
    }
}

#[test]
fn the_summary_says_what_the_table_says() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("run");
    let output = train(&out, &["--set", "run.iterations=1"]).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
    for key in ["test_accuracy_before", "test_accuracy_after"] {
        let value = format!("{:.3}", summary[key].as_f64().unwrap());
        assert!(page.contains(&value), "{key} {value}: {page}");
    }
    assert_eq!((&summary["iterations"], &summary["recipe"]), (&1.into(), &"tiny".into()));
    assert_eq!(summary["seed"], 1);
    let stages = summary["seconds_by_stage"].as_object().unwrap();
    let sum: f64 = stages.values().map(|secs| secs.as_f64().unwrap()).sum();
    assert!((sum - summary["seconds"].as_f64().unwrap()).abs() < 1e-6);
    assert!(page.contains("run folder"));
    let files: Vec<PathBuf> =
        fs::read_dir(out.join("tensorboard")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
}

#[test]
fn other_settings_are_refused_with_a_list_of_what_differs() {
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("run");
    done(train(&out, &["--set", "run.iterations=1"]));
    let resume = |more: &[&str]| {
        let mut command = program();
        command.args(["train", "--resume", "--out"]).arg(&out).args(more);
        command.output().unwrap()
    };
    let refused = resume(&["--set", "solver.update.learning_rate=0.5"]);
    assert_eq!(refused.status.code(), Some(2));
    let message = stderr(&refused);
    assert!(message.contains("solver.update.learning_rate: 0.00045 -> 0.5"), "{message}");
    let forced = resume(&["--set", "run.iterations=2", "--force"]);
    assert!(forced.status.success(), "{}", stderr(&forced));
    let summary = fs::read_to_string(out.join("summary.json")).unwrap();
    assert!(summary.contains("\"recipe\": \"tiny\""), "{summary}");
    // What was drawn under other settings is not learned from.
    let drawn = |out: &Path| fs::read(out.join("iterations/0003/answers-0.jsonl")).unwrap();
    let longer = resume(&["--set", "run.iterations=3", "--force"]);
    assert!(longer.status.success(), "{}", stderr(&longer));
    let before = drawn(&out);
    fs::remove_dir_all(out.join("checkpoints/000003")).unwrap();
    let other = resume(&["--set", "solver.rollout.temperature=1.0", "--force"]);
    assert!(other.status.success(), "{}", stderr(&other));
    assert!(drawn(&out) != before);
    let again = train(&out, &[]).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("--resume"), "{}", stderr(&again));
}

#[test]
fn bad_settings_are_named() {
    for (set, message) in [
        ("run.seeed=1", "did you mean `run.seed`"),
        ("run.iterations=0", "run.iterations is 0"),
        ("data.dev=embedded:chess:3", "data.dev is embedded:chess:3"),
        ("data.dev=embedded:remainder:5000", "not 5000"),
        ("models.solver=embedded:big", "embedded:tiny"),
        ("data.documents=nowhere.jsonl", "nowhere.jsonl"),
        ("data.documents=embedded:30:1.5", "an unreliable share from 0 to 1"),
        ("run.mode=dev_onlyy", "did you mean `dev_only`"),
    ] {
        let top = tempfile::tempdir().unwrap();
        let output = train(&top.path().join("run"), &["--set", set]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{set}: {}", stderr(&output));
        assert!(stderr(&output).contains(message), "{set}: {}", stderr(&output));
    }
    let output = program().args(["train", "--recipe", "tinny"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean tiny"), "{}", stderr(&output));
}

#[test]
fn a_place_that_cannot_be_written_loses_nothing() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("file");
    fs::write(&file, "here before").unwrap();
    let output = train(&file.join("run"), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("file/run"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "here before");
    // In the middle of a run: where an iteration's folder should be stands a file.
    let out = top.path().join("run");
    done(train(&out, &["--set", "run.iterations=2"]));
    let before = fs::read(out.join("checkpoints/000002/solver.state")).unwrap();
    let plan = fs::read_to_string(out.join("plan.toml")).unwrap();
    fs::write(out.join("plan.toml"), plan.replace("run.iterations = 2", "run.iterations = 3"))
        .unwrap();
    fs::write(out.join("iterations/0003"), "in the way").unwrap();
    let mut command = program();
    command.args(["train", "--resume", "--out"]).arg(&out);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("iterations/0003"), "{}", stderr(&output));
    assert_eq!(fs::read(out.join("checkpoints/000002/solver.state")).unwrap(), before);
}

/// A child whose files cannot grow over some kilobytes: writing more fails, as on a disk that is full.
#[cfg(target_os = "linux")]
fn cramped(command: &Command, kilobytes: usize) -> std::process::Output {
    let mut words = vec![command.get_program().to_owned()];
    words.extend(command.get_args().map(ToOwned::to_owned));
    let mut shell = Command::new("sh");
    // The signal that comes with it is ignored, so that the write itself fails.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 2 * kilobytes);
    shell.args(["-c", &script, "sh"]).args(words);
    shell.output().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_stops_the_run_and_what_was_there_stays() {
    let top = tempfile::tempdir().unwrap();
    let whole = top.path().join("whole");
    done(train(&whole, &[]));
    // A checkpoint's state does not fit: the first one is not made, and half of it does not look like one.
    let out = top.path().join("run");
    let output = cramped(&train(&out, &[]), 2000);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write") && said.contains("solver.state"), "{said}");
    assert!(said.contains("go on with: infuser train --resume --out"), "{said}");
    assert_eq!(said.matches("File too large").count(), 1, "told once: {said}");
    assert!(!out.join("checkpoints/000002").exists());
    // With room again it goes on from the stages that were done, to the same end.
    let mut command = program();
    command.args(["train", "--resume", "--out"]).arg(&out);
    done(command);
    assert!(outcome(&out) == outcome(&whole));
    assert!(!partial_files(&out), "what was half written is gone");
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_code_3_and_the_run_goes_on_later() {
    let top = tempfile::tempdir().unwrap();
    let (whole, out) = (top.path().join("whole"), top.path().join("run"));
    done(train(&whole, &[]));
    let mut codes = Vec::new();
    // At several moments, from one in the first iteration on.
    for stage in
        ["iterations/0001/dev.jsonl", "iterations/0001/scores-0.jsonl", "iterations/0003/dev.jsonl"]
    {
        let mut command = program();
        command.args(["train", "--resume", "--out"]).arg(&out);
        let mut command = if out.join("plan.toml").exists() { command } else { train(&out, &[]) };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() && !out.join(stage).exists() {
            sleep(Duration::from_millis(1));
        }
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let said = stderr(&output);
        assert!(said.contains("Ctrl-C again stops at once"), "{said}");
        assert!(said.contains("go on with: infuser train --resume --out"), "{said}");
        codes.push(output.status.code());
    }
    assert_eq!(codes, [Some(3); 3]);
    let mut command = program();
    command.args(["train", "--resume", "--out"]).arg(&out);
    done(command);
    assert!(outcome(&out) == outcome(&whole));
}

#[test]
fn a_dry_run_shows_the_plan_and_trains_nothing() {
    let top = tempfile::tempdir().unwrap();
    let mut command = program();
    command.current_dir(&top).args(["train", "--dry-run", "--set", "run.seed=9"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let page = String::from_utf8(output.stdout).unwrap();
    for part in ["run.seed = 9", "# --set", "# recipe tiny", "# memory", "Worksheet:", "Think:"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(fs::read_dir(&top).unwrap().count(), 0);
}

#[test]
fn every_recipe_resolves() {
    let list = program().arg("recipes").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().count() >= 20);
    for line in list.lines() {
        let (name, summary) = line.split_once(' ').unwrap();
        assert!(summary.trim().len() > 20, "{line}");
        let output = program().args(["train", "--dry-run", "--recipe", name]).output().unwrap();
        if name.starts_with("tiny") {
            assert!(output.status.success(), "{name}: {}", stderr(&output));
        } else {
            assert_eq!(output.status.code(), Some(2), "{name}");
            let message = stderr(&output);
            assert!(message.contains("models.solver is missing"), "{name}: {message}");
        }
    }
}
