use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::program::{fixture, infuser, lines, on_lines, stderr};

/// Asserts exit code 2 and one `error:` line that says all of this.
#[track_caller]
pub(crate) fn assert_refused(output: &std::process::Output, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty(), "nothing half-done is printed");
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn bad_lines_are_named() {
    let cases: [(&[u8], &str); 12] = [
        (b"not json", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1, 2]", "expected an object"),
        (b"{\"tokens\": [1]}", "`id` is missing"),
        (b"{\"id\": 1}", "and `tokens` (a list of token ids) is missing"),
        (b"{\"id\": 1, \"text\": \"hi\"}", "give `tokens`"),
        (b"{\"id\": 1, \"tokens\": 5}", "not a list"),
        (b"{\"id\": 1, \"tokens\": []}", "is empty"),
        (b"{\"id\": 1, \"tokens\": [1.5]}", "holds 1.5"),
        (b"{\"id\": 1, \"tokens\": [-1]}", "holds -1"),
        (b"{\"id\": 1, \"tokens\": [96]}", "vocabulary of 96"),
        (b"{\"id\": 1, \"tokens\": [99999999999999999999]}", "token ids"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.jsonl");
    for (line, problem) in cases {
        let mut bytes = b"{\"id\": 0, \"tokens\": [1, 2]}\n\n".to_vec();
        bytes.extend(line);
        std::fs::write(&input, bytes).unwrap();
        for command in [&["logprobs"][..], &["generate", "--max-tokens", "2"]] {
            let mut arguments: Vec<_> = command.iter().map(|a| a.into()).collect();
            arguments.extend(["--model".into(), fixture("models/qwen2").into_os_string()]);
            arguments.extend(["--input".into(), input.clone().into_os_string()]);
            assert_refused(&infuser(&arguments), &["input.jsonl, line 3", problem]);
        }
    }
    for (line, problem) in [
        ("{\"id\": 1, \"tokens\": ", "line 1: not JSON: EOF while parsing a value at column 19"),
        ("{\"id\": null, \"tokens\": [1]}", "line 1: `id` is missing"),
    ] {
        let output = on_lines("logprobs", &fixture("models/qwen2"), &format!("{line}\r\n"), &[]);
        assert_refused(&output, &[problem]);
    }
    // A mark of the byte order is no part of the first line.
    let marked = on_lines(
        "logprobs",
        &fixture("models/qwen2"),
        "\u{feff}{\"id\": 1, \"tokens\": [1]}\n",
        &[],
    );
    assert_eq!(lines(&marked)[0]["id"], 1);
    // All positions: there is something to score, and no place for a token more.
    let full = format!("{{\"id\": 1, \"tokens\": {:?}}}", vec![1; 128]);
    assert_eq!(lines(&on_lines("logprobs", &fixture("models/qwen2"), &full, &[])).len(), 1);
    let output = on_lines("generate", &fixture("models/qwen2"), &full, &["--max-tokens", "1"]);
    assert_refused(&output, &["input.jsonl, line 1: 128 tokens leave nothing", "128 positions"]);
    let long = format!("{{\"id\": 1, \"tokens\": {:?}}}", vec![1; 200]);
    let output = on_lines("logprobs", &fixture("models/qwen2"), &long, &[]);
    assert_refused(&output, &["line 1", "128 positions"]);
    let output = on_lines("logprobs", &fixture("models/qwen2"), "\n\n", &[]);
    assert_refused(&output, &["no lines"]);
}

/// On a machine with a GPU and its libraries it is no error, and there is nothing to see.
#[test]
fn a_device_that_is_not_there_is_named() {
    let doctor = infuser(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    if report["devices"].as_array().unwrap().iter().any(|device| device == "cuda") {
        println!("skipped: there is a GPU");
        return;
    }
    let (line, model) = (r#"{"id": 1, "tokens": [1, 2]}"#, fixture("models/qwen2"));
    for command in ["logprobs", "generate"] {
        let more: &[&str] = if command == "generate" { &["--max-tokens", "1"] } else { &[] };
        let output = on_lines(command, &model, line, &[more, &["--device", "cuda"]].concat());
        assert_refused(&output, &["--device cuda", "there is no NVIDIA driver", "install"]);
        // One line, and with `auto` or nothing said, the processor without a word.
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        let [silent, auto, cpu] = [&[][..], &["--device", "auto"], &["--device", "cpu"]]
            .map(|device| on_lines(command, &model, line, &[more, device].concat()));
        assert_eq!((stderr(&auto), stderr(&silent)), (String::new(), String::new()));
        assert_eq!((&auto.stdout, &silent.stdout), (&cpu.stdout, &cpu.stdout));
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").into_os_string();
    for command in
        [&["train"][..], &["pretrain", "--recipe", "tiny"], &["experiment", "--arms", "tiny"]]
    {
        let mut arguments: Vec<std::ffi::OsString> = command.iter().map(Into::into).collect();
        arguments.extend(["--device".into(), "cuda".into(), "--out".into(), out.clone()]);
        assert_refused(&infuser(&arguments), &["--device cuda", "there is no NVIDIA driver"]);
        assert!(!Path::new(&out).exists(), "a refused command leaves no folder behind");
    }
    assert_refused(
        &on_lines("logprobs", &model, line, &["--device", "tpu"]),
        &["'tpu'", "auto, cpu, cuda"],
    );
}

#[test]
fn bad_settings_are_named() {
    let line = r#"{"id": 1, "tokens": [1]}"#;
    let cases: [(&str, &[&str], &str); 12] = [
        ("logprobs", &["--temperature", "0"], "--temperature"),
        ("logprobs", &["--temperature", "NaN"], "--temperature"),
        ("logprobs", &["--batch-tokens", "0"], "at least 1"),
        ("generate", &[], "--max-tokens"),
        ("generate", &["--max-tokens", "0"], "at least 1"),
        ("generate", &["--max-tokens", "1", "--temperature", "-1"], "temperature"),
        ("generate", &["--max-tokens", "1", "--top-p", "1.5"], "top-p"),
        ("generate", &["--max-tokens", "1", "--top-k", "0"], "top-k"),
        ("generate", &["--max-tokens", "1", "--min-p", "2"], "min-p"),
        ("generate", &["--max-tokens", "1", "--repetition-penalty", "-1"], "repetition penalty"),
        ("generate", &["--max-tokens", "1", "--stop", ""], "stop string"),
        ("generate", &["--max-tokens", "1", "-n", "0"], "at least 1"),
    ];
    for (command, more, problem) in cases {
        let output = on_lines(command, &fixture("models/qwen2"), line, more);
        assert_refused(&output, &[problem]);
    }
    for arguments in [&["nonsense"][..], &["inspect", "x", "--nonsense"], &[]] {
        assert_eq!(infuser(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn missing_and_broken_models_are_named() {
    let line = r#"{"id": 1, "tokens": [1]}"#;
    assert_refused(&on_lines("logprobs", Path::new("nowhere"), line, &[]), &["nowhere"]);
    assert_refused(&infuser(&["inspect", "nowhere"]), &["nowhere"]);
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read(fixture("models/qwen2/config.json")).unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let inspect = || infuser(&["inspect".as_ref(), folder.path().as_os_str()]);
    assert_refused(&inspect(), &["no model.safetensors"]);
    let mut weights = std::fs::read(fixture("models/qwen2/model.safetensors")).unwrap();
    let cut = &weights[..weights.len() - 7];
    std::fs::write(folder.path().join("model.safetensors"), cut).unwrap();
    assert_refused(&inspect(), &["model.safetensors", "cut off"]);
    let len = weights.len();
    weights[len - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    let output = inspect();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("NaN") && stderr(&output).contains("tensor `"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("BROKEN"));
    assert_refused(&on_lines("logprobs", folder.path(), line, &[]), &["NaN", "tensor `"]);
}

#[test]
fn a_failed_run_leaves_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.jsonl");
    let line = r#"{"id": 1, "tokens": [1, 2000]}"#;
    let more = ["--output", out.to_str().unwrap()];
    assert_refused(&on_lines("logprobs", &fixture("models/qwen2"), line, &more), &["2000"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let nowhere = folder.path().join("missing/out.jsonl");
    let more = ["--output", nowhere.to_str().unwrap()];
    let line = r#"{"id": 1, "tokens": [1, 2]}"#;
    let output = on_lines("logprobs", &fixture("models/qwen2"), line, &more);
    assert_refused(&output, &["cannot write", "missing"]);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_infuser"))
        .args(["doctor", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty());
}
