//! `infuser influence validate`.

use infuser_influence::{Agreement, Plan, Report, Similarity, Step, validate};
use infuser_model::{
    Unwatched,
    optim::{AdamW, OptimizerSettings},
};
use serde_json::{Map, Value, json};

use crate::{args::Validate, failure::Failure, jsonl::Output, plot, questions::Loaded, say::say};

pub(crate) fn run(args: &Validate) -> Result<(), Failure> {
    if args.max_norm.is_some_and(|norm| norm.is_nan() || norm <= 0.0) {
        return Err(Failure::bad_input("--max-norm must be above 0"));
    }
    let defaults = OptimizerSettings::default();
    let adamw = AdamW {
        beta1: args.beta1,
        beta2: args.inputs.beta2,
        epsilon: args.inputs.epsilon,
        weight_decay: args.weight_decay,
        ..defaults.adamw
    };
    if !(adamw.weight_decay >= 0.0 && adamw.weight_decay.is_finite()) {
        return Err(Failure::bad_input("--weight-decay must be a number of at least 0"));
    }
    let settings = OptimizerSettings { adamw, max_norm: args.max_norm, ..defaults };
    let loaded = Loaded::open(&args.inputs, settings)?;
    let mut output = Output::open(args.out.as_deref())?;
    let mut drawing = args.plot.as_deref().map(|path| Output::open(Some(path))).transpose()?;
    let plan = Plan {
        learning_rates: args.learning_rates.clone(),
        steps: vec![Step::Preconditioned, Step::Full],
        settings: loaded.settings,
    };
    let (target, questions) = (&loaded.target, &loaded.questions);
    let report = validate(
        &loaded.model,
        &loaded.optimizer,
        (&target.list, &target.objective),
        (&questions.list, &questions.objective),
        &plan,
        &Unwatched,
    )?;
    output.line(&described(&report, &questions.ids))?;
    if let Some(drawing) = &mut drawing {
        drawing.text(&plot::scatter(&report)?)?;
    }
    output.finish()?;
    drawing.map_or(Ok(()), Output::finish)?;
    summarise(&report);
    Ok(())
}

fn agreement(agreement: &Agreement) -> Value {
    let Agreement { pearson, spearman, same_sign, slope } = *agreement;
    json!({"pearson": pearson, "spearman": spearman, "same_sign": same_sign, "slope": slope})
}

fn described(report: &Report, ids: &[Value]) -> Value {
    let scores = &report.scores;
    let trials = report.trials.iter().map(|trial| {
        let names = Similarity::ALL.iter().map(|similarity| similarity.name().to_string());
        let agreements: Map<String, Value> =
            names.zip(trial.agreements.iter().map(agreement)).collect();
        json!({"step": trial.step.name(), "learning_rate": trial.learning_rate, "agreement": agreements})
    });
    let by = Similarity::ALL.map(|similarity| (similarity.name(), scores.by(similarity)));
    let questions = ids.iter().enumerate().map(|(q, id)| {
        let scores: Map<String, Value> =
            by.iter().map(|(name, list)| (name.to_string(), json!(list[q]))).collect();
        let decreases: Vec<f64> = report.trials.iter().map(|trial| trial.decreases[q]).collect();
        json!({"id": id, "scores": scores, "decreases": decreases})
    });
    json!({
        "target_loss": report.target_loss,
        "target_norm": scores.target_norm,
        "weights": scores.target.weights.to_string(),
        "optimizer": scores.optimizer.map(|hash| hash.to_string()),
        "target": scores.target.data.to_string(),
        "trials": trials.collect::<Vec<_>>(),
        "questions": questions.collect::<Vec<_>>(),
    })
}

/// A table for a person.
fn summarise(report: &Report) {
    let cell = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
    say(format_args!(
        "{:<15} {:>9}  {:<22} {:>8} {:>8} {:>9} {:>10}",
        "step", "rate", "score", "Pearson", "Spearman", "same sign", "slope"
    ));
    for trial in &report.trials {
        for (similarity, agreement) in Similarity::ALL.iter().zip(&trial.agreements) {
            say(format_args!(
                "{:<15} {:>9.0e}  {:<22} {:>8} {:>8} {:>9} {:>10}",
                trial.step.name(),
                trial.learning_rate,
                similarity.name(),
                cell(agreement.pearson),
                cell(agreement.spearman),
                cell(agreement.same_sign),
                cell(agreement.slope)
            ));
        }
    }
}
