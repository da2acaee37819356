//! Models, documents and questions of a run, from what its settings name.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use infuser_data::{
    chat::{ChatTemplate, Options},
    document::Pool,
    prompt::Prompts,
    suite::{self, Item, Suite},
    tokenizer::Tokenizer,
    world::{self, Part, Skill},
};
use infuser_kernels::Device;
use infuser_model::{ModelConfig, checkpoint};
use infuser_rl::{
    config::{Config, PromptStyle, Source},
    role::Role,
    train::Inputs,
    voice::Voice,
};

use crate::{args::share, assets, failure::Failure, say::say};

/// Folders of the models.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub(crate) solver: PathBuf,
    pub(crate) generator: Option<PathBuf>,
}

impl Folders {
    /// Finds them; embedded models are put into `run`.
    pub(crate) fn find(config: &Config, run: &Path) -> Result<Self, Failure> {
        let Some(solver) = &config.models.solver else {
            return Err(Failure::bad_input(
                "models.solver is missing: the folder of the model to train",
            ));
        };
        let generator = config.models.generator.as_ref().unwrap_or(solver);
        Ok(Self {
            solver: assets::model_folder(solver, run)?,
            generator: if config.writes() {
                Some(assets::model_folder(generator, run)?)
            } else {
                None
            },
        })
    }

    /// The configs of both, for plans.
    pub(crate) fn configs(&self) -> Result<(ModelConfig, Option<ModelConfig>), Failure> {
        let generator = self.generator.as_deref().map(ModelConfig::read).transpose()?;
        Ok((ModelConfig::read(&self.solver)?, generator))
    }
}

/// What a model is told, and in which form.
pub(crate) fn voice(config: &Config, folder: &Path) -> Result<Voice, Failure> {
    let tokenizer = Tokenizer::load(folder)?;
    let style = config.models.prompts;
    let prompts = match (&config.models.templates, style) {
        (Some(templates), _) => Prompts::load(templates)?,
        (None, PromptStyle::World) => world::prompts()?,
        (None, _) => Prompts::builtin()?,
    };
    let template = match style {
        PromptStyle::Auto | PromptStyle::Chat => ChatTemplate::load(folder)?,
        PromptStyle::Text | PromptStyle::World => None,
    };
    if style == PromptStyle::Chat && template.is_none() {
        return Err(Failure::bad_input(format!(
            "models.prompts is \"chat\", but {} has no chat template; use \"text\"",
            folder.display()
        )));
    }
    let variables = config.models.variables.clone();
    let chat = template.map(|template| (template, Options { variables, ..Options::to_answer() }));
    Ok(Voice { tokenizer, prompts, chat })
}

/// Both roles.
pub(crate) fn roles(
    config: &Config,
    folders: &Folders,
    device: Device,
) -> Result<(Role, Option<Role>), Failure> {
    let solver_voice = Arc::new(voice(config, &folders.solver)?);
    let model = checkpoint::load(&folders.solver, device.clone())?;
    let Some(folder) = &folders.generator else {
        let solver = role(model, solver_voice, config.solver_learns(), &config.solver.update)?;
        return Ok((solver, None));
    };
    let (other, other_voice) = if folder == &folders.solver {
        (model.copy()?, solver_voice.clone())
    } else {
        (checkpoint::load(folder, device)?, Arc::new(voice(config, folder)?))
    };
    let solver = role(model, solver_voice, config.solver_learns(), &config.solver.update)?;
    let update = &config.generator.update;
    let generator = role(other, other_voice, config.generator_learns(), update)?;
    Ok((solver, Some(generator)))
}

fn role(
    model: infuser_model::Model,
    voice: Arc<Voice>,
    learns: bool,
    update: &infuser_rl::config::Update,
) -> Result<Role, Failure> {
    if learns { Ok(Role::learner(model, voice, update)?) } else { Ok(Role::fixed(model, voice)) }
}

/// Documents and questions.
pub(crate) fn inputs(config: &Config) -> Result<Inputs, Failure> {
    let seed = config.run.seed;
    let data = &config.data;
    let mut inputs = Inputs::default();
    if let (Some(path), true, Source::Documents) =
        (&data.documents, config.writes(), config.questions.source)
    {
        inputs.pool = Some(match embedded(path) {
            None => Pool::read(path)?,
            Some(rest) => {
                inputs.world = true;
                let (count, unreliable) =
                    worksheets(rest).ok_or_else(|| wrong_world("data.documents", path))?;
                Pool::new(world::documents(count, unreliable, seed))?
            }
        });
    }
    if let Some(path) = data.dev.as_ref().filter(|_| config.needs_dev()) {
        inputs.dev = items("data.dev", path, Part::Dev)?;
    }
    if let Some(path) = &data.test {
        inputs.test = items("data.test", path, Part::Test)?;
    }
    if let (Some(path), Source::Seeded { .. }) = (&data.seeds, config.questions.source) {
        let seeds = items("data.seeds", path, Part::Dev)?;
        inputs.seeds = seeds.into_iter().map(|item| item.question).collect();
    }
    if let (Some(path), Source::File) = (&data.questions, config.questions.source) {
        inputs.questions = items("data.questions", path, Part::Dev)?;
    }
    Ok(inputs)
}

/// The seed of the embedded dev and test sets: the same questions in every run.
const SETS_SEED: u64 = 5;

fn items(key: &str, path: &Path, part: Part) -> Result<Vec<Item>, Failure> {
    let Some(rest) = embedded(path) else {
        let Suite { items, skipped, .. } = suite::read(path)?;
        if items.is_empty() {
            let problem = format!("{key}: {} holds no question", path.display());
            return Err(Failure::bad_input(problem));
        }
        if !skipped.is_empty() {
            let (count, place) = (skipped.len(), path.display());
            say(format_args!(
                "{key}: {count} records of {place} hold nothing that can be asked and graded"
            ));
        }
        return Ok(items);
    };
    let parsed = rest.split_once(':').and_then(|(name, count)| {
        let skill = Skill::ALL.into_iter().find(|skill| skill.name() == name)?;
        Some((skill, count.parse::<usize>().ok()?))
    });
    let (skill, count) = parsed.ok_or_else(|| wrong_world(key, path))?;
    if count == 0 {
        return Err(Failure::bad_input(format!("{key}: {} holds no question", path.display())));
    }
    target(skill, part, count)
}

/// Questions of the world for one of its targets.
pub(crate) fn target(skill: Skill, part: Part, count: usize) -> Result<Vec<Item>, Failure> {
    let items = world::target(skill, part, count, SETS_SEED);
    if items.len() < count {
        let (have, name) = (items.len(), skill.name());
        return Err(Failure::bad_input(format!(
            "the world has {have} such questions of the skill {name}, not {count}"
        )));
    }
    Ok(items)
}

/// `N` or `N:SHARE`: how many worksheets, and the share of facts from the unreliable source.
fn worksheets(text: &str) -> Option<(usize, f64)> {
    let (count, unreliable) = match text.split_once(':') {
        None => (text, world::UNRELIABLE),
        Some((count, unreliable)) => (count, share(unreliable).ok()?),
    };
    Some((count.parse().ok()?, unreliable))
}

fn embedded(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("embedded:")
}

fn wrong_world(key: &str, path: &Path) -> Failure {
    Failure::bad_input(format!(
        "{key} is {}: expected a file, embedded:N for N documents, embedded:N:SHARE for N with an unreliable share \
         from 0 to 1, or embedded:SKILL:N for N questions of `remainder` or `sequence`",
        path.display()
    ))
}
