//! A step on the gradient of the scoring passes is the step that the update would take.

use infuser_model::Unwatched;
use infuser_rl::{
    config::{Config, Source},
    correction::{Correction, Level, Rejection, Truncation},
    reduce::Reduction,
    train::{Stage, Trainer},
};

use crate::world::{Memory, config, inputs, role, untouched, weights};

/// One step an iteration on all questions.
fn plain(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    config.solver.update.prompts_per_step = 12;
    // With a larger ε rounding does not decide about the sign of a first step.
    config.solver.update.epsilon = 1e-5;
    change(&mut config);
    config
}

fn trainer(config: &Config) -> Trainer {
    let generator = config.writes().then(|| role(config, config.generator_learns()));
    Trainer::new(config.clone(), inputs(), role(config, true), generator).unwrap()
}

/// The solver after one iteration, and what the stages said.
fn one_iteration(config: &Config) -> (Vec<f32>, Memory) {
    let (mut trainer, mut store) = (trainer(config), Memory::default());
    trainer.iterate(&mut store, &Unwatched).unwrap();
    (weights(trainer.solver()), store)
}

#[track_caller]
fn same_step(change: impl Fn(&mut Config)) {
    let own = plain(&change);
    let mut shared = own.clone();
    shared.influence.share_gradient = true;
    let ((own, own_store), (shared, store)) = (one_iteration(&own), one_iteration(&shared));
    let before = untouched();
    let moved = |after: &[f32]| -> Vec<f64> {
        after.iter().zip(&before).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
    };
    let (own, shared) = (moved(&own), moved(&shared));
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let apart: Vec<f64> = own.iter().zip(&shared).map(|(a, b)| a - b).collect();
    assert!(norm(&own) > 0.0);
    assert!(norm(&apart) <= 1e-3 * norm(&own), "{} of {}", norm(&apart), norm(&own));
    assert_eq!(own_store.all("solver_actor/shared_gradient"), [0.0]);
    assert_eq!(store.all("solver_actor/shared_gradient"), [1.0]);
    for name in [
        "solver_actor/pg_loss",
        "solver_actor/entropy",
        "solver_actor/grad_norm/mean",
        "solver_rollout_corr/kl",
    ] {
        let (want, got) = (own_store.all(name)[0], store.all(name)[0]);
        assert!((got - want).abs() <= 1e-4 * want.abs().max(1e-3), "{name}: {got}, want {want}");
    }
}

#[test]
fn the_step_is_that_of_the_update() {
    same_step(|_| {});
}

#[test]
fn so_it_is_in_small_batches_and_with_other_reductions_and_corrections() {
    same_step(|config| {
        config.solver.update.batch_tokens = 100;
        config.solver.update.recompute = true;
    });
    for reduction in [Reduction::TokenMean, Reduction::MeanOfSums, Reduction::Constant(300.0)] {
        same_step(|config| config.solver.update.reduction = Some(reduction));
    }
    same_step(|config| {
        let level = Level::Geometric;
        config.correction = Correction {
            truncation: Some(Truncation { level, threshold: 2.0, normalise: false }),
            rejection: Some(Rejection { level, upper: 1.1, lower: None }),
            veto: Some(1e-4),
        };
    });
}

/// A resumed run has the scores of the iteration but not the gradient: it is computed again.
#[test]
fn a_resumed_run_takes_the_same_step() {
    let config = plain(|config| config.influence.share_gradient = true);
    let (want, store) = one_iteration(&config);
    let mut resumed = Memory { kept: store.kept, metrics: Vec::new() };
    let mut trainer = trainer(&config);
    trainer.iterate(&mut resumed, &Unwatched).unwrap();
    assert_eq!(resumed.ran(Stage::Scores), 1);
    assert!(weights(trainer.solver()) == want, "the same bits");
}

#[test]
fn settings_of_more_than_one_plain_step_are_refused() {
    #[track_caller]
    fn refused(key: &str, change: impl FnOnce(&mut Config)) {
        let mut config = plain(|config| config.influence.share_gradient = true);
        config.check().unwrap();
        change(&mut config);
        let message = config.check().unwrap_err().to_string();
        assert!(message.contains("influence.share_gradient"), "{message}");
        assert!(message.contains(key), "{key}: {message}");
    }
    use infuser_rl::{
        advantage::Normalisation,
        config::{Form, Mode, Verifiable},
        select::Filter,
    };
    refused("run.mode", |config| config.run.mode = Mode::FixedGenerator);
    refused("fixed_solver", |config| config.run.mode = Mode::FixedSolver);
    refused("run.generator_updates", |config| config.run.generator_updates = 2);
    refused("solver.filter", |config| config.solver.filter = Filter::TopFraction(0.5));
    refused("solver.mid_eos_penalty", |config| config.solver.mid_eos_penalty = -0.5);
    refused("solver.normalisation", |config| {
        config.solver.normalisation = Normalisation::BatchStd;
    });
    refused("solver.update.epochs", |config| config.solver.update.epochs = 2);
    refused("solver.update.entropy", |config| config.solver.update.entropy = 0.1);
    refused("solver.update.reduction", |config| {
        config.solver.update.reduction = Some(Reduction::MeanOfMeans);
    });
    refused("correction.truncation.normalise", |config| {
        config.correction.truncation =
            Some(Truncation { level: Level::Token, threshold: 2.0, normalise: true });
    });
    refused("questions.verifiable", |config| {
        config.questions.verifiable =
            Some(Verifiable { pattern: None, content: "x".into(), form: Form::Math });
    });
    refused("solver.update.prompts_per_step = 11", |config| {
        config.solver.update.prompts_per_step = 11;
    });
    refused("run.mode", |config| {
        config.run.mode = Mode::FixedGenerator;
        config.questions.source = Source::File;
        config.data.questions = Some("q".into());
    });
}
