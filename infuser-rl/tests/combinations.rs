//! Every combination that makes no sense is refused with the keys that do not go together.

use infuser_rl::{
    advantage::Normalisation,
    config::{Config, Curriculum, Form, Mode, Route, Source, Verifiable},
    reward::{Component, Gate, Structure},
    select::Filter,
};

use crate::world::{config, term};

#[test]
fn combinations_that_make_no_sense_name_their_keys() {
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
    let file = |config: &mut Config| {
        config.questions.source = Source::File;
        config.data.questions = Some("q".into());
    };
    let seeded = |config: &mut Config| {
        config.questions.source = Source::Seeded { examples: 3 };
        config.data.seeds = Some("s".into());
    };
    let verifiable = |form| Verifiable { pattern: None, content: "x".into(), form };
    let route = Route { pattern: "x".into(), form: Form::Math };
    let spice = Structure::Summed {
        terms: vec![term(Component::Spice)],
        normalisation: Normalisation::DualStd,
    };
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
