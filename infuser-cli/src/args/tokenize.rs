//! `infuser tokenize`.

use std::path::PathBuf;

/// `infuser tokenize`.
#[derive(Debug, clap::Args)]
pub(crate) struct Tokenize {
    /// A model folder, or a `tokenizer.json`.
    #[arg(long, value_name = "DIR_OR_FILE")]
    pub(crate) tokenizer: PathBuf,
    /// One JSON object a line; `-` for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "text", conflicts_with = "text")]
    pub(crate) input: Option<PathBuf>,
    /// One text, in place of an input.
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Where results go; standard output if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Take each text as what a user says, in the folder's chat template.
    #[arg(long, conflicts_with = "decode")]
    pub(crate) chat: bool,
    /// Turn `tokens` into text.
    #[arg(long, conflicts_with = "text")]
    pub(crate) decode: bool,
}
