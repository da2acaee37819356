//! `infuser train`.

mod keeper;
mod session;

use std::path::Path;

use infuser_kernels::Device;
use infuser_rl::config::{Config, SECTIONS};

use self::session::Session;
pub(crate) use self::session::at_checkpoint;
use crate::{
    args::Train,
    device,
    failure::Failure,
    forecast,
    plan::{Layer, Resolved, resolve},
    recipes,
    run::{Folder, next_free, title, titled},
    say::say,
    setup::{self, Folders},
};

/// Where runs go if nobody says.
const RUNS: &str = "runs";
/// The recipe if nobody says.
const DEFAULT: &str = "tiny";

pub(crate) fn run(args: &Train) -> Result<(), Failure> {
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
    inputs.check(&plan.value)?;
    let voice = setup::voice(&plan.value, &folders.solver)?;
    for line in forecast::too_long(&plan.value, &voice, solver.max_positions, &inputs)? {
        say(line);
    }
    if let Some(path) = &args.prompts {
        forecast::write_prompts(path, &plan.value, &folders, &inputs)?;
    }
    let text = format!(
        "{}\n{}\n{}",
        plan.text(),
        forecast::memory(&plan.value, &solver, generator.as_ref(), &Device::Cpu)?.page(),
        forecast::prompts(&plan.value, &folders, &inputs)?
    );
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(|error| Failure::output("standard output", error))
}

fn start(args: &Train) -> Result<(), Failure> {
    let plan = plan(args, None)?;
    let device = device::open(args.on)?;
    let out = args.out.clone().unwrap_or_else(|| next_free(Path::new(RUNS), &name(args)));
    let is_new = !out.exists();
    let folder = Folder::create(&out)?;
    let begun =
        Session::open(&plan.value, folder, None, (name(args), device)).and_then(|session| {
            let text = titled(&session.recipe, &plan.text());
            session.keeper.folder.write("plan.toml", &text)?;
            Ok(session)
        });
    if begun.is_err() && is_new {
        // Nothing has begun: what was made for it goes. What is said is why, not that this failed too.
        let _ = std::fs::remove_dir_all(&out);
    }
    begun?.finish()
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
    folder.clear_partial()?;
    let old = folder.read("plan.toml")?.unwrap_or_default();
    let begun_with = out.join("plan.toml");
    let plan = plan(args, Some(&begun_with))?;
    let changed = plan.differs(&old, out, args.force)?;
    let device = device::open(args.on)?;
    let name = title(&old).map_or_else(|| name(args), str::to_string);
    let last = folder.checkpoints()?.last().copied();
    if changed {
        folder.forget_after(last.unwrap_or(0))?;
    }
    let mut session = Session::open(&plan.value, folder, last, (name, device))?;
    if changed {
        let text = titled(&session.recipe, &plan.text());
        session.keeper.folder.write("plan.toml", &text)?;
    }
    if let Some(iteration) = last {
        session.load(iteration)?;
    }
    session.finish()
}
