//! Everything that a run can be told. The defaults are the published recipe.
//!
//! An enum carries its own parameters: `gate = "open"`, `gate = { above = 0.1 }`. Nothing here is
//! read from a file by this crate; paths are for whoever opens them.

mod check;
mod roles;

use std::path::PathBuf;

use infuser_data::question::parse::Shape;
use infuser_influence::Similarity;

use serde::{Deserialize, Serialize};

pub use roles::{Generator, Rollout, Solver, Update};

use crate::{
    advantage::{Normalisation, Singleton},
    correction::Correction,
    reward::{Component, Gate, Structure, Term},
    select::Filter,
};

/// The tables of a [`Config`] that are laid over each other key by key; any other value, as an enum with
/// its parameters, is replaced whole.
pub const SECTIONS: [&str; 20] = [
    "run",
    "models",
    "data",
    "questions",
    "dev",
    "reward",
    "reward.spice",
    "influence",
    "solver",
    "solver.rollout",
    "solver.update",
    "solver.update.clip",
    "generator",
    "generator.rollout",
    "generator.update",
    "generator.update.clip",
    "correction",
    "guard",
    "evaluation",
    "checkpoint",
];

/// A run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long, with which parts, from which seed.
    pub run: Run,
    /// The models that it starts from.
    pub models: Models,
    /// Files.
    pub data: Data,
    /// How questions come about.
    pub questions: Questions,
    /// The dev set.
    pub dev: Dev,
    /// What a question is worth.
    pub reward: Reward,
    /// How influence is scored.
    pub influence: Influence,
    /// The one who answers.
    pub solver: Solver,
    /// The one who asks.
    pub generator: Generator,
    /// What is done where engine and training disagree.
    pub correction: Correction,
    /// When to stop rather than train on nothing.
    pub guard: Guard,
    /// What is tested when.
    pub evaluation: Evaluation,
    /// What is kept.
    pub checkpoint: Checkpoint,
}

/// How long, with which parts, from which seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Seed of every draw.
    pub seed: u64,
    /// Iterations: one update of the solver each.
    pub iterations: u64,
    /// Updates of the generator in each, every one on documents of its own.
    pub generator_updates: usize,
    /// Which parts learn.
    pub mode: Mode,
}

/// Which parts learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Generator and solver.
    Cotrain,
    /// The solver alone, on questions of a generator that stays as it is.
    FixedGenerator,
    /// The generator alone; the solver stays as it is.
    FixedSolver,
    /// The solver alone, on the dev set; no questions are written.
    DevOnly,
}

/// The models that it starts from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// A Hugging Face folder, or `embedded:tiny`.
    pub solver: Option<PathBuf>,
    /// The generator's, if it is another.
    pub generator: Option<PathBuf>,
    /// Which prompts they are given.
    pub prompts: PromptStyle,
    /// A folder with templates in place of built-in ones.
    pub templates: Option<PathBuf>,
    /// Variables of the chat template, as `enable_thinking = false`.
    pub variables: serde_json::Map<String, serde_json::Value>,
}

/// Which prompts the models are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// The model's chat template if it has one, else a text to continue.
    #[default]
    Auto,
    /// The chat template.
    Chat,
    /// A text to continue.
    Text,
    /// The prompts of the embedded world.
    World,
}

/// Files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Documents that questions are written from: a pool, or `embedded:N` for worksheets of the world;
    /// `embedded:N:SHARE` for ones with a share of facts from the unreliable source other than a half.
    pub documents: Option<PathBuf>,
    /// The dev set, or `embedded:SKILL:N`.
    pub dev: Option<PathBuf>,
    /// The held-out test set, or `embedded:SKILL:N`; nothing that trains looks at it.
    pub test: Option<PathBuf>,
    /// Questions to write others like, for `questions.source = "seeded"`.
    pub seeds: Option<PathBuf>,
    /// Questions written before, for `questions.source = "file"`.
    pub questions: Option<PathBuf>,
}

/// How questions come about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Questions {
    /// From what.
    pub source: Source,
    /// Documents (or seed questions) of one generator update.
    pub batch: usize,
    /// Use the first batch again and again.
    pub repeat_batch: bool,
    /// Fewest and most choices.
    pub choices: (usize, usize),
    /// Refuse questions that refer to their document.
    pub self_contained: bool,
    /// Documents whose source matches are asked for questions without choices; the first that matches
    /// counts.
    pub routes: Vec<Route>,
    /// Documents that are questions themselves, and go to the solver as they are.
    pub verifiable: Option<Verifiable>,
}

/// What questions are written from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Documents.
    Documents,
    /// Other questions.
    Seeded {
        /// How many of them a prompt shows.
        examples: usize,
    },
    /// Nothing: they were written before.
    File,
}

/// Which documents are asked for which kind of question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// A regular expression that is searched in the document's source.
    pub pattern: String,
    /// The kind.
    pub form: Form,
}

/// How an answer without choices is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Four or more choices.
    Choice,
    /// One number.
    Numeric,
    /// A mathematical expression.
    Math,
    /// Words.
    Text,
}

/// Documents that hold a question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifiable {
    /// A regular expression that is searched in the document's source; all documents if left out.
    #[serde(default)]
    pub pattern: Option<String>,
    /// A regular expression with groups `question` and `answer` that the text must begin with.
    pub content: String,
    /// How answers are compared.
    pub form: Form,
}

/// The dev set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dev {
    /// Use so many of its questions in each iteration, others each time; all if left out.
    pub subsample: Option<usize>,
    /// Replace questions that are too hard or too easy.
    pub curriculum: Option<Curriculum>,
}

/// A dev set that moves with the solver: questions come from a larger pool, `data.dev`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Curriculum {
    /// Questions in use at a time.
    pub questions: usize,
    /// Iterations between two changes.
    pub every: u64,
    /// Part of the questions that goes for being too easy.
    pub easiest: f64,
    /// Part of the questions that goes for being too hard.
    pub hardest: f64,
}

impl Default for Curriculum {
    fn default() -> Self {
        Self { questions: 150, every: 10, easiest: 0.1, hardest: 0.1 }
    }
}

/// What a question is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reward {
    /// Components, and how they become an advantage.
    pub structure: Structure,
    /// What an output gets that is no valid question.
    pub invalid: f32,
    /// What a group of one output gets.
    pub singleton: Singleton,
    /// Which documents' influence counts.
    pub gate: Gate,
    /// Of the SPICE component.
    pub spice: Spice,
    /// Influence is replaced by noise of the same kind: a control.
    pub shuffle: bool,
}

/// Of the SPICE component.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spice {
    /// The best variance of scores.
    pub target_variance: f64,
    /// How fast the reward falls beside it.
    pub scale: f64,
}

impl Default for Spice {
    fn default() -> Self {
        Self { target_variance: 0.25, scale: 0.02 }
    }
}

/// How influence is scored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Influence {
    /// By which measure.
    pub similarity: Similarity,
    /// β of a target that is carried over from iteration to iteration; `None` for a new one each time.
    pub momentum: Option<f64>,
    /// The passes that score the questions also give the solver the gradient of its step. For one step
    /// an iteration, on all questions.
    pub share_gradient: bool,
}

/// When to stop rather than train on nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// Stop where a smaller share of outputs are valid questions; 0 for never.
    pub min_valid: f64,
    /// Stop where a smaller share of answers hold one; 0 for never.
    pub min_answered: f64,
    /// Say so where a stage has not moved for so long.
    pub stall_secs: u64,
}

/// What is tested when.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// Iterations between two tests; the first and the last state are always tested.
    pub every: u64,
    /// Answers to each question.
    pub samples: usize,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// Iterations between two checkpoints; the last state is always kept.
    pub every: u64,
    /// How many of the last are kept.
    pub keep: usize,
}

impl Default for Run {
    fn default() -> Self {
        Self { seed: 42, iterations: 100, generator_updates: 1, mode: Mode::Cotrain }
    }
}

impl Default for Questions {
    fn default() -> Self {
        Self {
            source: Source::Documents,
            batch: 128,
            repeat_batch: false,
            choices: (4, 8),
            self_contained: true,
            routes: Vec::new(),
            verifiable: None,
        }
    }
}

impl Default for Reward {
    fn default() -> Self {
        let term = |component| Term { component, weight: 1.0 };
        Self {
            structure: Structure::Summed {
                terms: vec![term(Component::Influence), term(Component::Invalid)],
                normalisation: Normalisation::DualStd,
            },
            invalid: 0.0,
            singleton: Singleton::Zero,
            gate: Gate::Open,
            spice: Spice::default(),
            shuffle: false,
        }
    }
}

impl Default for Influence {
    fn default() -> Self {
        Self { similarity: Similarity::PreconditionedCosine, momentum: None, share_gradient: false }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self { min_valid: 0.05, min_answered: 0.05, stall_secs: 600 }
    }
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { every: 5, samples: 1 }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every: 5, keep: 2 }
    }
}

impl Form {
    /// As the parser names it.
    pub fn shape(self) -> Shape {
        use infuser_data::question::Form as Of;
        match self {
            Self::Choice => Shape::Choice,
            Self::Numeric => Shape::Open(Of::Numeric),
            Self::Math => Shape::Open(Of::Math),
            Self::Text => Shape::Open(Of::Text),
        }
    }
}

impl Config {
    /// Whether a generator writes questions.
    pub fn writes(&self) -> bool {
        self.run.mode != Mode::DevOnly && self.questions.source != Source::File
    }

    /// Whether the generator learns.
    pub fn generator_learns(&self) -> bool {
        self.writes() && matches!(self.run.mode, Mode::Cotrain | Mode::FixedSolver)
    }

    /// Whether the solver learns.
    pub fn solver_learns(&self) -> bool {
        self.run.mode != Mode::FixedSolver
    }

    /// Whether influence scores are of any use: to the generator's reward, or to choose questions.
    pub fn needs_influence(&self) -> bool {
        let chosen =
            matches!(self.solver.filter, Filter::TopPerDocument(_) | Filter::TopFraction(_));
        let rewarded = self.reward.components().contains(&Component::Influence);
        let writes = self.run.mode != Mode::DevOnly;
        writes && ((self.generator_learns() && rewarded) || (self.solver_learns() && chosen))
    }

    /// Whether the dev set is answered.
    pub fn needs_dev(&self) -> bool {
        self.run.mode == Mode::DevOnly || self.needs_influence()
    }
}

impl Reward {
    /// The components that count.
    pub fn components(&self) -> Vec<Component> {
        match &self.structure {
            Structure::Summed { terms, .. } => terms.iter().map(|term| term.component).collect(),
            Structure::Decoupled(groups) => {
                groups.iter().flat_map(|group| &group.terms).map(|term| term.component).collect()
            }
        }
    }
}
