//! Starting the program and reading what it says.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// A folder of the model crate's fixtures.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infuser-model/fixtures").join(path)
}

/// The program, not yet started.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_infuser"))
}

/// Runs `infuser` with these arguments.
pub(crate) fn infuser<I: AsRef<std::ffi::OsStr>>(arguments: &[I]) -> Output {
    program().args(arguments).output().expect("the program starts")
}

/// A command on a model and an input of these lines, with more arguments.
pub(crate) fn on_lines(command: &str, model: &Path, lines: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("input.jsonl");
    std::fs::write(&input, lines).expect("the input is written");
    let mut arguments = vec![command.into(), "--model".into(), model.as_os_str().to_owned()];
    arguments.extend(["--input".into(), input.into_os_string()]);
    arguments.extend(more.iter().map(Into::into));
    infuser(&arguments)
}

/// The lines of a successful run.
#[track_caller]
pub(crate) fn lines(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The numbers of a JSON list.
#[track_caller]
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}
