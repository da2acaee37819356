//! `infuser`: parse the command line, run one command, turn its outcome into an exit code.

#![warn(clippy::print_stderr)]

mod args;
mod assets;
mod chart;
mod commands;
mod device;
mod display;
mod encoder;
mod examples;
mod failure;
mod forecast;
mod jsonl;
mod plan;
mod plot;
mod questions;
mod recipes;
mod report;
mod run;
mod say;
mod setup;
mod statistics;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, Docs, Influence};
use failure::Failure;
use infuser_kernels::ops::matmul;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    if args.no_amx {
        matmul::without_tiles();
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.unwrap_or(0)).build();
    let pool = pool.map_err(|error| Failure::failed("cannot start worker threads", error))?;
    pool.install(|| match &args.command {
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Logprobs(args) => commands::logprobs::run(args),
        Command::Generate(args) => commands::generate::run(args),
        Command::Chat(args) => commands::chat::run(args),
        Command::Tokenize(args) => commands::tokenize::run(args),
        Command::Sets(command) => commands::sets::run(command),
        Command::Docs(Docs::Build(args)) => commands::docs::build(args),
        Command::Docs(Docs::Check(args)) => commands::docs_check::run(args),
        Command::Grade(args) => commands::grade::run(args),
        Command::Parse(args) => commands::parse::run(args),
        Command::Score(args) => commands::score::run(args),
        Command::Influence(Influence::Validate(args)) => commands::validate::run(args),
        Command::Train(args) => commands::train::run(args),
        Command::Influence(Influence::Foresee(args)) => commands::foresee::run(args),
        Command::Report(args) => commands::report::run(args),
        Command::Pretrain(args) => commands::pretrain::run(args),
        Command::World(args) => commands::world::run(args),
        Command::Experiment(args) => commands::experiment::run(args),
        Command::Recipes(args) => commands::recipes::run(args),
        Command::Doctor(args) => commands::doctor::run(args),
    })
}
