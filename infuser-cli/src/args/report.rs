//! Arguments of `infuser report`.

use std::path::PathBuf;

/// `infuser report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// Folders of runs; those of one recipe are drawn as one line with a band.
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page to write: one file that needs nothing else.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: PathBuf,
}
