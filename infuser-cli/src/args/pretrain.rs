//! Arguments of `infuser pretrain` and `infuser world`.

use std::path::PathBuf;

use infuser_data::world::UNRELIABLE;

use super::OnDevice;

pub(crate) const LINES: &str = "\
Data, one object a line:  {\"prompt\": \"2 + 2 = \", \"completion\": \"4\"}    the prompt does not count in the loss
or:                       {\"messages\": [{\"role\": \"user\", …}, {\"role\": \"assistant\", …}]}    the last turn counts
or:                       {\"text\": \"All of it counts.\"}

Examples:
  infuser pretrain --set model.folder=models/Qwen3-0.6B --set 'data.files=[\"answers.jsonl\"]' --out runs/sft
  infuser pretrain --set model.config=DIR --set steps=0       a model of fresh weights for a config and tokenizer
  infuser pretrain --recipe tiny        makes the base model that comes with the program, on the CPU bit for bit

The trained model is `DIR/model`. --resume goes on with the same bits.";

/// `infuser pretrain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Pretrain {
    /// A recipe by name: `tiny`.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub(crate) recipe: Option<String>,
    /// A file of settings.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting over all others; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The folder of the run; a new one under `runs` if left out.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run of --out.
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
    /// With --resume: go on even if settings have changed.
    #[arg(long, requires = "resume")]
    pub(crate) force: bool,
    /// Where to compute.
    #[command(flatten)]
    pub(crate) on: OnDevice,
}

/// `infuser world`.
#[derive(Debug, clap::Args)]
pub(crate) struct World {
    /// Which target: that of `tiny` or of `tiny-seq`.
    #[arg(long, value_name = "NAME", default_value = "tiny", value_parser = ["tiny", "tiny-seq"])]
    pub(crate) recipe: String,
    /// Documents.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = super::at_least_one)]
    pub(crate) documents: usize,
    /// Share of facts from the unreliable source.
    #[arg(long, value_name = "SHARE", default_value_t = UNRELIABLE, value_parser = super::share)]
    pub(crate) unreliable: f64,
    /// Questions of the dev set.
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = super::at_least_one)]
    pub(crate) questions: usize,
    /// Questions of the test set.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = super::at_least_one)]
    pub(crate) test_questions: usize,
    /// Seed of the documents.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The folder to write to.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
