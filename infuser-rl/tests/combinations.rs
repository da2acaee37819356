//! Every combination that makes no sense is refused with the keys that do not go together.

use infuser_rl::{
    advantage::Normalisation,
    config::{Config, Curriculum, Form, Mode, Route, Source, Verifiable},
    correction::{Level, Truncation},
    pretrain,
    reduce::Reduction,
    reward::{Component, Gate, Structure},
    select::Filter,
};

use crate::world::{config, term};

#[track_caller]
fn refused(keys: [&str; 2], change: impl FnOnce(&mut Config)) {
    let mut config = config();
    config.check().unwrap();
    change(&mut config);
    let message = config.check().unwrap_err().to_string();
    for key in keys {
        assert!(message.contains(key), "{key}: {message}");
    }
}

fn file(config: &mut Config) {
    config.questions.source = Source::File;
    config.data.questions = Some("q".into());
}

fn spice() -> Structure {
    let terms = vec![term(Component::Spice)];
    Structure::Summed { terms, normalisation: Normalisation::DualStd }
}

#[test]
fn combinations_that_make_no_sense_name_their_keys() {
    let seeded = |config: &mut Config| {
        config.questions.source = Source::Seeded { examples: 3 };
        config.data.seeds = Some("s".into());
    };
    let verifiable = |form| Verifiable { pattern: None, content: "x".into(), form };
    let route = Route { pattern: "x".into(), form: Form::Math };
    let spice = spice();
    refused(["run.mode", "questions.source"], file);
    refused(["run.mode = \"fixed_solver\"", "questions.source"], |config| {
        file(config);
        config.run.mode = Mode::FixedSolver;
    });
    refused(["run.mode", "run.generator_updates"], |config| {
        config.run.mode = Mode::DevOnly;
        config.run.generator_updates = 2;
    });
    refused(["run.mode", "solver.filter"], |config| {
        config.run.mode = Mode::DevOnly;
        config.solver.filter = Filter::TopFraction(0.5);
    });
    refused(["run.mode", "questions.verifiable"], |config| {
        config.run.mode = Mode::DevOnly;
        config.questions.verifiable = Some(verifiable(Form::Math));
    });
    refused(["dev.subsample", "dev.curriculum"], |config| {
        config.dev.subsample = Some(3);
        config.dev.curriculum = Some(Curriculum::default());
    });
    refused(["dev.curriculum", "run.mode"], |config| {
        config.run.mode = Mode::FixedGenerator;
        config.dev.curriculum = Some(Curriculum::default());
    });
    refused(["questions.source = \"seeded\"", "questions.routes"], |config| {
        seeded(config);
        config.questions.routes = vec![route.clone()];
    });
    refused(["questions.source = \"file\"", "questions.routes"], |config| {
        file(config);
        config.run.mode = Mode::FixedGenerator;
        config.questions.routes = vec![route.clone()];
    });
    refused(["questions.verifiable.form", "choice"], |config| {
        config.questions.verifiable = Some(verifiable(Form::Choice));
    });
    refused(["solver.filter", "questions.source = \"file\""], |config| {
        file(config);
        config.run.mode = Mode::FixedGenerator;
        config.solver.filter = Filter::TopPerDocument(1);
    });
    refused(["reward.gate", "reward.structure"], |config| {
        config.reward.structure = spice.clone();
        config.reward.gate = Gate::Above(0.1);
    });
    refused(["influence.momentum", "reward.structure"], |config| {
        config.reward.structure = spice.clone();
        config.influence.momentum = Some(0.9);
    });
    refused(["reward.shuffle", "reward.structure"], |config| {
        config.reward.structure = spice.clone();
        config.reward.shuffle = true;
    });
    refused(["data.dev", "missing"], |config| config.data.dev = None);
    refused(["data.documents", "missing"], |config| config.data.documents = None);
    refused(["data.seeds", "questions.source"], |config| {
        seeded(config);
        config.data.seeds = None;
    });
    refused(["data.questions", "questions.source"], |config| {
        file(config);
        config.run.mode = Mode::FixedGenerator;
        config.data.questions = None;
    });
    refused(["models.solver", "missing"], |config| config.models.solver = None);
    refused(["questions.choices", "2 to 26"], |config| config.questions.choices = (4, 3));
    refused(["influence.momentum", "[0, 1)"], |config| config.influence.momentum = Some(1.0));
    refused(["solver.update.learning_rate", "more than 0"], |config| {
        config.solver.update.learning_rate = 0.0;
    });
    refused(["generator.rollout", "temperature"], |config| {
        config.generator.rollout.temperature = 0.0;
    });
}

/// Settings of what does not happen would be passed over in silence.
#[test]
fn settings_without_effect_name_their_keys() {
    refused(["dev.subsample", "run.mode"], |config| {
        config.run.mode = Mode::FixedGenerator;
        config.dev.subsample = Some(3);
    });
    for filter in [Filter::RandomPerDocument(1), Filter::RandomFraction(0.5)] {
        refused(["solver.filter", "fixed_solver"], |config| {
            config.run.mode = Mode::FixedSolver;
            config.solver.filter = filter;
        });
    }
    refused(["solver.mid_eos_penalty", "fixed_solver"], |config| {
        config.run.mode = Mode::FixedSolver;
        config.solver.mid_eos_penalty = -0.5;
    });
    refused(["reward.shuffle", "run.mode"], |config| {
        config.run.mode = Mode::FixedGenerator;
        config.reward.shuffle = true;
    });
    refused(["reward.gate", "run.mode"], |config| {
        config.run.mode = Mode::FixedGenerator;
        config.reward.gate = Gate::Above(0.1);
    });
    refused(["reward.invalid", "reward.structure"], |config| {
        config.reward.structure = spice();
        config.reward.invalid = -1.0;
    });
}

/// Each of these would panic, be taken for another number, or stop a run hours after it began.
#[test]
fn numbers_out_of_range_name_their_key() {
    #[track_caller]
    fn refused(key: &str, change: impl FnOnce(&mut Config)) {
        let mut config = config();
        change(&mut config);
        let message = config.check().unwrap_err().to_string();
        assert!(message.contains(key), "{key}: {message}");
    }
    for wrong in [-0.5, f64::NAN, f64::INFINITY] {
        refused("solver.update.clip.low", |config| config.solver.update.clip.low = wrong);
        refused("generator.update.clip.high", |config| config.generator.update.clip.high = wrong);
        refused("solver.update.reduction", |config| {
            config.solver.update.reduction = Some(Reduction::Constant(wrong));
        });
        refused("reward.spice.scale", |config| config.reward.spice.scale = wrong);
        refused("correction.truncation.threshold", |config| {
            let truncation = Truncation { level: Level::Token, threshold: wrong, normalise: false };
            config.correction.truncation = Some(truncation);
        });
        refused("correction.veto", |config| config.correction.veto = Some(wrong));
    }
    for wrong in [0.5, 1.0, f64::NAN] {
        refused("solver.update.clip.dual", |config| config.solver.update.clip.dual = Some(wrong));
    }
    refused("solver.rollout.samples", |config| config.solver.rollout.samples = usize::MAX);
    refused("evaluation.samples", |config| config.evaluation.samples = 1_000_000_000);
    refused("reward.spice.target_variance", |config| {
        config.reward.spice.target_variance = f64::NAN;
    });
    refused("questions.routes[1].pattern", |config| {
        let route = |pattern: &str| Route { pattern: pattern.into(), form: Form::Math };
        config.questions.routes = vec![route("fine"), route("(")];
    });
    let content = |content: &str| {
        let verifiable = Verifiable { pattern: None, content: content.into(), form: Form::Math };
        move |config: &mut Config| config.questions.verifiable = Some(verifiable)
    };
    refused("questions.verifiable.content", content("(?P<question>"));
    refused("questions.verifiable.content", content("a)(b"));
    refused("questions.verifiable.content", content("(?P<question>.*)"));
}

/// A norm of 0 would learn nothing, a negative one would climb.
#[test]
fn numbers_of_pretraining_name_their_key() {
    let mut fine = pretrain::Settings::default();
    fine.model.folder = Some("model".into());
    fine.data.files = vec!["data.jsonl".into()];
    fine.check().unwrap();
    let refused = |key: &str, change: &dyn Fn(&mut pretrain::Optimizer)| {
        let mut settings = fine.clone();
        change(&mut settings.optimizer);
        let message = settings.check().unwrap_err().to_string();
        assert!(message.contains(key), "{key}: {message}");
    };
    for wrong in [0.0, -1.0, f64::NAN] {
        refused("optimizer.max_norm", &|optimizer| optimizer.max_norm = Some(wrong));
        refused("optimizer.learning_rate", &|optimizer| optimizer.learning_rate = wrong);
    }
    refused("optimizer.min_ratio", &|optimizer| optimizer.min_ratio = 1.5);
}
