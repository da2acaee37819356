//! How the two roles sample and learn.

use infuser_model::{
    Keep,
    generate::Sampling,
    optim::{AdamW, OptimizerSettings, Schedule},
};
use serde::{Deserialize, Serialize};

use crate::{
    advantage::Normalisation, loss::Clip, reduce::Reduction, rollout::Decoding, select::Filter,
};

/// A role's sampling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rollout {
    /// Samples of each prompt.
    pub samples: usize,
    /// Above 0.
    pub temperature: f32,
    /// In (0, 1]; 1 for all tokens.
    pub top_p: f32,
    /// `None` for all tokens.
    pub top_k: Option<usize>,
    /// In [0, 1]; 0 for all tokens.
    pub min_p: f32,
    /// Longer prompts are left out, and counted.
    pub max_prompt_tokens: usize,
    /// New tokens of a sample, at most.
    pub max_tokens: usize,
    /// Memory for keys and values, in MiB: at least what one sequence of the longest prompt and answer
    /// takes.
    pub cache_mib: usize,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            samples: 8,
            temperature: 0.7,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            max_prompt_tokens: 4096,
            max_tokens: 8192,
            cache_mib: 1024,
        }
    }
}

impl Rollout {
    /// For the engine.
    pub fn decoding(&self) -> Decoding {
        let Self { temperature, top_p, top_k, min_p, .. } = *self;
        Decoding {
            sampling: Sampling::Random { temperature, top_k, top_p, min_p },
            samples: self.samples,
            max_tokens: self.max_tokens,
            cache_bytes: self.cache_mib << 20,
        }
    }
}

/// How a role learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Update {
    /// Of AdamW, after the warm-up.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises.
    pub warmup_steps: u64,
    /// Of AdamW.
    pub beta1: f64,
    /// Of AdamW.
    pub beta2: f64,
    /// Of AdamW.
    pub epsilon: f64,
    /// Of AdamW, on every parameter.
    pub weight_decay: f64,
    /// Gradients of a larger norm are scaled down to it; `None` for no clipping.
    #[serde(default)]
    pub max_norm: Option<f64>,
    /// Prompts of a step. They are spread evenly: no step has many fewer than another.
    pub prompts_per_step: usize,
    /// How often all rollouts are learned from.
    pub epochs: usize,
    /// Where the ratio is cut.
    pub clip: Clip,
    /// How tokens' losses become one; `None` for the sum over all tokens by the mean length of all
    /// responses of the update times the responses of its largest step.
    pub reduction: Option<Reduction>,
    /// Factor on the entropy in the objective.
    pub entropy: f64,
    /// Tokens that are computed together: more is faster and takes more memory.
    pub batch_tokens: usize,
    /// Compute activations again in the backward pass rather than keep them: slower, less memory.
    pub recompute: bool,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            learning_rate: 2e-6,
            warmup_steps: 0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            max_norm: Some(1.0),
            prompts_per_step: 32,
            epochs: 1,
            clip: Clip::default(),
            reduction: None,
            entropy: 0.0,
            batch_tokens: 8192,
            recompute: true,
        }
    }
}

impl Update {
    /// What forward passes keep.
    pub fn keep(&self) -> Keep {
        if self.recompute { Keep::BlockInputs } else { Keep::Everything }
    }

    /// For the optimizer.
    pub fn optimizer(&self) -> OptimizerSettings {
        let Self { learning_rate, beta1, beta2, epsilon, weight_decay, .. } = *self;
        OptimizerSettings {
            adamw: AdamW { learning_rate, beta1, beta2, epsilon, weight_decay },
            schedule: Schedule::Constant { warmup_steps: self.warmup_steps },
            max_norm: self.max_norm,
        }
    }
}

/// The one who answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Solver {
    /// How it samples.
    pub rollout: Rollout,
    /// How it learns.
    pub update: Update,
    /// What its scores are divided by.
    pub normalisation: Normalisation,
    /// Which questions it learns from.
    pub filter: Filter,
    /// Added to the score of an answer that stopped by itself and holds none.
    pub mid_eos_penalty: f32,
}

/// The one who asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generator {
    /// How it samples.
    pub rollout: Rollout,
    /// How it learns.
    pub update: Update,
}

impl Default for Solver {
    fn default() -> Self {
        Self {
            rollout: Rollout::default(),
            update: Update::default(),
            normalisation: Normalisation::Centred,
            filter: Filter::All,
            mid_eos_penalty: 0.0,
        }
    }
}

impl Default for Generator {
    fn default() -> Self {
        let update = Update { learning_rate: 4e-6, ..Update::default() };
        Self { rollout: Rollout::default(), update }
    }
}
