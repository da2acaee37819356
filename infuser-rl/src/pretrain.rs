//! Supervised training from texts: its settings, and what is read at each step.

use std::path::PathBuf;

use infuser_data::{
    order,
    prompt::Prompts,
    tokenizer::Tokenizer,
    world::{Kind, Lesson, Stream},
};
use infuser_model::{
    Keep,
    optim::{AdamW, OptimizerSettings, Schedule},
    supervised::Example,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A training from texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seed of fresh weights.
    pub seed: u64,
    /// Steps of the optimizer; 0 to keep the weights as they are, which makes a model of fresh ones.
    pub steps: u64,
    /// Examples of a step.
    pub batch: usize,
    /// Tokens that are computed together: more is faster and takes more memory.
    pub batch_tokens: usize,
    /// Compute activations again in the backward pass rather than keep them.
    pub recompute: bool,
    /// Steps between two lines of progress.
    pub log_every: u64,
    /// What is trained.
    pub model: Start,
    /// From what.
    pub data: Data,
    /// How.
    pub optimizer: Optimizer,
    /// What is kept.
    pub checkpoint: crate::config::Checkpoint,
}

/// The tables of [`Settings`] that are laid over each other key by key.
pub const SECTIONS: [&str; 4] = ["model", "data", "optimizer", "checkpoint"];

/// What is trained: one of the two.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Start {
    /// Fresh weights: a folder with `config.json` and tokenizer, or `embedded:tiny`.
    pub config: Option<PathBuf>,
    /// The weights of a Hugging Face folder.
    pub folder: Option<PathBuf>,
}

/// From what.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Lines of JSON with `prompt` and `completion`, `messages`, or `text`.
    pub files: Vec<PathBuf>,
    /// Lessons of the embedded world, in stages.
    pub world: Vec<Stage>,
    /// Seed of the lessons or of the order of the files; that of the run if left out.
    pub seed: Option<u64>,
}

/// How: AdamW with a linear rise and a cosine down.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Optimizer {
    /// At the top.
    pub learning_rate: f64,
    /// Steps of the rise.
    pub warmup_steps: u64,
    /// Where the cosine ends, as a share of the top.
    pub min_ratio: f64,
    /// Of AdamW.
    pub beta1: f64,
    /// Of AdamW.
    pub beta2: f64,
    /// Of AdamW.
    pub epsilon: f64,
    /// Of AdamW, on every parameter.
    pub weight_decay: f64,
    /// Gradients of a larger norm are scaled down to it.
    #[serde(default)]
    pub max_norm: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 42,
            steps: 1000,
            batch: 32,
            batch_tokens: 4096,
            recompute: false,
            log_every: 50,
            model: Start::default(),
            data: Data::default(),
            optimizer: Optimizer::default(),
            checkpoint: crate::config::Checkpoint { every: 500, keep: 2 },
        }
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            warmup_steps: 20,
            min_ratio: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.01,
            max_norm: Some(1.0),
        }
    }
}

impl Settings {
    /// Checks numbers, and that there is one model and one source.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the keys.
    pub fn check(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::Setting(problem));
        let counts = [
            ("batch", self.batch as u64),
            ("batch_tokens", self.batch_tokens as u64),
            ("log_every", self.log_every),
            ("checkpoint.every", self.checkpoint.every),
            ("checkpoint.keep", self.checkpoint.keep as u64),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return refuse(format!("{key} is 0, expected at least 1"));
        }
        match (&self.model.config, &self.model.folder) {
            (Some(_), Some(_)) => {
                return refuse("model.config and model.folder both name a model; set one".into());
            }
            (None, None) => {
                return refuse("model.config (fresh weights) or model.folder is missing".into());
            }
            _ => {}
        }
        match (self.data.files.is_empty(), self.data.world.is_empty()) {
            (false, false) => {
                return refuse("data.files and data.world are both set; set one".into());
            }
            (true, true) if self.steps > 0 => {
                return refuse("data.files is missing: lines of JSON to learn from".into());
            }
            _ => {}
        }
        let Optimizer { learning_rate, epsilon, beta1, beta2, weight_decay, .. } = self.optimizer;
        let Optimizer { min_ratio, max_norm, .. } = self.optimizer;
        let positive = [
            ("learning_rate", Some(learning_rate)),
            ("epsilon", Some(epsilon)),
            ("max_norm", max_norm),
        ];
        for (key, value) in positive {
            if let Some(value) = value.filter(|value| !(*value > 0.0 && value.is_finite())) {
                return refuse(format!("optimizer.{key} is {value}, expected more than 0"));
            }
        }
        if !(0.0..=1.0).contains(&min_ratio) {
            return refuse(format!("optimizer.min_ratio is {min_ratio}, expected one in 0 to 1"));
        }
        for (key, value) in [("beta1", beta1), ("beta2", beta2)] {
            if !(0.0..1.0).contains(&value) {
                return refuse(format!("optimizer.{key} is {value}, expected one in [0, 1)"));
            }
        }
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return refuse(format!("optimizer.weight_decay is {weight_decay}, expected 0 or more"));
        }
        Ok(())
    }

    /// What forward passes keep.
    pub fn keep(&self) -> Keep {
        if self.recompute { Keep::BlockInputs } else { Keep::Everything }
    }

    /// For the optimizer.
    pub fn optimizer(&self) -> OptimizerSettings {
        let Optimizer { learning_rate, beta1, beta2, epsilon, weight_decay, .. } = self.optimizer;
        let Optimizer { warmup_steps, min_ratio, max_norm, .. } = self.optimizer;
        let schedule =
            Schedule::Cosine { warmup_steps, total_steps: self.steps, min_ratio, cycles: 0.5 };
        OptimizerSettings {
            adamw: AdamW { learning_rate, beta1, beta2, epsilon, weight_decay },
            schedule,
            max_norm,
        }
    }
}

/// Where examples come from.
#[derive(Debug)]
pub enum Source {
    /// A list, again and again, each time in another order.
    List {
        /// The examples.
        examples: Vec<Example>,
        /// Seed of the orders.
        seed: u64,
    },
    /// Lessons of the embedded world, each new.
    World {
        /// The prompts of the roles.
        prompts: Box<Prompts>,
        /// The tokenizer.
        tokenizer: Box<Tokenizer>,
        /// The token that ends a text.
        end: u32,
        /// What is taught when, in order.
        stages: Vec<Stage>,
        /// Seed of the lessons.
        seed: u64,
    },
}

/// A part of a course.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Steps that it takes.
    pub steps: u64,
    /// Share of each kind of lesson.
    pub mix: Mix,
}

/// Shares of lessons; they need not sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// Single steps of arithmetic.
    pub drill: f64,
    /// Looking up letters.
    pub find: f64,
    /// A solver's answers.
    pub solve: f64,
    /// A generator's questions.
    pub generate: f64,
}

impl Mix {
    fn kind(&self, stream: &mut Stream) -> Result<Kind> {
        let shares = [
            (Kind::Drill, self.drill),
            (Kind::Find, self.find),
            (Kind::Solve, self.solve),
            (Kind::Generate, self.generate),
        ];
        let total: f64 = shares.iter().map(|(_, share)| share).sum();
        if !(shares.iter().all(|(_, share)| *share >= 0.0) && total > 0.0 && total.is_finite()) {
            return Err(Error::Setting(format!("a mix of {self:?} has no shares")));
        }
        let mut left = 1.0;
        for (kind, share) in shares {
            let part = share / total;
            if stream.chance(part / left) {
                return Ok(kind);
            }
            left -= part;
        }
        Ok(Kind::Generate)
    }
}

impl Source {
    /// The examples of a step: they depend on seed, step and count alone.
    ///
    /// # Errors
    /// [`Error::Setting`] for a mix without shares.
    pub fn batch(&self, step: u64, count: usize) -> Result<Vec<Example>> {
        let first = step * count as u64;
        match self {
            Self::List { examples, seed } => Ok(listed(examples, *seed, first, count)),
            Self::World { prompts, tokenizer, end, stages, seed } => {
                let mix = mix_at(stages, step)?;
                (0..count as u64)
                    .into_par_iter()
                    .map(|i| {
                        let mut stream = Stream::new(*seed, "lesson", first + i);
                        let lesson = Lesson::draw(mix.kind(&mut stream)?, prompts, &mut stream)?;
                        Ok(encoded(&lesson, tokenizer, *end))
                    })
                    .collect()
            }
        }
    }
}

fn mix_at(stages: &[Stage], step: u64) -> Result<Mix> {
    let mut end = 0;
    for stage in stages {
        end += stage.steps;
        if step < end {
            return Ok(stage.mix);
        }
    }
    stages.last().map(|stage| stage.mix).ok_or_else(|| Error::Setting("no stages".into()))
}

fn listed(examples: &[Example], seed: u64, first: u64, count: usize) -> Vec<Example> {
    let places = order::walk(&[b"examples", &seed.to_le_bytes()], examples.len(), first, count);
    places.into_iter().map(|place| examples[place].clone()).collect()
}

/// A lesson as tokens.
pub fn encoded(lesson: &Lesson, tokenizer: &Tokenizer, end: u32) -> Example {
    let mut example = Example::default();
    for (text, weight) in &lesson.parts {
        example.push(&tokenizer.encode_text(text), *weight);
    }
    if lesson.ends {
        example.push(&[end], 1.0);
    }
    example
}
