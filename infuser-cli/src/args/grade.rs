//! `infuser grade`.

use std::path::PathBuf;

/// What a line must hold.
pub(crate) const FORM: &str = "\
Input, one object a line:
  id        a string or number
  kind      mcq, math, numeric or text
  gold      the reference, or a list of accepted ones; for mcq a letter or a choice's text
  response  a whole model output; the answer is found in it
  prediction  in its place: an answer that was already taken out
  choices   for mcq: the list of choices' texts or letters; A to J if left out
  digits    for math: significant digits that make a decimal, 5 if left out
Other fields are passed over. Output, one a line, in the order of the input:
  {\"id\": …, \"verdict\": \"correct\"|\"wrong\"|\"unparsable\", \"extracted\": …, \"reason\": …}
`reason` is there for unparsable ones. Totals go to standard error.
Example: {\"id\": 1, \"kind\": \"math\", \"gold\": \"1/2\", \"response\": \"So it is 0.5.\"}";

/// `infuser grade`.
#[derive(Debug, clap::Args)]
pub(crate) struct Grade {
    /// What to grade, one JSON object a line; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where verdicts go; standard output if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
