//! Co-training: the stages of an iteration, one after the other.
//!
//! ```text
//! dev ─┐                       for each generator update:
//!      ├─ scores ─ generator   questions ─ answers ─ scores ─ generator
//! …   ─┘                       then: solver ─ evaluation
//! ```
//!
//! A stage that samples or scores is a function of what came before, the models, and its place in the
//! run; its output is kept as text. So a run that is resumed reads what finished stages wrote, repeats
//! updates (which sample nothing) from it, and goes on with the same bits.

mod answers;
mod curriculum;
mod dev;
mod evaluation;
mod foresight;
mod generator;
mod learning;
mod metrics;
mod place;
mod questions;
mod record;
mod scores;
mod solver;

use std::time::Instant;

use infuser_data::{
    document::{Cursor, Pool, State as CursorState},
    question::{Question, Seeds},
    suite::Item,
};
use infuser_influence::{Shared, Target};
use infuser_model::Monitor;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use curriculum::State as CurriculumState;
pub use foresight::{Foreseen, Foresight};
pub use metrics::Metrics;
pub use place::{Place, Stage};
pub use record::{Asked, Kept, Origin, Output, Scored, Sourced};

use crate::{
    config::{Config, Mode, Source},
    error::{Error, Result, go_on},
    role::{Role, check_cache},
    rollout::Answered,
};

/// What a run reads, checked and in memory.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Documents; `None` for sources that use none.
    pub pool: Option<Pool>,
    /// The dev set, or the pool that a curriculum draws it from.
    pub dev: Vec<Item>,
    /// The test set; may be empty.
    pub test: Vec<Item>,
    /// Questions to write others like.
    pub seeds: Vec<Question>,
    /// Questions that were written before.
    pub questions: Vec<Item>,
    /// Whether documents are of the embedded world, so that reports can say what questions are.
    pub world: bool,
}

impl Inputs {
    /// Whether all is there that the settings need.
    ///
    /// # Errors
    /// [`Error::Setting`]: a set or pool that is missing or empty; a pool smaller than a batch.
    pub fn check(&self, config: &Config) -> Result<()> {
        let missing = |what: &str| Err(Error::Setting(format!("{what} is empty")));
        if config.needs_dev() && self.dev.is_empty() {
            return missing("the dev set");
        }
        match (&self.pool, config.questions.source) {
            _ if !config.writes() => Ok(()),
            (None, Source::Documents) => missing("the pool of documents"),
            (Some(pool), Source::Documents) => {
                let mut cursor = Cursor::new(pool, config.run.seed);
                Ok(cursor.next_batch(config.questions.batch).map(drop)?)
            }
            _ => Ok(()),
        }
    }
}

/// Keeps what stages make.
pub trait Store {
    /// The output of a stage that finished before; `None` if it did not.
    ///
    /// # Errors
    /// [`Error::Store`].
    fn load(&mut self, place: Place) -> Result<Option<String>>;

    /// Keeps the output of a stage: lines of JSON. It is there as a whole or not at all.
    ///
    /// # Errors
    /// [`Error::Store`].
    fn save(&mut self, place: Place, lines: &str) -> Result<()>;

    /// A stage begins: so many items, if known.
    fn begin(&mut self, place: Place, items: usize);

    /// A stage ended, `secs` after it began.
    ///
    /// # Errors
    /// [`Error::Store`].
    fn end(&mut self, place: Place, secs: f64, metrics: &Metrics) -> Result<()>;
}

/// Everything of a trainer that changes, but for weights and moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Iterations that are done.
    pub iteration: u64,
    /// The place in the documents.
    pub cursor: Option<CursorState>,
    /// The dev questions in use, if a curriculum chooses them.
    pub curriculum: Option<CurriculumState>,
}

/// A run in progress.
pub struct Trainer {
    config: Config,
    inputs: Inputs,
    seeds: Option<Seeds>,
    solver: Role,
    generator: Option<Role>,
    cursor: Option<Cursor>,
    curriculum: Option<CurriculumState>,
    /// The carried-over target, with momentum.
    target: Option<Target>,
    iteration: u64,
}

/// What one generator update made, as the solver's update needs it.
struct Update {
    asked: Vec<Asked>,
    answered: Vec<Answered>,
    scored: Vec<Option<Scored>>,
    /// Of the scoring passes, if they are to serve the solver's step too.
    shared: Option<Shared>,
}

impl Trainer {
    /// A run before its first iteration.
    ///
    /// # Errors
    /// A config that [`Config::check`] refuses; a cache that is too small for the models; inputs that it
    /// needs and that are not there.
    pub fn new(
        config: Config,
        inputs: Inputs,
        solver: Role,
        generator: Option<Role>,
    ) -> Result<Self> {
        config.check()?;
        inputs.check(&config)?;
        if config.writes() && generator.is_none() {
            return Err(Error::Setting("the place of the generator is empty".into()));
        }
        let roles = [
            ("solver", Some(&solver), config.solver.rollout),
            ("generator", generator.as_ref(), config.generator.rollout),
        ];
        for (name, role, rollout) in roles {
            if let Some(model) = role.map(|role| &role.model) {
                check_cache(name, &rollout, model.config(), &model.device())?;
            }
        }
        let cursor = match (&inputs.pool, config.questions.source) {
            (Some(pool), Source::Documents) => Some(Cursor::new(pool, config.run.seed)),
            _ => None,
        };
        let seeds = matches!(config.questions.source, Source::Seeded { .. })
            .then(|| Seeds::new(inputs.seeds.iter().map(Question::text)));
        let curriculum = config
            .dev
            .curriculum
            .map(|settings| CurriculumState::new(&settings, inputs.dev.len(), config.run.seed));
        Ok(Self {
            config,
            inputs,
            seeds,
            solver,
            generator,
            cursor,
            curriculum,
            target: None,
            iteration: 0,
        })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Iterations that are done.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The solver.
    pub fn solver(&self) -> &Role {
        &self.solver
    }

    /// The generator, if the run has one.
    pub fn generator(&self) -> Option<&Role> {
        self.generator.as_ref()
    }

    /// Both roles, for a checkpoint to fill in.
    pub fn roles_mut(&mut self) -> (&mut Role, Option<&mut Role>) {
        (&mut self.solver, self.generator.as_mut())
    }

    /// The carried-over target, if there is one.
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// What must be kept beside weights, moments and target.
    pub fn state(&self) -> State {
        State {
            iteration: self.iteration,
            cursor: self.cursor.as_ref().map(|cursor| cursor.state().clone()),
            curriculum: self.curriculum.clone(),
        }
    }

    /// Goes on from a kept state; the roles must be filled in beside.
    ///
    /// # Errors
    /// A state of other inputs.
    pub fn restore(&mut self, state: State, target: Option<Target>) -> Result<()> {
        self.cursor = match (&self.inputs.pool, state.cursor) {
            (Some(pool), Some(state)) => Some(Cursor::resume(pool, state)?),
            (_, None) => None,
            (None, Some(_)) => {
                return Err(Error::Setting("a place in documents, but no documents".into()));
            }
        };
        self.curriculum = state.curriculum;
        self.target = target;
        self.iteration = state.iteration;
        Ok(())
    }

    /// Tests the solver as it is before the first iteration.
    ///
    /// # Errors
    /// As [`iterate`](Self::iterate).
    pub fn test_before(&mut self, store: &mut dyn Store, monitor: &dyn Monitor) -> Result<()> {
        self.evaluate(Place { iteration: 0, update: 0, stage: Stage::Evaluation }, store, monitor)
    }

    /// One iteration.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Guard`]; [`Error::Store`]; whatever a stage meets. The trainer is
    /// then in the middle of an iteration: go on from the last checkpoint.
    pub fn iterate(&mut self, store: &mut dyn Store, monitor: &dyn Monitor) -> Result<()> {
        let iteration = self.iteration + 1;
        let place = |update, stage| Place { iteration, update, stage };
        self.refresh_curriculum();
        let dev = if self.config.needs_dev() {
            Some(self.dev(place(0, Stage::Dev), store, monitor)?)
        } else {
            None
        };
        go_on(monitor, 0)?;
        let mut updates = Vec::new();
        let direction = self.direction(place(0, Stage::Target), dev.as_deref(), store, monitor)?;
        for update in 0..self.generator_updates() {
            let sourced = self.write(place(update, Stage::Questions), store, monitor)?;
            let asked = self.asked(&sourced, update)?;
            let answered = self.ask(place(update, Stage::Answers), &asked, store, monitor)?;
            go_on(monitor, 0)?;
            let (scored, shared) = self.score(
                place(update, Stage::Scores),
                (&asked, &answered),
                direction.as_ref(),
                store,
                monitor,
            )?;
            go_on(monitor, 0)?;
            if self.config.generator_learns() {
                let at = place(update, Stage::Generator);
                self.update_generator(at, &sourced, (&asked, &answered, &scored), store, monitor)?;
            }
            updates.push(Update { asked, answered, scored, shared });
        }
        if self.config.influence.momentum.is_some() && direction.is_some() {
            self.target = direction;
        }
        go_on(monitor, 0)?;
        if self.config.solver_learns() {
            self.update_solver(place(0, Stage::Solver), dev.as_deref(), updates, store, monitor)?;
        }
        self.iteration = iteration;
        let last = iteration == self.config.run.iterations;
        if last || iteration.is_multiple_of(self.config.evaluation.every) {
            self.evaluate(place(0, Stage::Evaluation), store, monitor)?;
        }
        Ok(())
    }

    fn generator_updates(&self) -> usize {
        if self.config.run.mode == Mode::DevOnly { 0 } else { self.config.run.generator_updates }
    }
}

/// Reads the records of a finished stage, or makes and keeps them.
fn kept<T: Serialize + DeserializeOwned>(
    place: Place,
    store: &mut dyn Store,
    items: usize,
    make: impl FnOnce() -> Result<Vec<T>>,
) -> Result<(Vec<T>, Instant)> {
    let start = Instant::now();
    store.begin(place, items);
    if let Some(text) = store.load(place)? {
        let line = |(number, line): (usize, &str)| {
            serde_json::from_str(line)
                .map_err(|error| Error::Store(format!("{place}, line {}: {error}", number + 1)))
        };
        let records = text.lines().enumerate().map(line).collect::<Result<_>>()?;
        return Ok((records, start));
    }
    let records = make()?;
    let mut text = String::new();
    for record in &records {
        let line = serde_json::to_string(record)
            .map_err(|error| Error::Store(format!("{place}: {error}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    store.save(place, &text)?;
    Ok((records, start))
}
