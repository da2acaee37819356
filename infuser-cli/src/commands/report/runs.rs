//! The runs of a report: where they are, what they say, and which belong together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    failure::Failure,
    plan,
    run::{Line, read_metrics, title},
};

/// Settings in which runs of one group may differ.
const FREE: [&str; 2] = ["run.seed", "run.iterations"];
/// The metric at the ends of a run.
const ACCURACY: &str = "test/accuracy_strict";

/// A run as it is read.
pub(super) struct Run {
    pub(super) path: PathBuf,
    /// Its recipe, or its folder's name.
    pub(super) recipe: String,
    /// What its group is called: the recipe, and where there are several groups of it the settings in which
    /// they differ.
    pub(super) arm: String,
    /// By dotted key, without those that are free.
    settings: BTreeMap<String, String>,
    pub(super) seed: Option<u64>,
    /// Null for a run that has not ended.
    pub(super) summary: Value,
    pub(super) lines: Vec<Line>,
    /// Whether an earlier run is of its group and seed: the same numbers again.
    pub(super) repeated: bool,
}

/// Reads the runs among the folders given and below them, in groups: those of one recipe and the same settings.
///
/// # Errors
/// No run where one is named; files of a run that are damaged; a run of `infuser pretrain`.
pub(super) fn read_all(given: &[PathBuf]) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for path in folders(given)? {
        runs.push(read(path)?);
    }
    name_groups(&mut runs);
    let mut seen = BTreeSet::new();
    for run in &mut runs {
        run.repeated = run.seed.is_some_and(|seed| !seen.insert((run.arm.clone(), seed)));
    }
    Ok(runs)
}

/// The folders of runs among those given and below them, as `infuser experiment` lays them out: in the order
/// given, and below one by recipe and seed, none twice. Files among several are passed over: a pattern like
/// `DIR/*/*` names the logs beside the runs as well.
fn folders(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in given {
        let before = found.len();
        find(path, 2, &mut found);
        let passed_over = given.len() > 1 && path.is_file();
        if found.len() == before && !passed_over {
            return Err(no_run(path));
        }
    }
    if let Some(path) = given.first().filter(|_| found.is_empty()) {
        return Err(no_run(path));
    }
    let mut seen = BTreeSet::new();
    found.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    Ok(found)
}

fn no_run(path: &Path) -> Failure {
    Failure::bad_input(format!(
        "{} holds no run: give a folder that `infuser train` or `infuser experiment` made",
        path.display()
    ))
}

fn find(path: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if path.join("metrics.jsonl").exists() {
        found.push(path.to_path_buf());
    } else if depth > 0 {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        // By length first: `seed-2` before `seed-10`, `tiny` before its ablations.
        below.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        below.iter().for_each(|path| find(path, depth - 1, found));
    }
}

fn read(path: PathBuf) -> Result<Run, Failure> {
    let plan = text(&path.join("plan.toml"))?.unwrap_or_default();
    let mut settings = plan::settings(&plan, &path.join("plan.toml").display())?;
    if settings.contains_key("steps") {
        return Err(Failure::bad_input(format!(
            "{} is a run of `infuser pretrain`; a report is of runs of `infuser train`",
            path.display()
        )));
    }
    let seed = settings.get("run.seed").and_then(|seed| seed.parse().ok());
    settings.retain(|key, _| !FREE.contains(&key.as_str()));
    let place = path.join("summary.json");
    let summary = match text(&place)? {
        // A run that is under way, or was stopped.
        None => Value::Null,
        Some(text) => serde_json::from_str(&text)
            .map_err(|error| Failure::bad_input(format!("{}: {error}", place.display())))?,
    };
    let folder = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let recipe = title(&plan).map_or(folder, str::to_string);
    Ok(Run {
        lines: read_metrics(&path.join("metrics.jsonl"))?,
        arm: recipe.clone(),
        recipe,
        settings,
        seed,
        summary,
        path,
        repeated: false,
    })
}

/// A file's text; `None` if it is not there.
fn text(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::bad_input(format!("{}: {error}", path.display()))),
    }
}

/// Adds to the names of groups of one recipe the settings in which they differ.
fn name_groups(runs: &mut [Run]) {
    let mut values: BTreeMap<(String, String), BTreeSet<Option<String>>> = BTreeMap::new();
    let keys: BTreeSet<String> = runs.iter().flat_map(|run| run.settings.keys().cloned()).collect();
    for run in runs.iter() {
        for key in &keys {
            let place = (run.recipe.clone(), key.clone());
            values.entry(place).or_default().insert(run.settings.get(key).cloned());
        }
    }
    for run in runs {
        for (key, value) in &run.settings {
            if values[&(run.recipe.clone(), key.clone())].len() > 1 {
                run.arm += &format!(" {key}={}", value.trim_matches('"'));
            }
        }
    }
}

impl Run {
    /// Whether it has come to its end.
    pub(super) fn ended(&self) -> bool {
        !self.summary.is_null()
    }

    /// Test accuracy at its start, which a run that has not ended has as well.
    pub(super) fn before(&self) -> Option<f64> {
        self.lines.iter().find_map(|line| line.metrics.get(ACCURACY))
    }

    /// Test accuracy at its end.
    pub(super) fn after(&self) -> Option<f64> {
        self.summary["test_accuracy_after"].as_f64()
    }

    /// A metric by iteration; stages of several generator updates are averaged.
    pub(super) fn curve(&self, metric: &str) -> Vec<(f64, f64)> {
        let mut places: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for line in &self.lines {
            if let Some(value) = line.metrics.get(metric) {
                places.entry(line.iteration).or_default().push(value);
            }
        }
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        places.iter().map(|(iteration, values)| (*iteration as f64, mean(values))).collect()
    }
}
