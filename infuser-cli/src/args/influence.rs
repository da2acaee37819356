//! `infuser score` and `infuser influence`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::{OnDevice, at_least_one};

/// What a line of `--target` and `--questions` must hold, and what comes out.
pub(crate) const LINES: &str = "\
Target and questions, one object a line:
  id         a string or number
  text       the prompt; or `tokens`, a list of ids, or `messages` for the chat template
  responses  a list of answers, each with `text` or `tokens`, and:
    reward     how good it was; the advantage follows from the rewards of the line. Without rewards
               every answer is text to be imitated
    logprobs   of its tokens when it was sampled, for importance weights; 1 if left out
Other fields are passed over. The target's loss is that of all its lines together.
Output, one a line, in the order of the questions:
  {\"id\": …, \"score\": …, \"dot\": …, \"cosine\": …, \"preconditioned_dot\": …, \"preconditioned_cosine\": …,
   \"gradient_norm\": …, \"gamma_norm\": …, \"path\": \"tiles\"|\"stored\"|\"silent\", \"origin\": {…}}
Above 0: a step on the question lowers the target's loss. Answers of equal reward give no gradient: the
question is `silent` and scores 0. `origin` names weights, optimizer and target by hash.
Example: {\"id\": 1, \"text\": \"2+2=\", \"responses\": [{\"text\": \"4\", \"reward\": 1}, {\"text\": \"5\", \"reward\": 0}]}";

/// `infuser influence`.
#[derive(Debug, Subcommand)]
pub(crate) enum Influence {
    /// Take the step that each score is about, and see how well the scores foretell what it does.
    #[command(
        after_help = "Input as for `infuser score`. Two steps are tried for each question and \
        learning rate: the preconditioned one that the score is about, and the optimizer's full step with \
        first moment, decay and clipping, compared with the same step without a gradient.\n\
        Example: infuser influence validate --model DIR --optimizer STATE --target dev.jsonl \
        --questions new.jsonl --out report.json --plot report.svg"
    )]
    Validate(Validate),
    /// Ask a run, as it stands at a checkpoint, whether its scores foretell what a step does: questions are
    /// written and answered anew, and one small step is taken on each.
    #[command(
        after_help = "Example: infuser influence foresee --run runs/tiny-001 --at 0 --questions 200 \
        --out foresight.json --plot foresight.svg"
    )]
    Foresee(Foresee),
}

/// `infuser influence foresee`.
#[derive(Debug, clap::Args)]
pub(crate) struct Foresee {
    /// The folder of a run of `infuser train`.
    #[arg(long, value_name = "DIR")]
    pub(crate) run: PathBuf,
    /// After so many iterations: 0, or one of which the run has a checkpoint; its last if left out.
    #[arg(long, value_name = "ITERATION")]
    pub(crate) at: Option<u64>,
    /// Questions, at least.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = at_least_one)]
    pub(crate) questions: usize,
    /// The learning rate of the steps.
    #[arg(long, value_name = "RATE", default_value_t = 1e-5)]
    pub(crate) learning_rate: f64,
    /// Where the questions go, with scores and gains, as one JSON object.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// A scatter of score and gain, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub(crate) on: OnDevice,
}

/// What both commands read.
#[derive(Debug, clap::Args)]
pub(crate) struct Inputs {
    /// A Hugging Face folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// A saved training state: its weights and moments are used. Without it the optimizer is one that
    /// has not stepped, and every parameter's direction counts as its sign.
    #[arg(long, value_name = "STATE")]
    pub(crate) optimizer: Option<PathBuf>,
    /// Questions that the model is to become better at, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) target: PathBuf,
    /// Questions to score, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) questions: PathBuf,
    /// Take each `text` of a prompt as what a user says, in the model's chat template.
    #[arg(long)]
    pub(crate) chat: bool,
    /// How rewards of a line become advantages.
    #[arg(long, value_name = "RULE", value_enum, default_value_t = Advantage::Centred)]
    pub(crate) advantage: Advantage,
    /// Importance weights, where answers have `logprobs`, are cut to this.
    #[arg(long, value_name = "W", default_value_t = 2.0, allow_negative_numbers = true)]
    pub(crate) truncate: f32,
    /// The temperature that answers were sampled at.
    #[arg(long, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) temperature: f32,
    /// AdamW's decay of the mean squared gradient.
    #[arg(long, value_name = "B", default_value_t = 0.999, allow_negative_numbers = true)]
    pub(crate) beta2: f64,
    /// AdamW's epsilon.
    #[arg(long, value_name = "E", default_value_t = 1e-8, allow_negative_numbers = true)]
    pub(crate) epsilon: f64,
    /// Tokens that are computed together; more is faster and takes more memory.
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = at_least_one)]
    pub(crate) batch_tokens: usize,
    /// Where to compute.
    #[command(flatten)]
    pub(crate) on: OnDevice,
}

/// How rewards become advantages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Advantage {
    /// Reward less the mean of the line's.
    Centred,
    /// That, divided by their deviation.
    GroupStd,
}

/// `infuser score`.
#[derive(Debug, clap::Args)]
pub(crate) struct Score {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Where scores go; standard output if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Which comparison is called `score`: dot, cosine, preconditioned_dot or preconditioned_cosine.
    #[arg(long, value_name = "NAME", default_value = "preconditioned_cosine")]
    pub(crate) similarity: String,
}

/// `infuser influence validate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Learning rates to try, separated by commas.
    #[arg(long, value_name = "R,…", value_delimiter = ',', default_values_t = [1e-3, 1e-4, 1e-5],
        allow_negative_numbers = true)]
    pub(crate) learning_rates: Vec<f64>,
    /// AdamW's decay of the mean gradient, for the full step.
    #[arg(long, value_name = "B", default_value_t = 0.9, allow_negative_numbers = true)]
    pub(crate) beta1: f64,
    /// AdamW's decay of weights, for the full step.
    #[arg(long, value_name = "D", default_value_t = 0.01, allow_negative_numbers = true)]
    pub(crate) weight_decay: f64,
    /// Gradients with a larger norm are scaled down to it in the full step; no clipping if left out.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) max_norm: Option<f64>,
    /// Where the report goes, as one JSON object; standard output if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Draw scores against what the steps did.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}
