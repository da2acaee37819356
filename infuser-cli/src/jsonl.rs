//! JSON lines in and out. Everything is read and checked before anything is computed; results for a
//! file are written aside and renamed when the last one is there.

use std::{
    io::{self, BufWriter, Read, Write},
    path::Path,
};

use infuser_data::files;
use infuser_model::ModelConfig;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{encoder::Encoder, failure::Failure};

/// One line of input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sequence {
    /// Whatever the user calls it.
    pub(crate) id: Value,
    pub(crate) tokens: Vec<u32>,
}

/// What a line is called: any JSON but null.
pub(crate) fn id(fields: &mut Map<String, Value>) -> Result<Value, String> {
    let id = fields.remove("id").filter(|id| !id.is_null());
    id.ok_or_else(|| "`id` is missing; give each line a string or number".into())
}

/// Reads lines with an `id` and `tokens`, `text` or `messages`, and checks every token against the
/// model, which is to have so many positions left.
pub(crate) fn read_sequences(
    path: &Path,
    config: &ModelConfig,
    encoder: &Encoder,
    left: usize,
) -> Result<Vec<Sequence>, Failure> {
    read(path, |mut fields| {
        let id = id(&mut fields)?;
        check(Sequence { id, tokens: encoder.tokens(&mut fields)? }, config, left)
    })
}

/// Reads a file (`-` for standard input) of one JSON object a line, each through `parse`, whose
/// complaints are given the place. Blank lines are passed over; no lines at all are an error.
pub(crate) fn read<T>(
    path: &Path,
    parse: impl Fn(Map<String, Value>) -> Result<T, String>,
) -> Result<Vec<T>, Failure> {
    let name =
        if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes =
        bytes.map_err(|error| Failure::bad_input(format!("cannot read {name}: {error}")))?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let mut records = Vec::new();
    for (i, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = |problem| Failure::bad_input(format!("{name}, line {}: {problem}", i + 1));
        records.push(object(line).and_then(&parse).map_err(place)?);
    }
    if records.is_empty() {
        return Err(Failure::bad_input(format!("{name} has no lines to work on")));
    }
    Ok(records)
}

fn object(line: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8 text".to_string())?;
    match serde_json::from_str(text.trim_end()).map_err(|error| files::json_problem(&error))? {
        Value::Object(fields) => Ok(fields),
        _ => Err("expected an object like {\"id\": \"a\", …}".into()),
    }
}

fn check(sequence: Sequence, config: &ModelConfig, left: usize) -> Result<Sequence, String> {
    let Sequence { tokens, .. } = &sequence;
    if tokens.is_empty() {
        return Err("`tokens` is empty; give at least one".into());
    }
    if let Some(token) = tokens.iter().find(|&&token| token as usize >= config.vocab) {
        return Err(format!("token {token} is outside the model's vocabulary of {}", config.vocab));
    }
    if tokens.len() > config.max_positions {
        let (len, most) = (tokens.len(), config.max_positions);
        return Err(format!("{len} tokens are more than the model's {most} positions"));
    }
    if tokens.len() + left > config.max_positions {
        let (len, most) = (tokens.len(), config.max_positions);
        return Err(format!("{len} tokens leave nothing of the model's {most} positions to go on"));
    }
    Ok(sequence)
}

/// Where results go.
pub(crate) enum Output {
    /// Standard output.
    Standard(BufWriter<io::Stdout>),
    /// A file.
    File(files::Writer),
}

impl Output {
    /// Standard output, or a file.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        match path.filter(|path| *path != Path::new("-")) {
            None => Ok(Self::Standard(BufWriter::new(io::stdout()))),
            Some(path) => Ok(Self::File(files::Writer::create(path)?)),
        }
    }

    /// Appends one line.
    pub(crate) fn line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::failed("a result cannot be written as JSON", error))?;
        self.text(&(text + "\n"))
    }

    /// Writes text that is no line of results.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Standard(out) => out.write_all(text.as_bytes()).map_err(standard),
            Self::File(file) => Ok(file.write(text.as_bytes())?),
        }
    }

    /// Makes the results final.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Standard(mut out) => out.flush().map_err(standard),
            Self::File(file) => Ok(file.finish()?),
        }
    }
}

fn standard(cause: io::Error) -> Failure {
    Failure::output("standard output", cause)
}
