//! `infuser docs build`.

use std::path::PathBuf;

use super::at_least_one;

/// `infuser docs build`.
#[derive(Debug, clap::Args)]
pub(crate) struct DocsBuild {
    /// Markdown, text, HTML and PDF files, and folders of them.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The pool to write, as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Count tokens with this `tokenizer.json`, or that of this folder; a quarter of the bytes if left
    /// out.
    #[arg(long, value_name = "DIR_OR_FILE")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Drop what is shorter and has no neighbour to join.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) min_tokens: usize,
    /// Divide what is longer.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = at_least_one)]
    pub(crate) max_tokens: usize,
}
