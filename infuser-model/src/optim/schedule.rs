//! Learning-rate schedules: a factor on the base rate by step.

/// How the learning rate changes over a run. Step 0 is the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// A linear rise from 0 over the warm-up, then 1.
    Constant {
        /// Steps until the full rate.
        warmup_steps: u64,
    },
    /// A linear rise, then a cosine from 1 to `min_ratio`, whose value at `total_steps` holds from there
    /// on (the published code goes on along the cosine, and rises again).
    Cosine {
        /// Steps until the full rate.
        warmup_steps: u64,
        /// Steps of the whole run, warm-up included.
        total_steps: u64,
        /// Where the cosine ends, as a share of the base rate.
        min_ratio: f64,
        /// Periods of the cosine; 0.5 for one way down.
        cycles: f64,
    },
}

impl Schedule {
    /// The factor for the step after `step` others.
    ///
    /// ```
    /// use infuser_model::optim::Schedule;
    /// let (warmup_steps, total_steps) = (2, 6);
    /// let schedule = Schedule::Cosine { warmup_steps, total_steps, min_ratio: 0.0, cycles: 0.5 };
    /// let factors: Vec<f64> = (0..4).map(|step| schedule.factor(step)).collect();
    /// assert_eq!(factors[..3], [0.0, 0.5, 1.0]);
    /// assert!((schedule.factor(4) - 0.5).abs() < 1e-12);
    /// assert_eq!(schedule.factor(60), 0.0);
    /// ```
    pub fn factor(&self, step: u64) -> f64 {
        let warmup = |warmup_steps: u64| step as f64 / warmup_steps.max(1) as f64;
        match *self {
            Self::Constant { warmup_steps } if step < warmup_steps => warmup(warmup_steps),
            Self::Constant { .. } => 1.0,
            Self::Cosine { warmup_steps, .. } if step < warmup_steps => warmup(warmup_steps),
            Self::Cosine { warmup_steps, total_steps, min_ratio, cycles } => {
                let length = total_steps.saturating_sub(warmup_steps).max(1) as f64;
                let progress = ((step - warmup_steps) as f64 / length).min(1.0);
                let cosine = 0.5 * (1.0 + (std::f64::consts::TAU * cycles * progress).cos());
                min_ratio + (1.0 - min_ratio) * cosine
            }
        }
    }
}
