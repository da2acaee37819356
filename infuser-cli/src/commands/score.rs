//! `infuser score`.

use infuser_influence::{Path, Scorer, Similarity, Target};
use infuser_model::{
    Unwatched,
    optim::{AdamW, OptimizerSettings},
};
use serde::Serialize;
use serde_json::Value;

use crate::{args::Score, failure::Failure, jsonl::Output, questions::Loaded, say::say};

#[derive(Serialize)]
struct Line<'a> {
    id: &'a Value,
    score: f64,
    dot: f64,
    cosine: f64,
    preconditioned_dot: f64,
    preconditioned_cosine: f64,
    gradient_norm: f64,
    gamma_norm: f64,
    path: &'static str,
    origin: &'a Origin,
}

/// What the scores of a run came from, by the first digits of its hash.
#[derive(Serialize)]
struct Origin {
    weights: String,
    /// Null before the first step.
    optimizer: Option<String>,
    target: String,
}

pub(crate) fn run(args: &Score) -> Result<(), Failure> {
    let names = || Similarity::ALL.map(Similarity::name).join(", ");
    let chosen = Similarity::ALL.into_iter().find(|known| known.name() == args.similarity);
    let chosen = chosen.ok_or_else(|| {
        let problem = format!("--similarity `{}` is none of {}", args.similarity, names());
        Failure::bad_input(problem)
    })?;
    let defaults = OptimizerSettings::default();
    let (beta2, epsilon) = (args.inputs.beta2, args.inputs.epsilon);
    let adamw = AdamW { beta2, epsilon, ..defaults.adamw };
    let loaded = Loaded::open(&args.inputs, OptimizerSettings { adamw, ..defaults })?;
    let mut output = Output::open(args.out.as_deref())?;
    let (model, settings) = (&loaded.model, loaded.settings);
    let target = &loaded.target;
    let target = Target::measure(model, &target.list, &target.objective, settings, &Unwatched)?;
    let mut scorer = Scorer::new(model, &target, loaded.state(), settings, &Unwatched)?;
    let questions = &loaded.questions;
    let scores = scorer.score(&questions.list, &questions.objective)?;

    let short = |hash: &dyn std::fmt::Display| hash.to_string()[..16].to_string();
    let origin = Origin {
        weights: short(&scores.target.weights),
        optimizer: scores.optimizer.map(|hash| short(&hash)),
        target: short(&scores.target.data),
    };
    for (id, score) in questions.ids.iter().zip(&scores.questions) {
        let by = |similarity: Similarity| similarity.score(&score.sums, scores.target_norm);
        output.line(&Line {
            id,
            score: by(chosen),
            dot: by(Similarity::Dot),
            cosine: by(Similarity::Cosine),
            preconditioned_dot: by(Similarity::PreconditionedDot),
            preconditioned_cosine: by(Similarity::PreconditionedCosine),
            gradient_norm: score.sums.gradient_sq.sqrt(),
            gamma_norm: score.sums.gamma_sq.sqrt(),
            path: path_name(score.path),
            origin: &origin,
        })?;
    }
    output.finish()?;
    let count =
        |name: &str| scores.questions.iter().filter(|score| path_name(score.path) == name).count();
    let (all, silent, stored) = (scores.questions.len(), count("silent"), count("stored"));
    say(format_args!(
        "{all} questions, {silent} without a gradient; target of norm {:.6}",
        target.norm()
    ));
    if stored > 0 {
        let limit = args.inputs.batch_tokens;
        say(format_args!(
            "{stored} did not fit into {limit} tokens and went through a stored gradient"
        ));
    }
    Ok(())
}

fn path_name(path: Path) -> &'static str {
    match path {
        Path::Silent => "silent",
        Path::Tiles => "tiles",
        Path::Stored { .. } => "stored",
    }
}
