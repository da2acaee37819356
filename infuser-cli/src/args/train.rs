//! Arguments of `infuser train`.

use std::path::PathBuf;

use super::OnDevice;

pub(crate) const EXAMPLES: &str = "\
Examples:
  infuser train                                       the default recipe, on what comes with the program
  infuser train --recipe tiny-fixed --set run.seed=2
  infuser train --recipe qwen3-8b --set models.solver=models/Qwen3-8B-Base \\
      --set data.documents=pool.jsonl --set data.dev=dev.jsonl --dry-run
  infuser train --resume --out runs/tiny-001
  infuser train --config run.toml --dry-run --prompts prompts.jsonl

--prompts writes one line a prompt: {\"role\": \"generator\", \"set\": \"documents\", \"id\": \"book/a.md#0\", \
\"tokens\": 512, \"prompt\": \"…\"}, with `messages` in place of `prompt` for a chat model; with completions \
they are data for `infuser pretrain`.

A run that is stopped by Ctrl-C ends with exit code 3; --resume goes on with the same bits. A second Ctrl-C \
stops at once.";

/// `infuser train`.
#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// A recipe by name; `infuser recipes` lists them.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub(crate) recipe: Option<String>,
    /// A file of settings; it may say `extends = "RECIPE"`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting over all others; may be given again.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The folder of the run; a new one under `runs` if left out.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with a run: that of --out, else the newest under `runs` that has not ended.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) resume: bool,
    /// With --resume: go on even if settings have changed.
    #[arg(long, requires = "resume")]
    pub(crate) force: bool,
    /// Print settings, memory and the first prompts, and train nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: write the prompts of all documents and all dev and test questions to this file, as JSON
    /// lines.
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    pub(crate) prompts: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub(crate) on: OnDevice,
}

/// `infuser recipes`.
#[derive(Debug, clap::Args)]
pub(crate) struct Recipes {
    /// Print the settings of one recipe.
    pub(crate) name: Option<String>,
}
