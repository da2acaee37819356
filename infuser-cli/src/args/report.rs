//! Arguments of `infuser report`.

use std::path::PathBuf;

/// `infuser report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// Folders of runs, or of an experiment's; runs of one recipe with the same settings but for seed and
    /// iterations are drawn as one line with a band, and the first are those that others are compared with.
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page to write: one file that needs nothing else.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: PathBuf,
    /// Write each chart into this folder as well, as an SVG of its own.
    #[arg(long, value_name = "DIR")]
    pub(crate) charts: Option<PathBuf>,
}
