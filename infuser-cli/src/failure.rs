//! Why a command did not succeed, as one line for a person and an exit code for a script.

use std::{error::Error, fmt, io, process::ExitCode};

use crate::say::say;

/// The exit code of what was stopped and can go on.
pub(crate) const INTERRUPTED: u8 = 3;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    /// What failed, where, and what to do; its sources are the causes.
    error: anyhow::Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The input cannot be worked with: exit code 2.
    BadInput,
    /// The run failed: exit code 1.
    Failed,
    /// Stopped by the user, and can go on: exit code 3.
    Interrupted,
    /// Nobody reads our output any more: not an error.
    ClosedPipe,
}

impl Failure {
    /// A fault in what the user passed.
    pub(crate) fn bad_input(message: impl fmt::Display) -> Self {
        Self { kind: Kind::BadInput, error: anyhow::anyhow!("{message}") }
    }

    /// A fault of the run or the machine.
    pub(crate) fn failed(
        message: impl fmt::Display + Send + Sync + 'static,
        cause: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind: Kind::Failed, error: anyhow::Error::new(cause).context(message) }
    }

    /// The user stopped it; `message` says how to go on.
    pub(crate) fn interrupted(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Interrupted, error: anyhow::anyhow!("{message}") }
    }

    /// A limit that the user set was passed.
    pub(crate) fn stopped(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Failed, error: anyhow::anyhow!("{message}") }
    }

    /// Results could not be written to `place`.
    pub(crate) fn output(place: impl fmt::Display, cause: io::Error) -> Self {
        let closed = cause.kind() == io::ErrorKind::BrokenPipe;
        let hint = match cause.kind() {
            io::ErrorKind::StorageFull => "; make room on its disk",
            io::ErrorKind::QuotaExceeded => "; your share of its disk is used up",
            io::ErrorKind::FileTooLarge => "; a limit on the size of files is set",
            io::ErrorKind::ReadOnlyFilesystem => "; its disk can only be read",
            _ => "",
        };
        let mut failure = Self::failed(format!("cannot write {place}{hint}"), cause);
        if closed {
            failure.kind = Kind::ClosedPipe;
        }
        failure
    }

    /// Adds to what stopped or failed how to go on.
    pub(crate) fn with_resume(self, command: &str) -> Self {
        match self.kind {
            Kind::BadInput | Kind::ClosedPipe => self,
            Kind::Failed | Kind::Interrupted => {
                let Self { kind, error } = self;
                let text = told(&error).join(": ");
                let error = anyhow::anyhow!("{text}\ngo on with: {command}");
                Self { kind, error }
            }
        }
    }

    /// The same, of one of several things that are worked on; on one line.
    pub(crate) fn of(self, what: impl fmt::Display) -> Self {
        let error = anyhow::anyhow!("{what}: {self}");
        Self { kind: self.kind, error }
    }

    /// One line, then the causes, each on its own.
    pub(crate) fn print(&self) {
        if self.kind == Kind::ClosedPipe {
            return;
        }
        let label = if self.kind == Kind::Interrupted { "stopped" } else { "error" };
        say(format_args!("{label}: {}", told(&self.error).join("\n  caused by: ")));
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::ClosedPipe => ExitCode::SUCCESS,
            Kind::Failed => ExitCode::from(1),
            Kind::BadInput => ExitCode::from(2),
            Kind::Interrupted => ExitCode::from(INTERRUPTED),
        }
    }
}

/// What failed and its causes, without those that another has told already.
fn told(error: &anyhow::Error) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !parts.iter().any(|part| part.contains(&cause)) {
            parts.push(cause);
        }
    }
    parts
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&told(&self.error).join(": "))
    }
}

impl From<infuser_model::Error> for Failure {
    fn from(error: infuser_model::Error) -> Self {
        if let infuser_model::Error::Io { action: "write" | "create", path, source } = error {
            return Self::output(path.display(), source);
        }
        let kind = if error.is_bad_input() { Kind::BadInput } else { Kind::Failed };
        Self { kind, error: error.into() }
    }
}

impl From<infuser_data::Error> for Failure {
    fn from(error: infuser_data::Error) -> Self {
        if let infuser_data::Error::Io { action: "write", path, source } = error {
            return Self::output(path.display(), source);
        }
        let kind = if error.is_bad_input() { Kind::BadInput } else { Kind::Failed };
        Self { kind, error: error.into() }
    }
}

impl From<infuser_influence::Error> for Failure {
    fn from(error: infuser_influence::Error) -> Self {
        let kind = if error.is_bad_input() { Kind::BadInput } else { Kind::Failed };
        Self { kind, error: error.into() }
    }
}

impl From<infuser_rl::Error> for Failure {
    fn from(error: infuser_rl::Error) -> Self {
        use infuser_rl::Error::{Data, Guard, Influence, Interrupted, Model, Store};
        match error {
            Data(error) => error.into(),
            Model(error) => (*error).into(),
            Influence(error) => (*error).into(),
            Interrupted => Self::interrupted("interrupted"),
            Guard(_) | Store(_) => Self::stopped(error),
            other => Self::bad_input(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_and_a_full_disk_says_what_to_do() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let path = std::path::PathBuf::from("run/state");
        let model = infuser_model::Error::Io { action: "write", path, source: full() };
        let expected = "cannot write run/state; make room on its disk: no storage space";
        assert_eq!(Failure::output("run/state", full()).to_string(), expected);
        assert_eq!(Failure::from(model).to_string(), expected);
        let resumed = Failure::output("run/state", full()).with_resume("infuser train --resume");
        assert_eq!(resumed.to_string(), format!("{expected}\ngo on with: infuser train --resume"));
        let path = std::path::PathBuf::from("model");
        let read = infuser_model::Error::Io { action: "read", path, source: full() };
        assert_eq!(Failure::from(read).to_string(), "cannot read model: no storage space");
    }
}
