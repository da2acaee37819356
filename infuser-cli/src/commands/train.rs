//! `infuser train`.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use infuser_influence::{Fingerprint, Origin, Target};
use infuser_kernels::Device;
use infuser_model::checkpoint::{self, SaveDtype, SaveOptions};
use infuser_rl::{
    Error, Result as Trained,
    config::{Config, SECTIONS},
    role::Role,
    train::{Metrics, Place, Stage, State, Store, Trainer},
};
use serde_json::json;

use crate::{
    args::Train,
    display::Display,
    failure::Failure,
    forecast,
    plan::{Layer, Resolved, resolve},
    recipes,
    run::{Folder, Line, Log, next_free, read_metrics},
    setup::{self, Folders},
};

/// Where runs go if nobody says.
const RUNS: &str = "runs";
/// How a plan begins: a comment with the recipe's name, or the stem of the file that it came from.
const NAMED: &str = "# recipe: ";
/// The recipe if nobody says.
const DEFAULT: &str = "tiny";

pub(crate) fn run(args: &Train) -> Result<(), Failure> {
    if args.device == "cuda" {
        let problem = "--device cuda: this version has no GPU code yet; use cpu";
        return Err(Failure::bad_input(problem));
    }
    if args.resume && args.out.is_none() && args.recipe.is_none() && args.config.is_none() {
        return resume(args, &newest_unfinished()?);
    }
    match &args.out {
        Some(out) if args.resume => resume(args, out),
        None if args.resume => resume(args, &newest_unfinished()?),
        _ if args.dry_run => dry_run(args),
        _ => start(args),
    }
}

fn name(args: &Train) -> String {
    let stem = args.config.as_deref().and_then(Path::file_stem).and_then(|stem| stem.to_str());
    let named = args.recipe.as_deref().or(stem).unwrap_or(DEFAULT);
    named.to_string()
}

/// The settings: of the file or the recipe that is named, else of the plan of the run that goes on, else
/// of the default recipe; and what is set over them.
fn plan(args: &Train, begun_with: Option<&Path>) -> Result<Resolved<Config>, Failure> {
    let mut layers = match (&args.config, &args.recipe, begun_with) {
        (Some(path), ..) => Layer::file(&recipes::ALL, path)?,
        (None, Some(name), _) => Layer::recipe(&recipes::ALL, name)?,
        (None, None, Some(path)) => Layer::file(&recipes::ALL, path)?,
        (None, None, None) => Layer::recipe(&recipes::ALL, DEFAULT)?,
    };
    for set in &args.set {
        layers.push(Layer::set(set)?);
    }
    let plan = resolve::<Config>(&layers, &SECTIONS)?;
    plan.value.check()?;
    Ok(plan)
}

fn dry_run(args: &Train) -> Result<(), Failure> {
    let plan = plan(args, None)?;
    let folder =
        tempfile::tempdir().map_err(|cause| Failure::output("a temporary folder", cause))?;
    let folders = Folders::find(&plan.value, folder.path())?;
    let (solver, generator) = folders.configs()?;
    let inputs = setup::inputs(&plan.value)?;
    let text = format!(
        "{}\n{}\n{}",
        plan.text(),
        forecast::memory(&plan.value, &solver, generator.as_ref())?.page(),
        forecast::prompts(&plan.value, &folders, &inputs)?
    );
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(|error| Failure::output("standard output", error))
}

fn start(args: &Train) -> Result<(), Failure> {
    let plan = plan(args, None)?;
    let out = args.out.clone().unwrap_or_else(|| next_free(Path::new(RUNS), &name(args)));
    let folder = Folder::create(&out)?;
    let mut session = Session::open(&plan.value, folder, None, name(args))?;
    let text = format!("{NAMED}{}\n{}", session.recipe, plan.text());
    session.keeper.folder.write("plan.toml", &text)?;
    session.finish()
}

/// The newest run under `runs` that has a plan and no summary.
fn newest_unfinished() -> Result<std::path::PathBuf, Failure> {
    let entries = std::fs::read_dir(RUNS).ok();
    let runs = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let open =
        runs.filter(|run| run.join("plan.toml").exists() && !run.join("summary.json").exists());
    let changed =
        |run: &std::path::PathBuf| run.join("plan.toml").metadata().and_then(|m| m.modified()).ok();
    open.max_by_key(changed).ok_or_else(|| {
        Failure::bad_input(format!("no run under {RUNS} is unfinished; name one with --out"))
    })
}

fn resume(args: &Train, out: &Path) -> Result<(), Failure> {
    let folder = Folder::open(out)?;
    let old = folder.read("plan.toml")?.unwrap_or_default();
    let begun_with = out.join("plan.toml");
    let plan = plan(args, Some(&begun_with))?;
    let changes = plan.changes(&old)?;
    if !changes.is_empty() && !args.force {
        return Err(Failure::bad_input(format!(
            "{} was begun with other settings; --force goes on all the same:\n  {}",
            out.display(),
            changes.join("\n  ")
        )));
    }
    let named = old.lines().next().and_then(|line| line.strip_prefix(NAMED));
    let name = named.map_or_else(|| name(args), str::to_string);
    let last = folder.checkpoints()?.last().copied();
    if !changes.is_empty() {
        folder.forget_after(last.unwrap_or(0))?;
    }
    let mut session = Session::open(&plan.value, folder, last, name)?;
    if !changes.is_empty() {
        let text = format!("{NAMED}{}\n{}", session.recipe, plan.text());
        session.keeper.folder.write("plan.toml", &text)?;
    }
    if let Some(iteration) = last {
        session.load(iteration)?;
    }
    session.finish()
}

/// A run that is set up.
struct Session {
    trainer: Trainer,
    folders: Folders,
    keeper: Keeper,
    display: Arc<Display>,
    recipe: String,
    started: Instant,
}

impl Session {
    fn open(
        config: &Config,
        folder: Folder,
        resumed: Option<u64>,
        recipe: String,
    ) -> Result<Self, Failure> {
        let started = Instant::now();
        let folders = Folders::find(config, folder.path())?;
        let (solver, generator) = folders.configs()?;
        let memory = forecast::memory(config, &solver, generator.as_ref())?;
        memory.check()?;
        let inputs = setup::inputs(config)?;
        let display = Display::new()?;
        display.line(&format!("run folder    {}", folder.path().display()));
        display.line(&format!("device        cpu, {} threads", rayon::current_num_threads()));
        display.line(&memory.line());
        let (solver, generator) = setup::roles(config, &folders, Device::Cpu)?;
        display.line(&forecast::time(config, &solver, &inputs)?);
        display.watch(config.guard.stall_secs);
        let trainer = Trainer::new(config.clone(), inputs, solver, generator)?;
        let log = Log::open(folder.path(), resumed, config.run.generator_updates)?;
        let keeper = Keeper { folder, log, display: display.clone(), seen: BTreeMap::new() };
        Ok(Self { trainer, folders, keeper, display, recipe, started })
    }

    fn load(&mut self, iteration: u64) -> Result<(), Failure> {
        let place = self.keeper.folder.checkpoint(iteration);
        take_up(&mut self.trainer, &place)?;
        self.display.line(&format!("resuming after iteration {iteration}"));
        Ok(())
    }

    /// Runs what is left, and says how it went.
    fn finish(&mut self) -> Result<(), Failure> {
        let outcome = self.iterate();
        if let Err(failure) = outcome {
            let place = self.keeper.folder.path().display();
            return Err(failure.with_resume(&format!("infuser train --resume --out {place}")));
        }
        self.summarize()
    }

    fn iterate(&mut self) -> Result<(), Failure> {
        let total = self.trainer.config().run.iterations;
        if self.trainer.iteration() == 0 {
            self.trainer.test_before(&mut self.keeper, &*self.display)?;
        }
        let (from, start) = (self.trainer.iteration(), Instant::now());
        while self.trainer.iteration() < total {
            let begun = Instant::now();
            self.trainer.iterate(&mut self.keeper, &*self.display)?;
            let done = self.trainer.iteration();
            let each = start.elapsed().as_secs_f64() / (done - from) as f64;
            self.keeper.tell(
                done,
                total,
                begun.elapsed().as_secs_f64(),
                each * (total - done) as f64,
            );
            let every = self.trainer.config().checkpoint.every;
            if done == total || done.is_multiple_of(every) {
                self.save()?;
            }
        }
        Ok(())
    }

    fn save(&self) -> Result<(), Failure> {
        let iteration = self.trainer.iteration();
        let keep = self.trainer.config().checkpoint.keep;
        self.keeper.folder.add_checkpoint(iteration, keep, |place| {
            let generator = self.trainer.generator().zip(self.folders.generator.as_deref());
            let roles = [
                ("solver", Some((self.trainer.solver(), &*self.folders.solver))),
                ("generator", generator),
            ];
            for (name, role) in roles {
                let Some((Role { model, optimizer: Some(optimizer), .. }, source)) = role else {
                    continue;
                };
                let options = SaveOptions { dtype: SaveDtype::Bf16, shard_bytes: 4 << 30, source };
                checkpoint::save(model, &place.join(name), &options)?;
                checkpoint::save_state(&place.join(format!("{name}.state")), model, optimizer)?;
            }
            if let Some(target) = self.trainer.target() {
                let layout = self.trainer.solver().model.layout();
                checkpoint::save_tensors(
                    &place.join("target.safetensors"),
                    layout,
                    target.gradient(),
                )?;
            }
            let state = serde_json::to_string_pretty(&self.trainer.state()).unwrap_or_default();
            crate::run::write_whole(&place.join("state.json"), state.as_bytes())
        })
    }

    fn summarize(&self) -> Result<(), Failure> {
        let folder = &self.keeper.folder;
        let lines = read_metrics(&folder.path().join("metrics.jsonl"))?;
        let tests: Vec<f64> =
            lines.iter().filter_map(|line| line.metrics.get("test/accuracy_strict")).collect();
        let mut by_stage: BTreeMap<&str, f64> = BTreeMap::new();
        for Line { stage, secs, .. } in &lines {
            *by_stage.entry(stage.name()).or_default() += secs;
        }
        let secs: f64 = by_stage.values().sum();
        let tokens = self.display.tokens();
        let rate = tokens as f64 / self.started.elapsed().as_secs_f64();
        let config = self.trainer.config();
        let summary = json!({
            "recipe": self.recipe,
            "seed": config.run.seed,
            "iterations": self.trainer.iteration(),
            "test_accuracy_before": tests.first(),
            "test_accuracy_after": tests.last(),
            "seconds": secs,
            "seconds_by_stage": by_stage,
            "tokens_drawn": tokens,
            "tokens_per_second": rate,
        });
        folder.write("summary.json", &format!("{summary:#}\n"))?;
        let shown = |value: Option<&f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
        let mut page = format!(
            "\n{:<22}{}\n{:<22}{}\n{:<22}{:.1}\n",
            "test accuracy before",
            shown(tests.first()),
            "test accuracy after",
            shown(tests.last()),
            "seconds",
            secs
        );
        for stage in Stage::ALL {
            if let Some(secs) = by_stage.get(stage.name()) {
                page += &format!("  {:<20}{secs:.1}\n", stage.name());
            }
        }
        page += &format!(
            "{:<22}{rate:.0}\n{:<22}{}\n",
            "tokens drawn a second",
            "run folder",
            folder.path().display()
        );
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        out.write_all(page.as_bytes()).map_err(|error| Failure::output("standard output", error))
    }
}

/// Takes up a checkpoint.
pub(crate) fn take_up(trainer: &mut Trainer, place: &Path) -> Result<(), Failure> {
    let fault = |error: &dyn std::fmt::Display| {
        Failure::bad_input(format!("{}: {error}", place.join("state.json").display()))
    };
    let state = std::fs::read_to_string(place.join("state.json")).map_err(|error| fault(&error))?;
    let state: State = serde_json::from_str(&state).map_err(|error| fault(&error))?;
    let (solver, generator) = trainer.roles_mut();
    for (name, role) in [("solver", Some(solver)), ("generator", generator)] {
        if let Some(Role { model, optimizer: Some(optimizer), .. }) = role {
            checkpoint::load_state(&place.join(format!("{name}.state")), model, optimizer)?;
        }
    }
    let target = place.join("target.safetensors");
    let target = if target.exists() {
        let model = &trainer.solver().model;
        let gradient = checkpoint::load_tensors(&target, model.layout(), model.device())?;
        let weights = Fingerprint::of_tensors(model.weights())?;
        let origin = Origin { weights, data: Fingerprint::of_questions(&[]), gradients: 1 };
        Some(Target::new(gradient, origin)?)
    } else {
        None
    };
    Ok(trainer.restore(state, target)?)
}

/// A run as it stands at a checkpoint, to look at: nothing in its folder is changed. `None` for its last.
pub(crate) fn at_checkpoint(run: &Path, at: Option<u64>) -> Result<Trainer, Failure> {
    let folder = Folder::open(run)?;
    let layers = Layer::file(&recipes::ALL, &run.join("plan.toml"))?;
    let plan = resolve::<Config>(&layers, &SECTIONS)?;
    let folders = Folders::find(&plan.value, run)?;
    let inputs = setup::inputs(&plan.value)?;
    let (solver, generator) = setup::roles(&plan.value, &folders, Device::Cpu)?;
    let mut trainer = Trainer::new(plan.value, inputs, solver, generator)?;
    let there = folder.checkpoints()?;
    let at = at.or(there.last().copied()).unwrap_or(0);
    if at == 0 {
        return Ok(trainer);
    }
    if !there.contains(&at) {
        return Err(Failure::bad_input(format!(
            "{} has no checkpoint of iteration {at}; it has those of {there:?}",
            run.display()
        )));
    }
    take_up(&mut trainer, &folder.checkpoint(at))?;
    Ok(trainer)
}

/// Keeps what stages make in the run folder.
struct Keeper {
    folder: Folder,
    log: Log,
    display: Arc<Display>,
    /// The last value of each metric, for the line of an iteration.
    seen: BTreeMap<String, f64>,
}

impl Keeper {
    /// The line of an iteration.
    fn tell(&mut self, done: u64, total: u64, secs: f64, left: f64) {
        let shown = [
            ("dev", "dev_rollout/accuracy_strict"),
            ("valid", "gen_question_rollout/frac_valid_questions"),
            ("accuracy", "gen_answer_rollout/accuracy_strict"),
            ("influence", "influence_sim/score/mean"),
            ("test", "test/accuracy_strict"),
        ];
        let part = |(label, key): &(&str, &str)| {
            self.seen.get(*key).map(|value| format!("{label} {value:.3}"))
        };
        let parts: Vec<String> = shown.iter().filter_map(part).collect();
        self.display.line(&format!(
            "iteration {done}/{total}  {}  {secs:.1} s, {left:.0} s left",
            parts.join("  ")
        ));
        self.seen.clear();
    }
}

fn stored(failure: Failure) -> Error {
    Error::Store(failure.to_string())
}

impl Store for Keeper {
    fn load(&mut self, place: Place) -> Trained<Option<String>> {
        self.folder.read(&Folder::stage_name(place)).map_err(stored)
    }

    fn save(&mut self, place: Place, lines: &str) -> Trained<()> {
        self.folder.write(&Folder::stage_name(place), lines).map_err(stored)
    }

    fn begin(&mut self, place: Place, items: usize) {
        self.display.begin(place.to_string(), items);
    }

    fn end(&mut self, place: Place, secs: f64, metrics: &Metrics) -> Trained<()> {
        self.display.end();
        self.seen.extend(metrics.iter().map(|(name, value)| (name.to_string(), value)));
        self.log.add(place, secs, metrics).map_err(stored)
    }
}
