//! Conversations, as a program that is not looked at by anybody.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::program::{fixture, stderr};

fn chat(model: &Path, input: &str, more: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_infuser"))
        .args(["chat", "--threads", "1", "--model"])
        .arg(model)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses to start does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn a_story_is_continued_and_each_line_is_its_own() {
    let input = "Once upon a time\n\n/nonsense\nOnce upon a time\n";
    let output = chat(&fixture("stories260k"), input, &["--max-tokens", "12"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let told = ", there was a little girl named Lily. She";
    let first = text.find(told).unwrap_or_else(|| panic!("{text}"));
    assert!(text[first + told.len()..].contains(told), "{text}");
    let notes = stderr(&output);
    assert!(notes.contains("no chat template") && notes.contains("/nonsense is no command"));
}

#[test]
fn what_chat_cannot_do_is_said() {
    let output = chat(&fixture("models/qwen3_tied"), "Hi\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("has no tokenizer.json, which chat needs"));
    // A prompt that is too long ends the line, not the program.
    let long = format!("{}\nOnce upon a time\n", "word ".repeat(2000));
    let output = chat(&fixture("stories260k"), &long, &["--max-tokens", "4"]);
    assert!(output.status.success());
    assert!(stderr(&output).contains("/new starts a new conversation"), "{}", stderr(&output));
    assert!(String::from_utf8(output.stdout).unwrap().contains(", there was a"));
}
