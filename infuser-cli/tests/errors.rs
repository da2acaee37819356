use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::program::{fixture, infuser, lines, on_lines, program, stderr};

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

/// Every command that writes a file the user names, on a place where none can be.
#[test]
fn an_output_that_cannot_be_written_is_refused_alike() {
    let top = tempfile::tempdir().unwrap();
    let place = |name: &str| top.path().join(name).into_os_string().into_string().unwrap();
    let (model, page) = (fixture("models/qwen2"), place("page.md"));
    let model = model.to_str().unwrap();
    let run = place("run");
    std::fs::create_dir(&run).unwrap();
    for (name, text) in [
        ("page.md", "# Title\n\nA text of some words that is long enough to be one document.\n"),
        ("line.jsonl", "{\"id\": 1, \"tokens\": [1, 2]}\n"),
        ("raw.jsonl", "{\"question\": \"Two?\", \"answer\": \"#### 2\"}\n"),
        ("run/metrics.jsonl", ""),
    ] {
        std::fs::write(place(name), text).unwrap();
    }
    std::fs::create_dir(place("folder")).unwrap();
    let (line, raw) = (place("line.jsonl"), place("raw.jsonl"));
    let names = || {
        let entries = std::fs::read_dir(top.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let commands: [&[&str]; 6] = [
        &["logprobs", "--model", model, "--input", &line, "--output"],
        &["generate", "--model", model, "--input", &line, "--max-tokens", "1", "--output"],
        &["docs", "build", &page, "--min-tokens", "1", "--out"],
        &["sets", "import", "--layout", "gsm8k", "--input", &raw, "--out"],
        &["report", &run, "--out"],
        &["influence", "foresee", "--run", &run, "--out"],
    ];
    let below = place("page.md/out");
    for command in commands {
        for out in [&place("folder"), &below] {
            let output = infuser(&[command, &[out]].concat());
            assert_refused(&output, &[out.as_str()]);
            let text = stderr(&output);
            assert_eq!(text.lines().count(), 1, "{command:?}: {text}");
            assert_eq!(names(), before, "{command:?} {out}");
        }
    }
    let output = infuser(&["world", "--documents", "3", "--out", &below]);
    assert_refused(&output, &[below.as_str()]);
    assert_eq!(stderr(&output).lines().count(), 1);
    // Where results cannot go to standard output, `-` is not made a file.
    for command in &commands[2..] {
        let output = program().args(*command).arg("-").current_dir(top.path()).output().unwrap();
        assert_refused(&output, &["cannot write -", "name one"]);
        assert_eq!(stderr(&output).lines().count(), 1, "{command:?}");
        assert_eq!(names(), before, "{command:?}");
    }
}

#[test]
#[cfg(unix)]
fn links_and_pipes_stay_what_they_are() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let top = tempfile::tempdir().unwrap();
    let place = |name: &str| top.path().join(name);
    let line = r#"{"id": 1, "tokens": [1, 2]}"#;
    let written = |out: &Path| {
        let more = ["--output", out.to_str().unwrap()];
        on_lines("logprobs", &fixture("models/qwen2"), line, &more)
    };
    std::fs::create_dir(place("data")).unwrap();
    // To a file, to one that is not there yet, and over another link.
    std::fs::write(place("data/old"), "old").unwrap();
    for (target, name) in [("data/old", "first"), ("data/new", "second"), ("second", "third")] {
        symlink(target, place(name)).unwrap();
        let output = written(&place(name));
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        assert!(place(name).symlink_metadata().unwrap().is_symlink(), "{name}");
        let text = std::fs::read_to_string(place(name)).unwrap();
        assert!(text.starts_with("{\"id\":1"), "{name}: {text}");
    }
    assert_eq!(std::fs::read_dir(place("data")).unwrap().count(), 2);
    symlink("turn", place("turn")).unwrap();
    assert_refused(&written(&place("turn")), &["cannot write", "turn"]);

    let pipe = place("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    let output = written(&pipe);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(pipe.metadata().unwrap().file_type().is_fifo());
    assert!(reader.join().unwrap().starts_with("{\"id\":1"));
    // A link to a device, so that a fault would cost the link alone.
    symlink("/dev/null", place("null")).unwrap();
    assert!(written(&place("null")).status.success());
    assert!(place("null").metadata().unwrap().file_type().is_char_device());
}
