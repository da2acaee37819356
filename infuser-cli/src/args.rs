//! The command line, exactly as typed.

mod chat;
mod decoding;
mod device;
mod docs;
mod experiment;
mod grade;
mod influence;
mod parse;
mod pretrain;
mod report;
mod sets;
mod tokenize;
mod train;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use chat::Chat;
pub(crate) use decoding::Decoding;
pub(crate) use device::{Choice, OnDevice};
pub(crate) use docs::DocsBuild;
pub(crate) use experiment::Experiment;
pub(crate) use grade::Grade;
pub(crate) use influence::{Advantage, Foresee, Influence, Inputs, Score, Validate};
pub(crate) use parse::{Form, Parse};
pub(crate) use pretrain::{Pretrain, World};
pub(crate) use report::Report;
pub(crate) use sets::{Docs, DocsCheck, Sets, SetsImport, SetsShow};
pub(crate) use tokenize::Tokenize;
pub(crate) use train::{Recipes, Train};

/// Language models that improve themselves: the parts that exist so far.
///
/// Results go to standard output, messages to standard error. Exit codes: 0 done, 1 failed, 2 bad
/// input, 3 stopped and resumable.
#[derive(Debug, Parser)]
#[command(name = "infuser", version, propagate_version = true)]
pub(crate) struct Args {
    /// Worker threads; all processors if left out.
    #[arg(long, global = true, value_name = "N", value_parser = up_to::<1024>)]
    pub(crate) threads: Option<usize>,
    /// Compute on the CPU with vectors alone, as processors without AMX do: other last bits, and slower but
    /// for one sequence at a time.
    #[arg(long, global = true)]
    pub(crate) no_amx: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what a model folder holds, and what it takes to run and to train it.
    #[command(
        after_help = "To run is to generate on a CPU: the weights, and once more those of products, laid out for them.\n\
        Example: infuser inspect models/Qwen3-0.6B --json"
    )]
    Inspect(Inspect),
    /// Compute the log-probability of every token of given sequences.
    #[command(
        after_help = "Input, one object a line:  {\"id\": \"a\", \"text\": \"Once upon a time\"}\n\
        or in place of `text`:     \"tokens\": [1, 403, 407], or \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]\n\
        Output, one a line:        {\"id\": \"a\", \"logprobs\": […], \"entropy\": […], \"sum\": …, \"mean\": …}\n\
        Entry i belongs to tokens[i+1], given tokens[..=i]."
    )]
    Logprobs(Logprobs),
    /// Continue prompts.
    #[command(
        after_help = "Input, one object a line:  {\"id\": \"a\", \"text\": \"Once upon a time\"}\n\
        or in place of `text`:     \"tokens\": [1, 403, 407], or \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]\n\
        Output, one line a sample: {\"id\": \"a\", \"sample\": 0, \"tokens\": […], \"logprobs\": […], \
        \"finish_reason\": \"stop\", \"text\": …}"
    )]
    Generate(Generate),
    /// Talk with a model.
    #[command(after_help = chat::KEYS)]
    Chat(Chat),
    /// Turn text into token ids, or ids into text.
    #[command(
        after_help = "Input, one object a line:  {\"id\": \"a\", \"text\": \"Hello\"}, or \"messages\" in place of `text`\n\
        Output, one a line:        {\"id\": \"a\", \"tokens\": […], \"count\": 1}\n\
        With --decode the input is {\"id\": \"a\", \"tokens\": […]} and the output {\"id\": \"a\", \"text\": …}.\n\
        Names of control tokens in a text are text; only a chat template makes control tokens."
    )]
    Tokenize(Tokenize),
    /// Bring in question sets and say what they hold.
    #[command(subcommand)]
    Sets(Sets),
    /// Work on the documents that questions are written from.
    #[command(subcommand)]
    Docs(Docs),
    /// Grade answers against references.
    #[command(after_help = grade::FORM)]
    Grade(Grade),
    /// Find the questions in what a generator wrote, and say why there is none.
    #[command(after_help = parse::LINES)]
    Parse(Parse),
    /// Score questions by how much a step on each would move the model towards a target.
    #[command(after_help = influence::LINES)]
    Score(Score),
    /// Work on influence scores.
    #[command(subcommand)]
    Influence(Influence),
    /// Train a generator and a solver together.
    #[command(after_help = train::EXAMPLES)]
    Train(Train),
    /// Train a model on texts: supervised fine-tuning, or pretraining of a small one.
    #[command(after_help = pretrain::LINES)]
    Pretrain(Pretrain),
    /// Write the documents and questions of the embedded world to files.
    World(World),
    /// Run recipes with several seeds each, and compare them.
    #[command(after_help = experiment::EXAMPLES)]
    Experiment(Experiment),
    /// Make a page of one run or many.
    #[command(after_help = "Example: infuser report runs/compare --out report.html")]
    Report(Report),
    /// List the recipes of `train`, or print one.
    Recipes(Recipes),
    /// Say what this machine offers, and what is missing for a GPU.
    Doctor(Doctor),
}

/// `infuser inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// A Hugging Face folder, or a `config.json` alone.
    pub(crate) model: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `infuser logprobs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Logprobs {
    /// A Hugging Face folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Sequences, one JSON object a line; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where results go; standard output if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Take each `text` as what a user says, in the model's chat template.
    #[arg(long)]
    pub(crate) chat: bool,
    /// Log-probabilities are those of sampling at this temperature.
    #[arg(long, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) temperature: f32,
    /// Tokens that are computed together; more is faster and takes more memory.
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = at_least_one)]
    pub(crate) batch_tokens: usize,
    /// Where to compute.
    #[command(flatten)]
    pub(crate) on: OnDevice,
}

/// `infuser generate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Generate {
    /// A Hugging Face folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Prompts, one JSON object a line; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where results go; standard output if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Take each `text` as what a user says, in the model's chat template.
    #[arg(long)]
    pub(crate) chat: bool,
    /// New tokens of one sample, at most.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) max_tokens: usize,
    /// Samples for each prompt.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = up_to::<65536>)]
    pub(crate) samples: usize,
    /// Add `raw_logprobs` (as the model gives them, at temperature 1) and `entropy` to each sample.
    #[arg(long)]
    pub(crate) details: bool,
    /// How tokens are drawn.
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    /// Where to compute.
    #[command(flatten)]
    pub(crate) on: OnDevice,
}

/// `infuser doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A share of a whole.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".into()),
    }
}

/// A number that a slip of the finger has not made absurd.
fn up_to<const MOST: usize>(text: &str) -> Result<usize, String> {
    match at_least_one(text)? {
        number if number > MOST => Err(format!("must be at most {MOST}")),
        number => Ok(number),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}
