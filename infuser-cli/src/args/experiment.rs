//! Arguments of `infuser experiment`.

use std::path::PathBuf;

use super::OnDevice;

pub(crate) const EXAMPLES: &str = "\
Example:
  infuser experiment --arms tiny,tiny-fixed,tiny-spice --seeds 1..5 --out runs/compare --jobs 2

Each run is `DIR/ARM/seed-N`, as `infuser train` makes it. Runs that are complete are left alone, those that \
were stopped go on; so the command can be stopped and given again. At the end: a table, and the same in \
DIR/table.json. `infuser report DIR` makes a page of it.";

/// `infuser experiment`.
#[derive(Debug, clap::Args)]
pub(crate) struct Experiment {
    /// Recipes to compare; differences are to the first.
    #[arg(long, value_name = "RECIPE,…", value_delimiter = ',', required = true)]
    pub(crate) arms: Vec<String>,
    /// Seeds: `1..5` for 1 to 5, or a list.
    #[arg(long, value_name = "SEEDS", default_value = "1..5", value_parser = seeds)]
    pub(crate) seeds: Seeds,
    /// The folder of all runs.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Runs at a time; the processors are shared among them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::at_least_one)]
    pub(crate) jobs: usize,
    /// One setting of every run; may be given again.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Where to compute.
    #[command(flatten)]
    pub(crate) on: OnDevice,
}

/// Seeds, none twice.
#[derive(Debug, Clone)]
pub(crate) struct Seeds(pub(crate) Vec<u64>);

fn seeds(text: &str) -> Result<Seeds, String> {
    let number = |text: &str| {
        text.trim().parse::<u64>().map_err(|error| format!("`{text}` is no seed: {error}"))
    };
    let seeds = match text.split_once("..") {
        Some((from, to)) => {
            let (from, to) = (number(from)?, number(to.trim_start_matches('='))?);
            if from > to || to - from > 10_000 {
                return Err(format!("{from}..{to} is no range of seeds"));
            }
            (from..=to).collect()
        }
        None => text.split(',').map(number).collect::<Result<Vec<_>, _>>()?,
    };
    let distinct: std::collections::BTreeSet<&u64> = seeds.iter().collect();
    if distinct.len() < seeds.len() {
        return Err("a seed stands twice".into());
    }
    Ok(Seeds(seeds))
}
