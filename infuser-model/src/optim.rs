//! The optimizer: AdamW over all parameters, clipping by global norm, learning-rate schedules.

mod schedule;

pub use infuser_kernels::ops::adamw::AdamW;
pub use schedule::Schedule;

use infuser_kernels::{
    Buffer, Device, Dtype, View,
    ops::{adamw, grad_norm},
};

use crate::{
    error::Result,
    layout::{Layout, Tensors},
};

/// Settings that do not change during a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerSettings {
    /// Base learning rate, β, ε and decay. Decay applies to every parameter, norms and biases too.
    pub adamw: AdamW,
    /// Factor on the learning rate by step.
    pub schedule: Schedule,
    /// Gradients with a larger global L2 norm are scaled down to it; `None` for no clipping.
    pub max_norm: Option<f64>,
}

impl Default for OptimizerSettings {
    /// The published settings of the solver: learning rate 2e-6, constant; β 0.9 and 0.999, ε 1e-8,
    /// decay 0.01, clipping at 1.
    fn default() -> Self {
        Self {
            adamw: AdamW {
                learning_rate: 2e-6,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.01,
            },
            schedule: Schedule::Constant { warmup_steps: 0 },
            max_norm: Some(1.0),
        }
    }
}

/// AdamW with its state for one model. Where the model's weights are bf16, it also holds them in f32: a
/// step is often smaller than what bf16 can tell apart.
#[derive(Debug)]
pub struct Optimizer {
    settings: OptimizerSettings,
    exp_avg: Tensors,
    exp_avg_sq: Tensors,
    /// The weights in f32, from the first step on; `None` where the model's own are.
    master: Option<Tensors>,
    steps: u64,
}

/// What one call of [`Optimizer::step`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Global L2 norm of the gradient, before clipping.
    pub gradient_norm: f64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Factor on the gradient; below 1 if it was clipped.
    pub clip_factor: f32,
    /// The norm was NaN or infinite: nothing was changed, and the step does not count.
    pub skipped: bool,
}

impl Optimizer {
    /// A fresh optimizer: moments zero, no steps taken.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn new(layout: &Layout, device: Device, settings: OptimizerSettings) -> Result<Self> {
        let exp_avg = Tensors::optimizer_zeros(layout, &device)?;
        let exp_avg_sq = Tensors::optimizer_zeros(layout, &device)?;
        Ok(Self { settings, exp_avg, exp_avg_sq, master: None, steps: 0 })
    }

    /// The settings.
    pub fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    /// The same state under other settings, for steps that are only tried.
    #[must_use]
    pub fn with_settings(self, settings: OptimizerSettings) -> Self {
        Self { settings, ..self }
    }

    /// A second optimizer with the same state.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn copy(&self) -> Result<Self> {
        Ok(Self {
            settings: self.settings,
            exp_avg: self.exp_avg.copy()?,
            exp_avg_sq: self.exp_avg_sq.copy()?,
            master: self.master.as_ref().map(Tensors::copy).transpose()?,
            steps: self.steps,
        })
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// First moments.
    pub fn exp_avg(&self) -> &Tensors {
        &self.exp_avg
    }

    /// Second moments.
    pub fn exp_avg_sq(&self) -> &Tensors {
        &self.exp_avg_sq
    }

    /// The weights in f32, where the model holds them in bf16 and a step was taken or loaded.
    pub fn master(&self) -> Option<&Tensors> {
        self.master.as_ref()
    }

    pub(crate) fn moments_mut(&mut self) -> (&mut Tensors, &mut Tensors) {
        (&mut self.exp_avg, &mut self.exp_avg_sq)
    }

    pub(crate) fn set_master(&mut self, master: Option<Tensors>) {
        self.master = master;
    }

    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Takes one step, unless the gradient's norm is not finite.
    ///
    /// Weights in bf16 are overwritten with the rounded f32 ones that the optimizer took from them at its
    /// first step: what else changes them in between is lost.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if weights or gradients have other shapes than the optimizer, or a
    /// setting is out of range.
    pub fn step(&mut self, weights: &mut Tensors, gradients: &Tensors) -> Result<StepReport> {
        let all: Vec<View<'_>> = gradients.buffers().iter().map(Buffer::view).collect();
        let gradient_norm = grad_norm::sum_of_squares(&all)?.sqrt();
        let OptimizerSettings { adamw, schedule, max_norm } = self.settings;
        let learning_rate = adamw.learning_rate * schedule.factor(self.steps);
        if !gradient_norm.is_finite() {
            let clip_factor = 0.0;
            return Ok(StepReport { gradient_norm, learning_rate, clip_factor, skipped: true });
        }
        let clip_factor = max_norm.map_or(1.0, |max| grad_norm::clip_factor(gradient_norm, max));
        let hyper = AdamW { learning_rate, ..adamw };
        let rounds = |buffer: &Buffer| buffer.dtype() == Dtype::Bf16;
        if self.master.is_none() && weights.buffers().iter().any(rounds) {
            self.master = Some(weights.widened()?);
        }
        let mut master = self.master.as_mut().map(|master| master.buffers_mut().iter_mut());
        let moments = self.exp_avg.buffers_mut().iter_mut().zip(self.exp_avg_sq.buffers_mut());
        let parameters = weights.buffers_mut().iter_mut().zip(gradients.buffers());
        for ((weight, gradient), (exp_avg, exp_avg_sq)) in parameters.zip(moments) {
            let (weight, rounded) = match master.as_mut().and_then(Iterator::next) {
                Some(master) => (master.view_mut(), Some(weight.view_mut())),
                None => (weight.view_mut(), None),
            };
            let (exp_avg, exp_avg_sq) = (exp_avg.view_mut(), exp_avg_sq.view_mut());
            let state = adamw::State { weight, exp_avg, exp_avg_sq, rounded };
            adamw::step(&hyper, self.steps + 1, clip_factor, gradient.view(), state)?;
        }
        self.steps += 1;
        Ok(StepReport { gradient_norm, learning_rate, clip_factor, skipped: false })
    }
}
