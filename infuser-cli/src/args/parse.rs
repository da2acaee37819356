//! `infuser parse`.

use std::path::PathBuf;

use clap::ValueEnum;

/// What a line must hold, and what comes out.
pub(crate) const LINES: &str = "\
Input, one object a line:
  id      a string or number
  text    a generator's whole output, reasoning included
  source  the document's name, which the question's id depends on; the line's id if left out
Other fields are passed over. Output, one a line, in the order of the input:
  {\"id\": …, \"question\": {\"id\": \"…\", \"text\": \"…\", \"choices\": […], \"correct\": 2, \"answer\": \"…\", \"notes\": {…}}}
  {\"id\": …, \"reject\": \"no_json\", \"detail\": \"…\"}
`correct` counts from 0; open questions have neither it nor `choices`. Totals go to standard error.
Example: infuser parse --input raw.jsonl --seed 7 --output questions.jsonl";

/// `infuser parse`.
#[derive(Debug, clap::Args)]
pub(crate) struct Parse {
    /// Outputs, one JSON object a line; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where questions and rejects go; standard output if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The kind of question that was asked for.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Mcq)]
    pub(crate) form: Form,
    /// Shuffle choices, by this seed and the question's text; left in order if left out.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// A question set, in our form, that must not be repeated.
    #[arg(long, value_name = "SET.jsonl")]
    pub(crate) seeds: Option<PathBuf>,
}

/// The kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Several choices.
    Mcq,
    /// A mathematical expression as the answer.
    Free,
}
