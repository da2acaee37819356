//! What can go wrong around scores.

use infuser_model::Monitor;

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Questions, a target or a setting that no score can come from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model or its device refused.
    #[error(transparent)]
    Model(#[from] infuser_model::Error),
    /// A question that the model cannot run, or whose parts do not fit together.
    #[error("question {index}: {problem}")]
    Question {
        /// Which, from 0.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A reference gradient that gives no direction, or one of another time or model.
    #[error("target: {0}")]
    Target(String),
    /// A setting outside its range.
    #[error("{0}")]
    Setting(String),
    /// The monitor wished to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Whether the fault lies in what the user passed rather than in the run.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Model(error) => error.is_bad_input(),
            Self::Interrupted => false,
            _ => true,
        }
    }
}

/// Between two batches: stops if the monitor wishes to, and tells it of `items` that are done.
pub(crate) fn go_on(monitor: &dyn Monitor, items: usize) -> Result<()> {
    monitor.advance(items, 0);
    if monitor.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
}

impl From<infuser_kernels::Error> for Error {
    fn from(error: infuser_kernels::Error) -> Self {
        Self::Model(error.into())
    }
}
