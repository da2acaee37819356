//! What can be wrong with arguments.

use infuser_model::Monitor;

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Arguments that do not fit together, or a setting outside its range.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A slice of another length than the others.
    #[error("{what} has {got} entries, expected {expected}")]
    Length {
        /// The argument.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The length the others imply.
        expected: usize,
    },
    /// A value that is NaN or infinite.
    #[error("{what} {index} is {value}, expected a number")]
    NotFinite {
        /// The argument.
        what: &'static str,
        /// Where, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A setting outside its range.
    #[error("{0}")]
    Setting(String),
    /// The run was told to stop; what was finished is kept.
    #[error("interrupted")]
    Interrupted,
    /// Going on would train on nothing.
    #[error("{0}")]
    Guard(String),
    /// What a stage made cannot be kept, or what was kept cannot be read.
    #[error("{0}")]
    Store(String),
    /// Of influence scores.
    #[error(transparent)]
    Influence(Box<infuser_influence::Error>),
    /// Of documents, prompts or tokenizers.
    #[error(transparent)]
    Data(#[from] infuser_data::Error),
    /// Of models.
    #[error(transparent)]
    Model(Box<infuser_model::Error>),
}

/// Between two stages or batches: stops if the monitor wishes to, and tells it of `items` that are done.
pub(crate) fn go_on(monitor: &dyn Monitor, items: usize) -> Result<()> {
    monitor.advance(items, 0);
    if monitor.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Checks a length.
pub(crate) fn length(what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected { Ok(()) } else { Err(Error::Length { what, got, expected }) }
}

/// Checks that all values are numbers.
pub(crate) fn finite(what: &'static str, values: &[f32]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { what, index, value: values[index].into() }),
    }
}

impl From<infuser_influence::Error> for Error {
    fn from(error: infuser_influence::Error) -> Self {
        match error {
            infuser_influence::Error::Interrupted => Self::Interrupted,
            error => Self::Influence(Box::new(error)),
        }
    }
}

impl From<infuser_model::Error> for Error {
    fn from(error: infuser_model::Error) -> Self {
        Self::Model(Box::new(error))
    }
}
