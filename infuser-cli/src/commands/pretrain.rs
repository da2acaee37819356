//! `infuser pretrain`.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use infuser_data::{tokenizer::Tokenizer, world};
use infuser_kernels::Device;
use infuser_model::{
    Model, ModelConfig, Monitor,
    checkpoint::{self, SaveDtype, SaveOptions},
    optim::Optimizer,
    supervised::{Learned, Supervised},
};
use infuser_rl::pretrain::{SECTIONS, Settings, Source};
use serde::{Deserialize, Serialize};

use crate::{
    args::Pretrain,
    assets, device,
    display::Display,
    examples,
    failure::Failure,
    plan::{Layer, Resolved, resolve},
    recipes,
    run::{Folder, next_free, write_whole},
};

/// One line of `metrics.jsonl`: means since the line before.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    step: u64,
    loss: f64,
    grad_norm: f64,
    learning_rate: f64,
    tokens: u64,
    skipped: u64,
    secs: f64,
}

pub(crate) fn run(args: &Pretrain) -> Result<(), Failure> {
    let device = device::open(args.on)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => next_free(Path::new("runs"), "pretrain"),
    };
    let (folder, old) = if args.resume {
        let folder = Folder::open(&out)?;
        folder.clear_partial()?;
        let old = folder.read("plan.toml")?;
        (folder, old)
    } else {
        // Settings first: what is refused leaves no folder behind.
        plan(args, None)?;
        (Folder::create(&out)?, None)
    };
    let plan = plan(args, args.resume.then(|| out.join("plan.toml")))?;
    if let Some(old) = &old {
        plan.differs(old, &out, args.force)?;
    }
    let outcome = Training::open(plan.value.clone(), folder, device).and_then(|mut training| {
        training.folder.write("plan.toml", &plan.text())?;
        training.run()
    });
    let command = format!("infuser pretrain --resume --out {}", out.display());
    outcome.map_err(|failure| failure.with_resume(&command))
}

fn plan(args: &Pretrain, begun_with: Option<PathBuf>) -> Result<Resolved<Settings>, Failure> {
    let all = &recipes::PRETRAIN;
    let mut layers = match (&args.config, &args.recipe, begun_with) {
        (Some(path), ..) => Layer::file(all, path)?,
        (None, Some(name), _) => Layer::recipe(all, name)?,
        (None, None, Some(path)) => Layer::file(all, &path)?,
        (None, None, None) => Vec::new(),
    };
    for set in &args.set {
        layers.push(Layer::set(set)?);
    }
    let plan = resolve::<Settings>(&layers, &SECTIONS)?;
    plan.value.check()?;
    Ok(plan)
}

/// A training in progress.
struct Training {
    settings: Settings,
    folder: Folder,
    /// Where config and tokenizer are.
    source: PathBuf,
    model: Model,
    optimizer: Optimizer,
    lessons: Source,
    display: Arc<Display>,
    log: File,
    /// Steps that were taken, skipped ones too.
    place: u64,
}

impl Training {
    fn open(settings: Settings, folder: Folder, device: Device) -> Result<Self, Failure> {
        let named = settings.model.config.as_ref().or(settings.model.folder.as_ref());
        let Some(named) = named else { return Err(Failure::bad_input("model.config is missing")) };
        let source = assets::model_folder(named, folder.path())?;
        let mut model = if settings.model.config.is_some() {
            Model::fresh(ModelConfig::read(&source)?, settings.seed, device.clone())?
        } else {
            checkpoint::load(&source, device.clone())?
        };
        let mut optimizer = Optimizer::new(model.layout(), device, settings.optimizer())?;
        // A step that was skipped does not count for the optimizer, but its examples are past.
        let place = folder.checkpoints()?.last().copied();
        if let Some(last) = place {
            let state = folder.checkpoint(last).join("train.state");
            checkpoint::load_state(&state, &mut model, &mut optimizer)?;
        }
        let lessons = lessons(&settings, &source, &model)?;
        let display = Display::new()?;
        display.line(&format!("run folder    {}", folder.path().display()));
        let count = crate::report::grouped(model.layout().elements());
        display.line(&format!("model         {count} parameters, from {}", named.display()));
        let place = place.unwrap_or(0);
        let log = log(&folder.path().join("metrics.jsonl"), place)?;
        Ok(Self { settings, folder, source, model, optimizer, lessons, display, log, place })
    }

    fn run(&mut self) -> Result<(), Failure> {
        let mut place = self.place;
        let mut supervised =
            Supervised::new(&self.model, self.settings.keep(), self.settings.batch_tokens)?;
        let Settings { steps, batch, log_every, .. } = self.settings;
        self.display.begin("steps".into(), (steps - place.min(steps)) as usize);
        let (mut since, mut start) = (Since::default(), Instant::now());
        while place < steps {
            if self.display.interrupted() {
                // What was learned since the last checkpoint stays.
                if since.steps > 0 {
                    self.note(&since.line(place, start.elapsed().as_secs_f64()))?;
                }
                if place > self.place {
                    self.save(place)?;
                }
                return Err(Failure::interrupted(format!("stopped at step {place}")));
            }
            let examples = self.lessons.batch(place, batch)?;
            let learned = supervised.step(&mut self.model, &mut self.optimizer, &examples)?;
            place += 1;
            since.add(&learned);
            self.display.advance(1, learned.tokens);
            if place.is_multiple_of(log_every) || place == steps {
                self.note(&since.line(place, start.elapsed().as_secs_f64()))?;
                (since, start) = (Since::default(), Instant::now());
            }
            if place.is_multiple_of(self.settings.checkpoint.every) && place < steps {
                self.save(place)?;
            }
        }
        self.display.end();
        self.finish()
    }

    /// A line for the person and one for the metrics.
    fn note(&mut self, line: &Line) -> Result<(), Failure> {
        let Line { step, loss, tokens, secs, .. } = line;
        let rate = *tokens as f64 / secs;
        let steps = self.settings.steps;
        self.display.line(&format!("step {step}/{steps}  loss {loss:.4}  {rate:.0} tokens/s"));
        let text = serde_json::to_string(line).unwrap_or_default() + "\n";
        let written = self.log.write_all(text.as_bytes());
        written.map_err(|cause| Failure::output("metrics.jsonl", cause))
    }

    fn save(&self, place: u64) -> Result<(), Failure> {
        // What a checkpoint says has happened must be on the disk before it.
        self.log.sync_all().map_err(|cause| Failure::output("metrics.jsonl", cause))?;
        self.folder.add_checkpoint(place, self.settings.checkpoint.keep, |folder| {
            let state = folder.join("train.state");
            Ok(checkpoint::save_state(&state, &self.model, &self.optimizer)?)
        })
    }

    fn finish(&self) -> Result<(), Failure> {
        // First what refuses weights that are no numbers.
        self.save(self.settings.steps)?;
        let target = self.folder.path().join("model");
        if target.exists() {
            fs::remove_dir_all(&target).map_err(|c| Failure::output(target.display(), c))?;
        }
        let options =
            SaveOptions { dtype: SaveDtype::Bf16, shard_bytes: 4 << 30, source: &self.source };
        checkpoint::save(&self.model, &target, &options)?;
        let page = format!("model         {}\n", target.display());
        let mut out = std::io::stdout().lock();
        out.write_all(page.as_bytes()).map_err(|error| Failure::output("standard output", error))
    }
}

/// What is learned from.
fn lessons(settings: &Settings, source: &Path, model: &Model) -> Result<Source, Failure> {
    let seed = settings.data.seed.unwrap_or(settings.seed);
    if !settings.data.world.is_empty() {
        let tokenizer = Box::new(Tokenizer::load(source)?);
        let end = tokenizer.id_of(world::END).ok_or_else(|| {
            Failure::bad_input(format!(
                "data.world needs the world's tokenizer, and that of {} has no {}",
                source.display(),
                world::END
            ))
        })?;
        let (prompts, stages) = (Box::new(world::prompts()?), settings.data.world.clone());
        return Ok(Source::World { prompts, tokenizer, end, stages, seed });
    }
    let examples = match settings.steps {
        0 => Vec::new(),
        _ => examples::read(&settings.data.files, source, model.config())?,
    };
    Ok(Source::List { examples, seed })
}

/// Sums since the last line.
#[derive(Default)]
struct Since {
    steps: u64,
    loss: f64,
    norm: f64,
    tokens: u64,
    skipped: u64,
    learning_rate: f64,
}

impl Since {
    fn add(&mut self, learned: &Learned) {
        self.steps += 1;
        self.loss += learned.loss;
        self.norm += learned.step.gradient_norm;
        self.tokens += learned.tokens as u64;
        self.skipped += u64::from(learned.step.skipped);
        self.learning_rate = learned.step.learning_rate;
    }

    fn line(&self, step: u64, secs: f64) -> Line {
        let count = self.steps.max(1) as f64;
        Line {
            step,
            loss: self.loss / count,
            grad_norm: self.norm / count,
            learning_rate: self.learning_rate,
            tokens: self.tokens,
            skipped: self.skipped,
            secs,
        }
    }
}

/// The metrics up to a step, to add to: later lines, and one that was cut, go.
fn log(path: &Path, step: u64) -> Result<File, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::bad_input(format!("{}: {error}", path.display()))),
    };
    let early =
        |line: &&str| serde_json::from_str::<Line>(line).is_ok_and(|line| line.step <= step);
    let kept: String = text.lines().filter(early).map(|line| format!("{line}\n")).collect();
    write_whole(path, kept.as_bytes())?;
    let file = OpenOptions::new().append(true).open(path);
    file.map_err(|cause| Failure::output(path.display(), cause))
}
