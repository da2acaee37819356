//! A role: a model with its optimizer, and the language it speaks.

use std::sync::Arc;

use infuser_model::{Model, Monitor, optim::Optimizer};

use crate::{config::Update, error::Result, rollout::Speaker, voice::Voice};

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
