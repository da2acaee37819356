//! What can go wrong around a model. Each variant says where and what; the message says what to do
//! where that is not plain.

use std::path::{Path, PathBuf};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A model folder, a batch or a device could not be worked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An op refused its arguments or a device ran out of memory.
    #[error(transparent)]
    Kernel(#[from] infuser_kernels::Error),
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done: "read", "write", "map", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A `config.json` is not valid, or describes something this crate does not run.
    #[error("{}: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Which key, what it holds, what would be accepted.
        problem: String,
    },
    /// A weights file or index is damaged or does not fit the model's `config.json`.
    #[error("{}: {problem}", path.display())]
    Weights {
        /// The file, or the folder for tensors that are nowhere.
        path: PathBuf,
        /// Which tensor, what is there, what was expected.
        problem: String,
    },
    /// A resume state is damaged, of another version, or of another model.
    #[error("{}: {problem}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// Token sequences that cannot be run by this model.
    #[error("{0}")]
    Batch(String),
    /// A setting outside its range.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    /// Shorthand for [`Error::Io`], for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// Shorthand for [`Error::Weights`].
    pub(crate) fn weights(path: &Path, problem: impl Into<String>) -> Self {
        Self::Weights { path: path.to_path_buf(), problem: problem.into() }
    }

    /// Shorthand for [`Error::Config`].
    pub(crate) fn config(path: &Path, problem: impl Into<String>) -> Self {
        Self::Config { path: path.to_path_buf(), problem: problem.into() }
    }

    /// Whether the fault lies in what the user passed (a file, a batch, a setting) rather than in
    /// the run: no space left, no memory, a fault of the program.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Kernel(_) => false,
            Self::Io { action, .. } => *action == "read" || *action == "map",
            _ => true,
        }
    }
}
