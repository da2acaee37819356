//! Short runs on the embedded world.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use infuser_data::{
    document::Pool,
    prompt::Prompts,
    tokenizer::Tokenizer,
    world::{self, Part, Skill},
};
use infuser_kernels::Device;
use infuser_model::{Unwatched, checkpoint};
use infuser_rl::{
    Result,
    config::Config,
    reward::{Component, Term},
    role::Role,
    train::{Inputs, Metrics, Place, Stage, Store, Trainer},
    voice::Voice,
};

/// Keeps everything in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) kept: BTreeMap<(u64, usize, &'static str), String>,
    pub(crate) metrics: Vec<(Place, Metrics)>,
}

pub(crate) fn key(place: Place) -> (u64, usize, &'static str) {
    (place.iteration, place.update, place.stage.name())
}

impl Store for Memory {
    fn load(&mut self, place: Place) -> Result<Option<String>> {
        Ok(self.kept.get(&key(place)).cloned())
    }

    fn save(&mut self, place: Place, lines: &str) -> Result<()> {
        assert!(place.stage.is_kept(), "{place}");
        assert!(self.kept.insert(key(place), lines.to_string()).is_none(), "{place} twice");
        Ok(())
    }

    fn begin(&mut self, _: Place, _: usize) {}

    fn end(&mut self, place: Place, _: f64, metrics: &Metrics) -> Result<()> {
        self.metrics.push((place, metrics.clone()));
        Ok(())
    }
}

impl Memory {
    /// A metric of each of the stages that have it.
    pub(crate) fn all(&self, name: &str) -> Vec<f64> {
        self.metrics.iter().filter_map(|(_, metrics)| metrics.get(name)).collect()
    }

    pub(crate) fn ran(&self, stage: Stage) -> usize {
        self.metrics.iter().filter(|(place, _)| place.stage == stage).count()
    }
}

/// A short run.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.run.iterations = 2;
    config.models.solver = Some("base".into());
    config.data.dev = Some("dev".into());
    config.data.documents = Some("documents".into());
    config.questions.batch = 3;
    config.questions.choices = (4, 4);
    config.evaluation.every = 2;
    for rollout in [&mut config.solver.rollout, &mut config.generator.rollout] {
        rollout.samples = 4;
        rollout.max_tokens = 28;
        rollout.max_prompt_tokens = 200;
        rollout.cache_mib = 64;
    }
    for update in [&mut config.solver.update, &mut config.generator.update] {
        update.learning_rate = 1e-4;
        update.recompute = false;
    }
    config
}

pub(crate) fn base() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny-base")
}

pub(crate) fn role(config: &Config, learns: bool) -> Role {
    role_on(Device::Cpu, config, learns)
}

pub(crate) fn role_on(device: Device, config: &Config, learns: bool) -> Role {
    let voice = Voice {
        tokenizer: Tokenizer::load(&base()).unwrap(),
        prompts: world::prompts().unwrap(),
        chat: None,
    };
    let model = checkpoint::load(&base(), device).unwrap();
    if learns {
        Role::learner(model, Arc::new(voice), &config.solver.update).unwrap()
    } else {
        Role::fixed(model, Arc::new(voice))
    }
}

pub(crate) fn inputs() -> Inputs {
    let questions = |part| world::target(Skill::Remainder, part, 16, 1);
    Inputs {
        pool: Some(Pool::new(world::documents(20, world::UNRELIABLE, 1)).unwrap()),
        dev: questions(Part::Dev),
        test: questions(Part::Test)[..4].to_vec(),
        world: true,
        ..Inputs::default()
    }
}

/// A generator with short prompts for what the base model was never shown.
pub(crate) fn short_spoken(config: &Config) -> Role {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put(
        "seeded_generator.base.jinja",
        "{% for e in examples %}{{ e.question }} {{ e.answer }}\n{% endfor %}Task: ",
    );
    put("open_generator.base.jinja", "{{ document }}\nOpen: ");
    put("choice_generator.base.jinja", "{{ document }}\nTask: ");
    let voice = Voice {
        tokenizer: Tokenizer::load(&base()).unwrap(),
        prompts: Prompts::load(folder.path()).unwrap(),
        chat: None,
    };
    let model = checkpoint::load(&base(), Device::Cpu).unwrap();
    Role::learner(model, Arc::new(voice), &config.generator.update).unwrap()
}

/// Two iterations with such a generator, which may write no question at all.
pub(crate) fn run_short_spoken(mut config: Config, inputs: Inputs) -> Memory {
    config.guard.min_valid = 0.0;
    let (solver, generator) = (role(&config, true), short_spoken(&config));
    let mut trainer = Trainer::new(config, inputs, solver, Some(generator)).unwrap();
    let mut store = Memory::default();
    for _ in 0..2 {
        trainer.iterate(&mut store, &Unwatched).unwrap();
    }
    store
}

pub(crate) struct Outcome {
    pub(crate) store: Memory,
    pub(crate) trainer: Trainer,
}

#[track_caller]
pub(crate) fn run_with(config: Config, inputs: Inputs) -> Outcome {
    let solver = role(&config, config.solver_learns());
    let generator = config.writes().then(|| role(&config, config.generator_learns()));
    let mut trainer = Trainer::new(config, inputs, solver, generator).unwrap();
    let mut store = Memory::default();
    trainer.test_before(&mut store, &Unwatched).unwrap();
    for _ in 0..2 {
        trainer.iterate(&mut store, &Unwatched).unwrap();
    }
    Outcome { store, trainer }
}

#[track_caller]
pub(crate) fn run(change: impl FnOnce(&mut Config)) -> Outcome {
    let mut config = config();
    change(&mut config);
    run_with(config, inputs())
}

pub(crate) fn weights(role: &Role) -> Vec<f32> {
    role.model.weights().buffers().iter().flat_map(|buffer| buffer.to_f32().unwrap()).collect()
}

pub(crate) fn untouched() -> Vec<f32> {
    weights(&role(&config(), false))
}

pub(crate) fn term(component: Component) -> Term {
    Term { component, weight: 1.0 }
}
