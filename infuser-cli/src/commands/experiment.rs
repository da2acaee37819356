//! `infuser experiment`: arms times seeds.

use std::{
    collections::VecDeque,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use clap::{ValueEnum, builder::PossibleValue};
use infuser_model::Monitor;
use infuser_rl::config::{Config, SECTIONS};
use serde_json::{Value, json};

use crate::{
    args::Experiment,
    device,
    display::Display,
    failure::Failure,
    plan::{Layer, Resolved, resolve},
    recipes,
    report::progress,
    run::write_whole,
    setup::{self, Folders},
    statistics::{Paired, Sample},
};

pub(crate) fn run(args: &Experiment) -> Result<(), Failure> {
    // Refused here once, rather than in every run.
    check(args)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed("cannot find the program itself", error))?;
    drop(device::open(args.on)?);
    fs::create_dir_all(&args.out).map_err(|cause| {
        Failure::bad_input(format!("cannot make {}: {cause}", args.out.display()))
    })?;
    let display = Display::new()?;
    let mut jobs = VecDeque::new();
    for seed in &args.seeds.0 {
        for arm in &args.arms {
            let out = place(args, arm, *seed);
            if !out.join("summary.json").exists() {
                jobs.push_back((arm.clone(), *seed, out));
            }
        }
    }
    let bar = progress(jobs.len(), "runs");
    let threads = (rayon::current_num_threads() / args.jobs).max(1);
    let (jobs, failures) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((arm, seed, out)) = job.filter(|_| !display.interrupted()) else {
                        return;
                    };
                    if let Err(problem) = one(&program, &arm, seed, &out, threads, args) {
                        let failure = format!("{arm}, seed {seed}: {problem}");
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    if display.interrupted() {
        return Err(Failure::interrupted("give the same command again to go on"));
    }
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failures.is_empty() {
        return Err(Failure::stopped(failures.join("\n")));
    }
    table(args)
}

/// The folder of a run.
fn place(args: &Experiment, arm: &str, seed: u64) -> PathBuf {
    args.out.join(arm).join(format!("seed-{seed}"))
}

/// Whether every arm can be run, and every run that is there is one of this experiment.
fn check(args: &Experiment) -> Result<(), Failure> {
    let sets = args.set.iter().map(|set| Layer::set(set)).collect::<Result<Vec<_>, _>>()?;
    if sets.iter().any(|set| set.has("run", "seed")) {
        return Err(Failure::bad_input("--set run.seed: the seeds of an experiment are --seeds"));
    }
    for (i, arm) in args.arms.iter().enumerate() {
        if args.arms[..i].contains(arm) {
            return Err(Failure::bad_input(format!("--arms names {arm} twice")));
        }
        let mut layers = Layer::recipe(&recipes::ALL, arm)?;
        layers.extend(sets.iter().cloned());
        let plan = resolve::<Config>(&layers, &SECTIONS).map_err(|failure| failure.of(arm))?;
        inputs(&plan.value).map_err(|failure| failure.of(arm))?;
        for seed in &args.seeds.0 {
            layers.push(Layer::set(&format!("run.seed={seed}"))?);
            unchanged(&resolve(&layers, &SECTIONS)?, &place(args, arm, *seed))?;
            layers.pop();
        }
    }
    Ok(())
}

/// Whether the settings are good, and what they name is there.
fn inputs(config: &Config) -> Result<(), Failure> {
    config.check()?;
    let folder =
        tempfile::tempdir().map_err(|cause| Failure::output("a temporary folder", cause))?;
    Folders::find(config, folder.path())?.configs()?;
    setup::inputs(config).map(drop)
}

/// Whether the run in a folder, if there is one, has these settings.
fn unchanged(plan: &Resolved<Config>, out: &Path) -> Result<(), Failure> {
    let path = out.join("plan.toml");
    let old = match fs::read_to_string(&path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // `--out` or a folder below it is a file: said when the folder is made.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(()),
        Err(error) => return Err(Failure::bad_input(format!("{}: {error}", path.display()))),
    };
    let changes = plan.changes(&old).map_err(|failure| failure.of(path.display()))?;
    if changes.is_empty() {
        return Ok(());
    }
    Err(Failure::bad_input(format!(
        "{} was begun with other settings ({}); give them again, or another --out",
        out.display(),
        changes.join("; ")
    )))
}

/// One run, as `infuser train` does it; its messages go to a file beside the run.
fn one(
    program: &Path,
    arm: &str,
    seed: u64,
    out: &Path,
    threads: usize,
    args: &Experiment,
) -> Result<(), String> {
    let log = out.with_extension("log");
    fs::create_dir_all(out.parent().unwrap_or(out)).map_err(|error| error.to_string())?;
    let file = fs::OpenOptions::new().create(true).append(true).open(&log);
    let file = file.map_err(|error| format!("{}: {error}", log.display()))?;
    let mut command = Command::new(program);
    command.arg("train").arg("--threads").arg(threads.to_string());
    command.args(["--recipe", arm, "--set", &format!("run.seed={seed}")]);
    for set in &args.set {
        command.args(["--set", set]);
    }
    let device = args.on.device.to_possible_value();
    command.args(["--device", device.as_ref().map_or("auto", PossibleValue::get_name)]);
    if out.join("plan.toml").exists() {
        command.arg("--resume");
    }
    command.arg("--out").arg(out).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let status = command.status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{status}; see {}", log.display())) }
}

/// A run's summary.
fn summary(out: &Path) -> Result<Value, Failure> {
    let path = out.join("summary.json");
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))
}

fn table(args: &Experiment) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut first: Option<Vec<f64>> = None;
    let mut page = format!(
        "{:<16} {:>5}  {:<24} {:<24} {:<30} {:>8}\n",
        "arm", "runs", "accuracy before", "accuracy after", "difference from the first", "seconds"
    );
    for arm in &args.arms {
        let summaries = args
            .seeds
            .0
            .iter()
            .map(|seed| summary(&place(args, arm, *seed)))
            .collect::<Result<Vec<_>, _>>()?;
        let all = |key: &str| -> Vec<f64> {
            summaries.iter().filter_map(|summary| summary[key].as_f64()).collect()
        };
        let (before, after) = (all("test_accuracy_before"), all("test_accuracy_after"));
        let secs = Sample::of(&all("seconds"));
        let paired = first.as_ref().filter(|first| first.len() == after.len());
        let paired = paired.map(|first| Paired::of(&after, first));
        let (b, a) = (Sample::of_shares(&before), Sample::of_shares(&after));
        page += &format!(
            "{arm:<16} {:>5}  {:<24} {:<24} {:<30} {:>8.1}\n",
            summaries.len(),
            b.shown(),
            a.shown(),
            paired.as_ref().map_or(String::new(), Paired::shown),
            secs.mean
        );
        rows.push(json!({
            "arm": arm,
            "seeds": args.seeds.0,
            "before": before,
            "after": after,
            "after_mean": a.mean,
            "after_interval_95": a.interval,
            "difference_mean": paired.as_ref().map(|paired| paired.sample.mean),
            "difference_interval_95": paired.as_ref().map(|paired| paired.sample.interval),
            "p_value": paired.as_ref().map(|paired| paired.p_value),
            "seconds_mean": secs.mean,
        }));
        first.get_or_insert(after);
    }
    let text = format!("{:#}\n", Value::Array(rows));
    write_whole(&args.out.join("table.json"), text.as_bytes())?;
    let mut out = io::stdout().lock();
    out.write_all(page.as_bytes()).map_err(|error| Failure::output("standard output", error))
}
