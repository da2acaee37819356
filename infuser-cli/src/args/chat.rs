//! `infuser chat`.

use std::path::PathBuf;

use super::{Decoding, OnDevice, at_least_one};

/// Shown by `--help`.
pub(crate) const KEYS: &str = "\
/new forgets the conversation, /quit or Ctrl-D leaves, Ctrl-C stops an answer.
A model without a chat template goes on with each line as a text of its own.";

/// `infuser chat`.
#[derive(Debug, clap::Args)]
pub(crate) struct Chat {
    /// A Hugging Face folder with a tokenizer.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// What the model is told before the conversation.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// New tokens of one answer, at most.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = at_least_one)]
    pub(crate) max_tokens: usize,
    /// How tokens are drawn.
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    /// Where to compute.
    #[command(flatten)]
    pub(crate) on: OnDevice,
}
