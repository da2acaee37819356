//! Model outputs and what is right, to grade.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Outputs of one source.
#[derive(Debug)]
pub struct Answers {
    /// Where they are from.
    pub name: String,
    /// Mathematics.
    pub math: Vec<Pair>,
    /// Multiple choice.
    pub mcq: Vec<Choice>,
}

/// An output and its reference.
#[derive(Debug)]
pub struct Pair {
    /// What a model said.
    pub output: String,
    /// The reference.
    pub gold: String,
}

/// An output, the choices, and which is right.
#[derive(Debug)]
pub struct Choice {
    /// What a model said.
    pub output: String,
    /// Letters.
    pub choices: Vec<String>,
    /// Index of the right one.
    pub correct: usize,
}

/// The cases of public suites in the data crate's fixtures; `None` if they cannot be read.
pub fn fixtures() -> Option<Answers> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../infuser-data/fixtures/grading/cases.jsonl");
    Some(collect("public suites", &fs::read_to_string(path).ok()?))
}

/// The real outputs of the `shared` folder, if it is there.
pub fn real_outputs() -> Option<Answers> {
    let root = std::env::var_os("INFUSER_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let file = fs::File::open(root.join("data/graders/real_outputs.jsonl.gz")).ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).ok()?;
    Some(collect("real outputs", &text))
}

fn collect(name: &str, text: &str) -> Answers {
    let mut found = Answers { name: name.to_string(), math: Vec::new(), mcq: Vec::new() };
    for row in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let field = |name: &str| row[name].as_str().map(str::to_string);
        let (Some(output), Some(gold)) = (field("response").or(field("pred")), field("gold"))
        else {
            continue;
        };
        match row["kind"].as_str().unwrap_or("") {
            kind if kind.starts_with("math") => found.math.push(Pair { output, gold }),
            "mcq_response" => {
                let count = row["n_options"].as_u64().unwrap_or(4).min(26) as u8;
                let choices: Vec<_> =
                    (0..count).map(|i| char::from(b'A' + i).to_string()).collect();
                let correct = choices.iter().position(|letter| *letter == gold);
                found.mcq.extend(correct.map(|correct| Choice { output, choices, correct }));
            }
            _ => {}
        }
    }
    found
}
