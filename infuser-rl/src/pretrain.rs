//! Supervised training from texts: what is read at each step.

use infuser_data::{
    order,
    prompt::Prompts,
    tokenizer::Tokenizer,
    world::{Kind, Lesson, Stream},
};
use infuser_model::supervised::Example;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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
        prompts: Prompts,
        /// The tokenizer.
        tokenizer: Tokenizer,
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
