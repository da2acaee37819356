//! A role: a model with its optimizer, and the language it speaks.

use std::sync::Arc;

use infuser_kernels::Device;
use infuser_model::{Model, ModelConfig, Monitor, generate::Options, memory, optim::Optimizer};

use crate::{
    config::{Rollout, Update},
    error::{Error, Result},
    rollout::Speaker,
    voice::Voice,
};

/// Generator or solver.
#[derive(Debug)]
pub struct Role {
    /// The model.
    pub model: Model,
    /// AdamW with its moments; `None` for a role that does not learn.
    pub optimizer: Option<Optimizer>,
    /// Tokenizer and prompts.
    pub voice: Arc<Voice>,
}

impl Role {
    /// A role that learns.
    ///
    /// # Errors
    /// No memory for the optimizer.
    pub fn learner(model: Model, voice: Arc<Voice>, update: &Update) -> Result<Self> {
        let optimizer = Optimizer::new(model.layout(), model.device(), update.optimizer())?;
        Ok(Self { model, optimizer: Some(optimizer), voice })
    }

    /// A role that stays as it is.
    pub fn fixed(model: Model, voice: Arc<Voice>) -> Self {
        Self { model, optimizer: None, voice }
    }

    /// The role, to sample from.
    pub fn speaker<'a>(&'a self, monitor: &'a dyn Monitor) -> Speaker<'a> {
        Speaker { model: &self.model, voice: &self.voice, monitor }
    }
}

/// Refuses a cache that the longest sequence alone outgrows: such a run would stop at its first long
/// sample, hours after it began.
///
/// # Errors
/// [`Error::Setting`] naming the key and what it would have to be.
pub fn check_cache(
    role: &str,
    rollout: &Rollout,
    model: &ModelConfig,
    device: &Device,
) -> Result<()> {
    let sequence = rollout.max_prompt_tokens.saturating_add(rollout.max_tokens);
    let tokens = sequence.min(model.max_positions).saturating_add(Options::default().block_tokens);
    let needed = memory::cache_bytes_per_token(model, device) * tokens as u128;
    if needed <= (rollout.cache_mib as u128) << 20 {
        return Ok(());
    }
    Err(Error::Setting(format!(
        "{role}.rollout.cache_mib = {} is less than one sequence of {tokens} tokens takes; set it to {} for each \
         that is to be sampled at a time, or lower {role}.rollout.max_tokens",
        rollout.cache_mib,
        needed.div_ceil(1 << 20)
    )))
}
