//! Every mode runs, for two iterations, on the embedded world.

use infuser_data::{
    document::{Document, Pool},
    prompt::Ask,
    suite::Item,
    tokenizer::{Controls, Tokenizer},
    world::{self, Part, Skill},
};
use infuser_kernels::testing::emulated;
use infuser_model::Unwatched;
use infuser_rl::{
    Error,
    advantage::Normalisation,
    config::{Config, Curriculum, Form, Mode, Route, Source, Verifiable},
    correction::{Correction, Level, Rejection, Truncation},
    reward::{Component, Gate, Group, Structure},
    select::Filter,
    train::{Inputs, Stage, Trainer},
};

use crate::world::{
    Memory, Outcome, base, config, inputs, role, role_on, run, run_short_spoken, run_with, term,
    untouched, weights,
};

#[test]
fn both_learn() {
    let Outcome { store, trainer } = run(|_| {});
    assert_eq!(trainer.iteration(), 2);
    for stage in Stage::ALL {
        assert_eq!(store.ran(stage), 2, "{stage:?}");
    }
    let before = untouched();
    assert_ne!(weights(trainer.solver()), before);
    assert_ne!(weights(trainer.generator().unwrap()), before);
    assert!(store.all("influence_sim/score/std").iter().any(|spread| *spread > 0.0));
    for name in
        ["solver_rollout_corr/kl", "gen_rollout_corr/kl", "world/grounded", "test/pass_at_1"]
    {
        assert_eq!(store.all(name).len(), 2, "{name}");
    }
    // On a CPU the engine computes what the training pass computes.
    assert!(store.all("solver_rollout_corr/log_ppl_abs_diff").iter().all(|gap| *gap == 0.0));
}

/// A whole iteration of both roles through the CUDA code, on the emulator.
#[test]
fn both_learn_on_cuda() {
    let mut config = config();
    config.run.iterations = 1;
    config.dev.subsample = Some(4);
    config.guard.min_answered = 0.0;
    let learner = || role_on(emulated(), &config, true);
    let test = inputs().test[..1].to_vec();
    let inputs = Inputs { test, ..inputs() };
    let mut trainer = Trainer::new(config.clone(), inputs, learner(), Some(learner())).unwrap();
    let mut store = Memory::default();
    trainer.iterate(&mut store, &Unwatched).unwrap();
    assert_eq!(trainer.iteration(), 1);
    let before: Vec<f32> = weights(&learner());
    for role in [trainer.solver(), trainer.generator().unwrap()] {
        assert!(weights(role) != before, "a role has not learned");
    }
    assert!(store.all("influence_sim/score/std").iter().any(|spread| *spread > 0.0));
    // Engine and training pass add in another order, each in bf16.
    let gaps = store.all("solver_rollout_corr/log_ppl_abs_diff");
    assert!(gaps.iter().all(|gap| *gap > 0.0 && *gap < 0.05), "{gaps:?}");
}

#[test]
fn a_run_is_its_seed() {
    let text = |seed| {
        let Outcome { store, .. } = run(|config| config.run.seed = seed);
        store.kept
    };
    let first = text(1);
    assert!(first == text(1));
    assert!(first != text(2));
}

/// What finished stages kept takes their place, and updates repeat to the bit.
#[test]
fn a_run_goes_on_from_what_was_kept() {
    let Outcome { mut store, trainer } = run(|config| config.influence.momentum = Some(0.5));
    let expected = weights(trainer.solver());
    let (kept, metrics) = (store.kept.clone(), store.metrics.len());
    for dropped in kept.keys() {
        store.kept = kept.clone();
        store.kept.retain(|key, _| key.0 < dropped.0 || (key.0 == dropped.0 && key <= dropped));
        store.metrics.clear();
        let mut config = config();
        config.influence.momentum = Some(0.5);
        let (solver, generator) = (role(&config, true), role(&config, true));
        let mut trainer = Trainer::new(config, inputs(), solver, Some(generator)).unwrap();
        trainer.test_before(&mut store, &Unwatched).unwrap();
        for _ in 0..2 {
            trainer.iterate(&mut store, &Unwatched).unwrap();
        }
        assert!(weights(trainer.solver()) == expected, "after {dropped:?}");
        assert!(store.kept == kept && store.metrics.len() == metrics);
    }
}

#[test]
fn fixed_generator_writes_and_stays() {
    let Outcome { store, trainer } = run(|config| config.run.mode = Mode::FixedGenerator);
    assert_eq!((store.ran(Stage::Generator), store.ran(Stage::Dev)), (0, 0));
    assert_eq!(weights(trainer.generator().unwrap()), untouched());
    assert_ne!(weights(trainer.solver()), untouched());
    assert!(store.all("influence_sim/score/mean").is_empty(), "nothing was scored");
}

#[test]
fn fixed_solver_stays_while_the_generator_learns() {
    let Outcome { store, trainer } = run(|config| config.run.mode = Mode::FixedSolver);
    assert_eq!(store.ran(Stage::Solver), 0);
    assert_eq!(weights(trainer.solver()), untouched());
    assert_ne!(weights(trainer.generator().unwrap()), untouched());
}

#[test]
fn dev_only_learns_from_the_dev_set() {
    let Outcome { store, trainer } = run(|config| config.run.mode = Mode::DevOnly);
    assert_eq!((store.ran(Stage::Questions), store.ran(Stage::Dev)), (0, 2));
    assert!(trainer.generator().is_none());
    assert_ne!(weights(trainer.solver()), untouched());
    assert_eq!(store.all("solver_actor/num_questions"), [16.0, 16.0]);
}

#[test]
fn several_generator_updates_share_one_solver_update() {
    let Outcome { store, .. } = run(|config| config.run.generator_updates = 2);
    assert_eq!((store.ran(Stage::Generator), store.ran(Stage::Solver)), (4, 2));
    let asked: f64 = store.all("gen_answer_rollout/num_questions")[..2].iter().sum();
    assert_eq!(store.all("solver_actor/num_questions")[0], asked);
}

#[test]
fn seeded_questions_are_written_without_documents() {
    let mut config = config();
    config.questions.source = Source::Seeded { examples: 2 };
    config.data.seeds = Some("seeds".into());
    let seeds = world::target(Skill::Sequence, Part::Dev, 8, 1);
    let seeds = seeds.into_iter().map(|item| item.question).collect();
    let store = run_short_spoken(config, Inputs { seeds, pool: None, world: false, ..inputs() });
    assert_eq!(store.ran(Stage::Questions), 2);
    let sources = &store.kept[&(1, 0, "questions")];
    assert_eq!(sources.lines().count(), 3);
    let (tokenizer, seeds) =
        (Tokenizer::load(&base()).unwrap(), world::target(Skill::Sequence, Part::Dev, 8, 1));
    for line in sources.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = record["source"].as_str().unwrap();
        let anchor: usize = name.split(':').nth(1).unwrap().parse().unwrap();
        let prompt: Vec<u32> = serde_json::from_value(record["prompt"].clone()).unwrap();
        let text = tokenizer.decode(&prompt, Controls::Show).unwrap();
        let shown: Vec<usize> =
            (0..seeds.len()).filter(|i| text.contains(seeds[*i].question.text())).collect();
        assert!(shown.len() == 2 && !shown.contains(&anchor), "{name}: {shown:?} in {text}");
    }
}

#[test]
fn questions_of_a_file_need_no_generator() {
    let mut config = config();
    config.run.mode = Mode::FixedGenerator;
    config.questions.source = Source::File;
    config.data.questions = Some("questions".into());
    config.questions.batch = 8;
    config.solver.filter = Filter::TopFraction(0.25);
    let questions = world::target(Skill::Sequence, Part::Dev, 10, 1);
    let Outcome { store, trainer } =
        run_with(config, Inputs { questions, pool: None, world: false, ..inputs() });
    assert!(trainer.generator().is_none());
    assert_eq!(store.all("gen_answer_rollout/num_questions"), [8.0, 8.0]);
    assert_ne!(store.kept[&(1, 0, "questions")], store.kept[&(2, 0, "questions")]);
    // They are scored and chosen among like written ones.
    assert!(store.all("influence_sim/score/std").iter().all(|spread| *spread > 0.0));
    assert!(store.all("solver_actor/num_prompts").iter().all(|kept| *kept <= 2.0));
}

#[test]
fn one_batch_can_be_repeated() {
    let Outcome { store, .. } = run(|config| config.questions.repeat_batch = true);
    let documents = |iteration| -> Vec<String> {
        let lines = store.kept[&(iteration, 0, "questions")].lines();
        lines.map(|line| line.split("\"document\":").next().unwrap().to_string()).collect()
    };
    assert_eq!(documents(1), documents(2));
    let Outcome { store: moving, .. } = run(|_| {});
    assert_ne!(moving.kept[&(1, 0, "questions")], moving.kept[&(2, 0, "questions")]);
}

#[test]
fn the_dev_set_can_be_subsampled() {
    let Outcome { store, .. } = run(|config| config.dev.subsample = Some(5));
    assert_eq!(store.all("dev_rollout/num_questions"), [5.0, 5.0]);
    assert_ne!(store.kept[&(1, 0, "dev")], store.kept[&(2, 0, "dev")]);
}

/// One answer a question never differs from the others: there is no direction, and that is said.
#[test]
fn a_dev_set_that_says_nothing_gives_no_direction() {
    let Outcome { store, trainer } = run(|config| {
        config.solver.rollout.samples = 1;
        config.influence.momentum = Some(0.5);
    });
    assert_eq!(store.all("influence_dev/no_direction"), [1.0, 1.0]);
    assert!(trainer.target().is_none());
    assert!(store.all("influence_sim/score/std").iter().all(|spread| *spread == 0.0));
}

#[test]
fn a_curriculum_changes_the_dev_set() {
    let curriculum = Curriculum { questions: 8, every: 1, easiest: 0.25, hardest: 0.25 };
    let Outcome { store, trainer } = run(|config| config.dev.curriculum = Some(curriculum));
    assert_eq!(store.all("dev_rollout/num_questions"), [8.0, 8.0]);
    let state = trainer.state().curriculum.unwrap();
    assert_eq!(state.used.len(), 4);
}

#[test]
fn verifiable_documents_go_to_the_solver_as_they_are() {
    let mut config = config();
    config.questions.verifiable = Some(Verifiable {
        pattern: Some("problems".into()),
        content: "(?P<question>.*)\nAnswer: (?P<answer>[0-9]+)".into(),
        form: Form::Numeric,
    });
    config.guard.min_answered = 0.0;
    let mut documents = world::documents(4, world::UNRELIABLE, 1);
    for document in &mut documents[..2] {
        document.source = Some("problems.txt".into());
        document.content = "47 mod 5 = ?\nAnswer: 2".into();
    }
    config.questions.batch = 4;
    let pool = Some(Pool::new(documents).unwrap());
    let Outcome { store, .. } = run_with(config, Inputs { pool, ..inputs() });
    assert_eq!(store.all("gen_question_rollout/num_verifiable"), [2.0, 2.0]);
    let records = &store.kept[&(1, 0, "questions")];
    assert!(records.contains("verifiable:world-1-0"), "{records}");
    assert!(records.contains("\"reference\":\"2\""), "{records}");
}

#[test]
fn routes_ask_for_questions_without_choices() {
    let mut config = config();
    config.questions.routes = vec![Route { pattern: r"^maths".into(), form: Form::Math }];
    config.questions.batch = 2;
    let documents: Vec<Document> =
        (world::documents(2, world::UNRELIABLE, 1).into_iter().enumerate())
            .map(|(i, document)| Document {
                source: Some(if i == 0 { "maths.txt" } else { "other.txt" }.into()),
                ..document
            })
            .collect();
    let pool = Some(Pool::new(documents).unwrap());
    let tokenizer = Tokenizer::load(&base()).unwrap();
    let store = run_short_spoken(config, Inputs { pool, ..inputs() });
    for line in store.kept[&(1, 0, "questions")].lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let prompt: Vec<u32> = serde_json::from_value(record["prompt"].clone()).unwrap();
        let text = tokenizer.decode(&prompt, Controls::Show).unwrap();
        let maths = record["document"] == 0;
        assert_eq!(text.trim_end().ends_with("\nOpen:"), maths, "{text}");
    }
}

#[test]
fn rewards_of_every_structure() {
    let summed = |component, normalisation| Structure::Summed {
        terms: vec![term(component), term(Component::Invalid)],
        normalisation,
    };
    let spice = run(|config| {
        config.reward.structure = summed(Component::Spice, Normalisation::DualStd);
    });
    assert_eq!(spice.store.ran(Stage::Dev), 0, "nothing asks for the dev set");
    for normalisation in [Normalisation::GroupStd, Normalisation::BatchStd, Normalisation::Centred]
    {
        let outcome =
            run(|config| config.reward.structure = summed(Component::Influence, normalisation));
        assert_ne!(weights(outcome.trainer.generator().unwrap()), untouched());
    }
    let group =
        |component, weight| Group { weight, terms: vec![term(component)], normalisation: None };
    let decoupled = run(|config| {
        config.reward.structure = Structure::Decoupled(vec![
            group(Component::Influence, 1.0),
            group(Component::Spice, 0.5),
            group(Component::Invalid, 1.0),
        ]);
        config.reward.invalid = -1.0;
    });
    assert!(decoupled.store.all("gen_critic/invalid/min").contains(&-1.0));
    let control = run(|config| config.reward.shuffle = true);
    assert_ne!(weights(control.trainer.generator().unwrap()), untouched());
}

#[test]
fn gates_filters_penalties_and_corrections() {
    let gated = run(|config| config.reward.gate = Gate::Above(1e9));
    assert_eq!(weights(gated.trainer.generator().unwrap()), untouched(), "nothing passes");
    run(|config| config.reward.gate = Gate::TopFraction { part: 0.5, ceiling: Some(1.0) });
    for filter in [
        Filter::TopPerDocument(1),
        Filter::RandomPerDocument(1),
        Filter::TopFraction(0.5),
        Filter::RandomFraction(0.5),
    ] {
        let outcome = run(|config| config.solver.filter = filter);
        let asked = outcome.store.all("solver_actor/num_questions");
        let kept = outcome.store.all("solver_actor/num_prompts");
        assert!(kept[0] < asked[0], "{filter:?}: {kept:?} of {asked:?}");
    }
    run(|config| {
        config.solver.mid_eos_penalty = -0.5;
        config.solver.normalisation = Normalisation::GroupStd;
    });
    for level in [Level::Token, Level::Sequence, Level::Geometric] {
        run(|config| {
            config.correction = Correction {
                truncation: Some(Truncation { level, threshold: 2.0, normalise: true }),
                rejection: Some(Rejection { level, upper: 4.0, lower: None }),
                veto: Some(1e-4),
            };
        });
    }
    run(|config| config.correction = Correction { truncation: None, rejection: None, veto: None });
    run(|config| {
        config.solver.update.entropy = 0.01;
        config.generator.update.epochs = 2;
        config.solver.update.batch_tokens = 100;
    });
}

#[test]
fn roles_may_begin_differently() {
    let config = config();
    let mut solver = role(&config, true);
    let buffer = &mut solver.model.weights_mut().buffers_mut()[0];
    let moved: Vec<f32> = buffer.to_f32().unwrap().iter().map(|w| w * 1.01).collect();
    buffer.copy_from_f32(&moved).unwrap();
    let generator = role(&config, true);
    let mut trainer = Trainer::new(config, inputs(), solver, Some(generator)).unwrap();
    trainer.iterate(&mut Memory::default(), &Unwatched).unwrap();
}

/// Prompts that are too long are left out and counted; if all are, the run says so.
#[test]
fn prompts_have_a_limit() {
    let mut config = config();
    let voice = role(&config, false).voice;
    let tokens = |item: &Item| voice.prompt(&Ask::Answer(&item.question)).unwrap().len();
    let mut dev = world::target(Skill::Sequence, Part::Dev, 8, 1);
    dev.extend(world::target(Skill::Remainder, Part::Dev, 8, 1));
    config.solver.rollout.max_prompt_tokens = dev.iter().map(tokens).max().unwrap() - 1;
    let long = dev.iter().filter(|item| tokens(item) > config.solver.rollout.max_prompt_tokens);
    let long = long.count() as f64;
    let Outcome { store, .. } = run_with(config, Inputs { dev, ..inputs() });
    assert_eq!(store.all("dev_rollout/num_too_long"), [long, long]);
    assert_eq!(store.all("dev_rollout/num_questions"), [16.0 - long, 16.0 - long]);
    stopped(&["generator.rollout.max_prompt_tokens = 5"], |config| {
        config.generator.rollout.max_prompt_tokens = 5;
    });
    // A dev set that cannot be answered never gives a direction; nor does it learn by itself.
    for mode in [Mode::Cotrain, Mode::DevOnly] {
        stopped(&["solver.rollout.max_prompt_tokens = 3"], |config| {
            config.run.mode = mode;
            (config.solver.rollout.max_prompt_tokens, config.guard.min_answered) = (3, 0.0);
        });
    }
}

/// A cache for less than one sequence would stop the run at its first long sample.
#[test]
fn a_cache_holds_at_least_one_sequence() {
    let mut config = config();
    (config.generator.rollout.cache_mib, config.generator.rollout.max_tokens) = (1, 100_000);
    let learner = || role(&config, true);
    let error = Trainer::new(config.clone(), inputs(), learner(), Some(learner())).err().unwrap();
    assert!(error.to_string().contains("generator.rollout.cache_mib = 1"), "{error}");
}

/// A guard stops the first iteration, and says all of this.
#[track_caller]
fn stopped(said: &[&str], change: impl FnOnce(&mut Config)) {
    let mut config = config();
    change(&mut config);
    let generator = config.writes().then(|| role(&config, true));
    let solver = role(&config, true);
    let mut trainer = Trainer::new(config, inputs(), solver, generator).unwrap();
    let error = trainer.iterate(&mut Memory::default(), &Unwatched).unwrap_err();
    let Error::Guard(text) = error else { panic!("{error}") };
    for part in said {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn guards_stop_a_run_that_would_train_on_nothing() {
    stopped(&["guard.min_valid = 0.5", "<think>"], |config| {
        config.guard.min_valid = 0.5;
        config.generator.rollout.max_tokens = 5;
    });
    stopped(&["guard.min_answered = 0.5"], |config| {
        config.guard.min_answered = 0.5;
        config.solver.rollout.max_tokens = 2;
    });
}
