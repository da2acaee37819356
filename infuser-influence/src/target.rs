//! The direction that is wanted: the gradient of the loss on the target questions.

use infuser_kernels::{
    Buffer, View,
    ops::{add, grad_norm},
};
use infuser_model::{Model, Monitor, Tensors};

use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
    gradient::{Settings, gradient},
    question::{Objective, Question},
};

/// What a target was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The weights at which its newest gradient was taken.
    pub weights: Fingerprint,
    /// The questions of all its gradients.
    pub data: Fingerprint,
    /// How many gradients are in it.
    pub gradients: u64,
}

/// A reference gradient `m`: raw, not preconditioned, not clipped; never zero.
#[derive(Debug)]
pub struct Target {
    gradient: Tensors,
    norm: f64,
    origin: Origin,
}

impl Target {
    /// The gradient of the target questions' loss, a mean over all responses of those that are not
    /// silent.
    ///
    /// # Errors
    /// [`Error::Target`] if it is zero (no question has answers that differ) or not finite; as
    /// [`gradient`].
    pub fn measure(
        model: &Model,
        questions: &[Question],
        objective: &Objective,
        settings: Settings,
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let kept = questions.iter().filter(|question| !question.is_silent());
        let rows: usize = kept.map(|question| question.responses.len()).sum();
        if rows == 0 {
            let problem = "no question has a response with an advantage, so there is no direction";
            return Err(Error::Target(problem.into()));
        }
        let gradient = gradient(model, questions, objective, rows as f64, settings, monitor)?;
        let origin = Origin {
            weights: Fingerprint::of_tensors(model.weights())?,
            data: Fingerprint::of_questions(questions),
            gradients: 1,
        };
        Self::new(gradient, origin)
    }

    /// A gradient from elsewhere, in the shapes of the model.
    ///
    /// # Errors
    /// [`Error::Target`] if it is zero or not finite.
    pub fn new(gradient: Tensors, origin: Origin) -> Result<Self> {
        let norm = norm(&gradient)?;
        Ok(Self { gradient, norm, origin })
    }

    /// Momentum: `m ← β m + (1 − β) m_new`, without a correction for the start. Afterwards the target
    /// belongs to the weights of the newer one.
    ///
    /// # Errors
    /// [`Error::Setting`] for a β outside `[0, 1)`, [`Error::Target`] if the two cancel,
    /// [`Error::Model`] if they are of different models. Nothing is changed then.
    pub fn blend(&mut self, newer: Self, beta: f64) -> Result<()> {
        if !(0.0..1.0).contains(&beta) {
            return Err(Error::Setting(format!("momentum beta {beta}, expected one in [0, 1)")));
        }
        let mut blended = newer.gradient;
        for (new, old) in blended.buffers_mut().iter_mut().zip(self.gradient.buffers()) {
            add::scale((1.0 - beta) as f32, new.view_mut())?;
            let mut part = old.copy()?;
            add::scale(beta as f32, part.view_mut())?;
            add::add(part.view(), new.view_mut())?;
        }
        self.norm = norm(&blended)?;
        self.gradient = blended;
        self.origin = Origin {
            weights: newer.origin.weights,
            data: Fingerprint::of_all(&[self.origin.data, newer.origin.data]),
            gradients: self.origin.gradients + newer.origin.gradients,
        };
        Ok(())
    }

    /// A second target with the same gradient.
    ///
    /// # Errors
    /// [`Error::Model`] if the device has no room.
    pub fn copy(&self) -> Result<Self> {
        Ok(Self { gradient: self.gradient.copy()?, norm: self.norm, origin: self.origin })
    }

    /// The gradient.
    pub fn gradient(&self) -> &Tensors {
        &self.gradient
    }

    /// `|m|`, above 0.
    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// What it was made of.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

fn norm(gradient: &Tensors) -> Result<f64> {
    let all: Vec<View<'_>> = gradient.buffers().iter().map(Buffer::view).collect();
    let squares = grad_norm::sum_of_squares(&all)?;
    match squares {
        0.0 => Err(Error::Target("the gradient is zero, so there is no direction".into())),
        _ if !squares.is_finite() => {
            Err(Error::Target(format!("the gradient's squared norm is {squares}")))
        }
        _ => Ok(squares.sqrt()),
    }
}
