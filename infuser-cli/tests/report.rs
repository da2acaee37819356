use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::program::{program, stderr};

/// A folder as a run leaves it: its settings, test accuracies by iteration, and a summary if it has ended.
fn made(place: &Path, recipe: &str, settings: &str, accuracies: &[f64], ended: bool) -> PathBuf {
    fs::create_dir_all(place).unwrap();
    fs::write(place.join("plan.toml"), format!("# recipe: {recipe}\n{settings}")).unwrap();
    let line = |(iteration, accuracy): (usize, &f64)| {
        let metrics = json!({"test/accuracy_strict": accuracy});
        let line = json!({
            "iteration": iteration, "update": 0, "stage": "evaluation", "secs": 1.0, "at": 0.0, "metrics": metrics
        });
        format!("{line}\n")
    };
    let lines: String = accuracies.iter().enumerate().map(line).collect();
    fs::write(place.join("metrics.jsonl"), lines).unwrap();
    if ended {
        let (before, after) = (accuracies[0], accuracies[accuracies.len() - 1]);
        let summary = json!({
            "test_accuracy_before": before, "test_accuracy_after": after, "seconds": 2.0
        });
        fs::write(place.join("summary.json"), summary.to_string()).unwrap();
    }
    place.to_path_buf()
}

/// What the program says, and the page.
fn report(top: &Path, runs: &[&Path]) -> (String, String) {
    let out = top.join("report.html");
    let output = program().arg("report").args(runs).arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    (said, fs::read_to_string(out).unwrap())
}

/// The cells of the row of a group.
fn row(page: &str, arm: &str) -> Vec<String> {
    let row = page.split("<tr><td>").find(|row| row.starts_with(&format!("{arm}</td>")));
    let row = row.unwrap_or_else(|| panic!("no row {arm}: {page}"));
    let row = row.split("</td></tr>").next().unwrap();
    row.split("</td><td>").map(str::to_string).collect()
}

#[test]
fn runs_of_other_settings_are_a_group_of_their_own() {
    let top = tempfile::tempdir().unwrap();
    let settings = |seed: u64, share: &str| {
        format!(
            "run.seed = {seed}    # --set\nrun.iterations = {}\ndata.documents = \"embedded:9:{share}\"\n",
            seed + 3
        )
    };
    let run = |name: &str, seed, share: &str, end| {
        made(&top.path().join(name), "tiny", &settings(seed, share), &[0.2, end], true)
    };
    let (a, b) = (run("a", 1, "0.3", 0.5), run("b", 2, "0.3", 0.9));
    let (c, d) = (run("c", 1, "0.7", 0.25), run("d", 2, "0.7", 0.25));
    let (said, page) = report(top.path(), &[&a, &b, &c, &d]);
    assert!(said.contains("4 runs of 1 recipe in 2 groups"), "{said}");
    // Seeds and lengths may differ in a group; 0.7 ± 2.54 is cut to what an accuracy can be.
    let first = row(&page, "tiny data.documents=embedded:9:0.3");
    assert_eq!(first[1..4], ["2", "0.200 [0.200, 0.200]", "0.700 [0.000, 1.000]"]);
    let second = row(&page, "tiny data.documents=embedded:9:0.7");
    assert_eq!(second[1..4], ["2", "0.200 [0.200, 0.200]", "0.250 [0.250, 0.250]"]);
    assert!(second[4].starts_with("-0.450 ["), "{second:?}");
    // One folder by two names is one run, and one seed again is no second draw.
    let again = run("again", 1, "0.3", 0.5);
    let winding = top.path().join("b/../a");
    let (said, page) = report(top.path(), &[&a, &winding, &a]);
    assert!(said.contains("1 run of 1 recipe;"), "{said}");
    assert_eq!(row(&page, "tiny")[1..5], ["1", "0.200", "0.500", ""]);
    let (_, page) = report(top.path(), &[&a, &again, &b]);
    assert_eq!(row(&page, "tiny")[1..4], ["3", "0.200 [0.200, 0.200]", "0.700 [0.000, 1.000]"]);
    assert!(page.contains("again is another run of tiny with seed 1"), "{page}");
}

#[test]
fn a_run_that_has_not_ended_is_called_so_and_a_damaged_one_is_refused() {
    let top = tempfile::tempdir().unwrap();
    let place = |name: &str| top.path().join(name);
    let ended = made(&place("ended"), "tiny", "run.seed = 1\n", &[0.25, 0.5], true);
    let open = made(&place("open"), "tiny", "run.seed = 2\n", &[0.25, 0.75], false);
    let (_, page) = report(top.path(), &[&open]);
    assert_eq!(row(&page, "tiny")[1..], ["1", "0.250", "-", "", "-"]);
    assert!(page.contains("open is unfinished"), "{page}");
    let (_, page) = report(top.path(), &[&open, &ended]);
    assert_eq!(row(&page, "tiny")[1..], ["2", "0.250 [0.250, 0.250]", "0.500", "", "2"]);
    assert!(!page.contains("ended is unfinished"), "{page}");

    let pretrained = made(&place("pretrained"), "tiny", "steps = 3\n", &[], false);
    fs::write(pretrained.join("metrics.jsonl"), "{\"step\": 1, \"loss\": 2.0}\n").unwrap();
    let cut = made(&place("cut"), "tiny", "run.seed = 1\n", &[0.25], true);
    fs::write(cut.join("summary.json"), "{\"seed\": ").unwrap();
    let torn = made(&place("torn"), "tiny", "run.seed = \n", &[0.25], true);
    for (run, message) in [
        (pretrained, "pretrained is a run of `infuser pretrain`"),
        (cut, "cut/summary.json: "),
        (torn, "torn/plan.toml, line 2: "),
    ] {
        let mut command = program();
        command.arg("report").args([&ended, &run]).arg("--out").arg(place("none.html"));
        let output = command.output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(message) && text.lines().count() == 1, "{text}");
        assert!(!place("none.html").exists());
    }
}
