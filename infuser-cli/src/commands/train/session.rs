//! A run in progress: its stages, checkpoints and last words.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use infuser_influence::{Fingerprint, Origin, Target};
use infuser_kernels::Device;
use infuser_model::checkpoint::{self, SaveDtype, SaveOptions};
use infuser_rl::{
    config::{Config, SECTIONS},
    role::Role,
    train::{Stage, State, Trainer},
};
use serde_json::json;

use super::keeper::Keeper;
use crate::{
    device,
    display::Display,
    failure::Failure,
    forecast,
    plan::{Layer, resolve},
    recipes,
    report::quoted,
    run::{Folder, Line, Log, read_metrics},
    setup::{self, Folders},
};

/// A run that is set up.
pub(super) struct Session {
    trainer: Trainer,
    folders: Folders,
    pub(super) keeper: Keeper,
    display: Arc<Display>,
    pub(super) recipe: String,
}

impl Session {
    pub(super) fn open(
        config: &Config,
        folder: Folder,
        resumed: Option<u64>,
        (recipe, device): (String, Device),
    ) -> Result<Self, Failure> {
        let folders = Folders::find(config, folder.path())?;
        let (solver, generator) = folders.configs()?;
        let memory = forecast::memory(config, &solver, generator.as_ref(), &device)?;
        if device == Device::Cpu {
            memory.check()?;
        }
        let inputs = setup::inputs(config)?;
        let display = Display::new()?;
        display.line(&format!("run folder    {}", folder.path().display()));
        display.line(&format!("device        {}", device::name(&device)));
        display.line(&memory.line(&device));
        let (solver, generator) = setup::roles(config, &folders, device)?;
        let positions = solver.model.config().max_positions;
        for line in forecast::too_long(config, &solver.voice, positions, &inputs)? {
            display.line(&line);
        }
        display.line(&forecast::time(config, &solver, &inputs)?);
        display.watch(config.guard.stall_secs);
        let trainer = Trainer::new(config.clone(), inputs, solver, generator)?;
        let log = Log::open(folder.path(), resumed, config.run.generator_updates)?;
        let keeper = Keeper::new(folder, log, display.clone());
        Ok(Self { trainer, folders, keeper, display, recipe })
    }

    pub(super) fn load(&mut self, iteration: u64) -> Result<(), Failure> {
        let place = self.keeper.folder.checkpoint(iteration);
        take_up(&mut self.trainer, &place)?;
        self.display.line(&format!("resuming after iteration {iteration}"));
        Ok(())
    }

    /// Runs what is left, and says how it went.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let outcome = self.iterate();
        if let Err(failure) = outcome {
            let place = quoted(self.keeper.folder.path());
            return Err(failure.with_resume(&format!("infuser train --resume --out {place}")));
        }
        self.summarize()
    }

    fn iterate(&mut self) -> Result<(), Failure> {
        let total = self.trainer.config().run.iterations;
        if self.trainer.iteration() == 0 {
            self.trainer.test_before(&mut self.keeper, &*self.display)?;
            self.keeper.tell_before();
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
        // What a checkpoint says has happened must be on the disk before it.
        self.keeper.log.sync()?;
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
        let (solver, generator) = (updates(&lines, "solver"), updates(&lines, "gen"));
        let tokens = tokens_drawn(&lines);
        let rate = tokens / secs;
        let config = self.trainer.config();
        let memory = self.trainer.solver().model.device().memory_use();
        let mut summary = json!({
            "recipe": self.recipe,
            "seed": config.run.seed,
            "iterations": self.trainer.iteration(),
            "test_accuracy_before": tests.first(),
            "test_accuracy_after": tests.last(),
            "solver_updates": solver.0,
            "generator_updates": generator.0,
            "seconds": secs,
            "seconds_by_stage": by_stage,
            "tokens_drawn": tokens as u64,
            "tokens_per_second": rate,
        });
        if let Some(note) = device::graph_note(&self.trainer.solver().model.device()) {
            self.display.line(&note);
        }
        if let Some(memory) = memory {
            summary["device_peak_bytes"] = device::peaks(&memory);
        }
        folder.write("summary.json", &format!("{summary:#}\n"))?;
        let shown = |value: Option<&f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
        let updated = |what: &str, (done, all): (usize, usize)| match all {
            0 => String::new(),
            _ => format!("{what:<22}{done} of {all}\n"),
        };
        let mut page = format!(
            "\n{:<22}{}\n{:<22}{}\n{}{}{:<22}{:.1}\n",
            "test accuracy before",
            shown(tests.first()),
            "test accuracy after",
            shown(tests.last()),
            updated("solver updates", solver),
            updated("generator updates", generator),
            "seconds",
            secs
        );
        for stage in Stage::ALL {
            if let Some(secs) = by_stage.get(stage.name()) {
                page += &format!("  {:<20}{secs:.1}\n", stage.name());
            }
        }
        if let Some(memory) = memory {
            page += &format!("{:<22}{}\n", "peak of GPU memory", device::peaks_text(&memory));
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

/// Updates of a role that had something to learn from, and all of them.
fn updates(lines: &[Line], role: &str) -> (usize, usize) {
    let (prompts, skipped) = (format!("{role}_actor/num_prompts"), format!("{role}_actor/skipped"));
    let all: Vec<&Line> =
        lines.iter().filter(|line| line.metrics.get(&prompts).is_some()).collect();
    (all.iter().filter(|line| line.metrics.get(&skipped).is_none()).count(), all.len())
}

/// Tokens of everything that was sampled, whichever process drew it.
fn tokens_drawn(lines: &[Line]) -> f64 {
    let families = [
        ("dev_rollout", "answers"),
        ("gen_question_rollout", "questions"),
        ("gen_answer_rollout", "answers"),
        ("test", "answers"),
    ];
    let of = |line: &Line, (family, what): (&str, &str)| {
        let count = line.metrics.get(&format!("{family}/num_generated_{what}"))?;
        Some(count * line.metrics.get(&format!("{family}/response_length_tokens/mean"))?)
    };
    let all = lines.iter().flat_map(|line| families.map(|family| of(line, family)));
    all.flatten().sum::<f64>().round()
}

/// Takes up a checkpoint.
fn take_up(trainer: &mut Trainer, place: &Path) -> Result<(), Failure> {
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
pub(crate) fn at_checkpoint(
    run: &Path,
    at: Option<u64>,
    device: Device,
) -> Result<Trainer, Failure> {
    let folder = Folder::open(run)?;
    let layers = Layer::file(&recipes::ALL, &run.join("plan.toml"))?;
    let plan = resolve::<Config>(&layers, &SECTIONS)?;
    let folders = Folders::find(&plan.value, run)?;
    let inputs = setup::inputs(&plan.value)?;
    let (solver, generator) = setup::roles(&plan.value, &folders, device)?;
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
