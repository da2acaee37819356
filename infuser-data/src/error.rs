//! What can be wrong with what comes from outside. Each message says where and what, and what to do
//! where that is not plain.

use std::path::{Path, PathBuf};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A file, a record of it, or a setting could not be worked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done: "read", "write", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A place that was named for a file, where none can be written.
    #[error("cannot write {}: {source}", path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file as a whole is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected.
        problem: String,
    },
    /// One record of a file is not what it should be.
    #[error("{}, record {number}: {problem}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Counted from 1; for JSON lines the line.
        number: usize,
        /// Which field, what was found, what was expected.
        problem: String,
    },
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

    /// Shorthand for [`Error::File`].
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), problem: problem.into() }
    }

    /// Shorthand for [`Error::Record`].
    pub(crate) fn record(path: &Path, number: usize, problem: impl Into<String>) -> Self {
        Self::Record { path: path.to_path_buf(), number, problem: problem.into() }
    }

    /// Whether the fault is in what the user passed, rather than in the run or the machine.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Io { action: "write", .. })
    }
}
