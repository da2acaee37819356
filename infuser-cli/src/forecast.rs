//! What a run will take, before it begins: memory, time, and what its first prompts look like.

use std::{path::Path, time::Instant};

use infuser_data::{files, prompt::Ask, suite::Item, tokenizer::Controls};
use infuser_kernels::Device;
use infuser_model::{Batch, ModelConfig, memory};
use infuser_rl::{
    config::{Config, Rollout, Source, Update},
    role::{Role, check_cache},
    routing::{Posed, Routing},
    train::Inputs,
    voice::{Put, Voice},
};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    commands::doctor,
    failure::Failure,
    report::{bytes, grouped},
    setup::{self, Folders},
};

/// Bytes by what they are for.
pub(crate) struct Memory {
    parts: Vec<(String, u128)>,
}

/// Bytes that a run holds at its peak. Refuses a cache that is too small for the models.
pub(crate) fn memory(
    config: &Config,
    solver: &ModelConfig,
    generator: Option<&ModelConfig>,
    device: &Device,
) -> Result<Memory, Failure> {
    let mut parts = Vec::new();
    let roles = [
        (
            "solver",
            Some(solver),
            config.solver_learns(),
            &config.solver.rollout,
            &config.solver.update,
        ),
        (
            "generator",
            generator,
            config.generator_learns(),
            &config.generator.rollout,
            &config.generator.update,
        ),
    ];
    let (mut pass, mut cache) = (0, 0);
    for (name, model, learns, rollout, update) in roles {
        let Some(model) = model else { continue };
        check_cache(name, rollout, model, device)?;
        let gradient = memory::tensors_bytes(model);
        parts.push((format!("{name} weights"), memory::weights_bytes(model, device)));
        if learns {
            parts.push((format!("{name} optimizer"), memory::optimizer_bytes(model, device)));
        }
        let work =
            memory::workspace_bytes(model, device, update.keep(), rows(update, rollout, model));
        pass = pass.max(work + if learns { gradient } else { 0 });
        cache = cache.max(cache_bytes(rollout, model, device));
    }
    if config.needs_influence() {
        parts.push(("influence target".into(), memory::tensors_bytes(solver)));
    }
    if config.influence.share_gradient {
        parts.push(("shared gradient".into(), memory::tensors_bytes(solver)));
    }
    // One or the other: keys and values while sampling, activations and a gradient while learning.
    parts.push(("activations and gradient, or cache".into(), u128::max(pass, cache)));
    Ok(Memory { parts })
}

/// Tokens and outputs of the largest batch of an update: one that is full, or a lone answer with its prompt.
fn rows(update: &Update, rollout: &Rollout, model: &ModelConfig) -> [usize; 2] {
    let alone = rollout.max_prompt_tokens.saturating_add(rollout.max_tokens);
    let tokens = update.batch_tokens.max(alone.min(model.max_positions));
    [tokens, update.batch_tokens.max(rollout.max_tokens).min(tokens)]
}

fn cache_bytes(rollout: &Rollout, model: &ModelConfig, device: &Device) -> u128 {
    ((rollout.cache_mib as u128) << 20) + memory::packed_bytes(model, device)
}

impl Memory {
    fn total(&self) -> u128 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// A line each.
    pub(crate) fn page(&self) -> String {
        let line = |(what, count): &(String, u128)| format!("# {what:<36} {}\n", bytes(*count));
        let lines: String = self.parts.iter().map(line).collect();
        format!("# memory\n{lines}# {:<36} {}\n", "in all", bytes(self.total()))
    }

    /// One line.
    pub(crate) fn line(&self, device: &Device) -> String {
        let free = doctor::available_memory().filter(|_| *device == Device::Cpu);
        let free =
            free.map_or(String::new(), |free| format!(" of {} available", bytes(free.into())));
        format!("memory        {} at most{free}", bytes(self.total()))
    }

    /// Refuses what does not fit.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let Some(free) = doctor::available_memory() else { return Ok(()) };
        if self.total() <= u128::from(free) {
            return Ok(());
        }
        let largest = self.parts.iter().max_by_key(|(_, bytes)| *bytes);
        let hint = match largest {
            Some((what, _)) if what.starts_with("activations") => {
                "lower solver.update.batch_tokens, generator.update.batch_tokens or rollout.cache_mib, or set \
                 update.recompute = true"
            }
            _ => {
                "use a smaller model, or run.mode = \"fixed_generator\", which needs one optimizer less"
            }
        };
        Err(Failure::bad_input(format!(
            "the run needs {} of memory, and {} are available; {hint}",
            bytes(self.total()),
            bytes(free.into())
        )))
    }
}

/// Tokens that are timed.
const TIMED_TOKENS: usize = 512;

/// A line on the time of an iteration, if every output is as long as it may be: a forward pass is timed.
pub(crate) fn time(config: &Config, solver: &Role, inputs: &Inputs) -> Result<String, Failure> {
    let tokens = TIMED_TOKENS.min(solver.model.config().max_positions);
    let batch = Batch::sequences(solver.model.device(), &[vec![0; tokens]])?;
    let mut workspace = solver.model.workspace(infuser_model::Keep::Nothing)?;
    solver.model.forward(&batch, 1.0, &mut workspace)?;
    let start = Instant::now();
    solver.model.forward(&batch, 1.0, &mut workspace)?;
    let rate = tokens as f64 / start.elapsed().as_secs_f64();
    let answers = |questions: usize| {
        questions * config.solver.rollout.samples * config.solver.rollout.max_tokens
    };
    let dev = if config.needs_dev() {
        answers(config.dev.subsample.unwrap_or(inputs.dev.len()).min(inputs.dev.len()))
    } else {
        0
    };
    let batch = config.questions.batch * config.run.generator_updates;
    let samples =
        if config.questions.source == Source::File { 1 } else { config.generator.rollout.samples };
    let (written, answered) = match config.run.mode {
        infuser_rl::config::Mode::DevOnly => (0, 0),
        _ => (batch * samples * config.generator.rollout.max_tokens, answers(batch * samples)),
    };
    // Sampling is a pass, a gradient is three; every answer is sampled and learned from, and scored.
    let scored = if config.needs_influence() { 3 } else { 0 };
    let passes = (1 + scored) * dev
        + (1 + if config.generator_learns() { 4 } else { 0 }) * written
        + (1 + scored + if config.solver_learns() { 4 } else { 0 }) * answered;
    let secs = passes as f64 / rate;
    Ok(format!(
        "time          at most about {} an iteration, {} in all: {} tokens an iteration if every output is as long \
         as it may be",
        duration(secs),
        duration(secs * config.run.iterations as f64),
        grouped((dev + written + answered) as u128)
    ))
}

fn duration(secs: f64) -> String {
    match secs {
        secs if secs < 120.0 => format!("{secs:.0} s"),
        secs if secs < 7200.0 => format!("{:.0} min", secs / 60.0),
        secs if secs < 172_800.0 => format!("{:.0} h", secs / 3600.0),
        secs => format!("{:.0} days", secs / 86_400.0),
    }
}

/// A line for each set of which questions will go unanswered, being too long for the solver.
///
/// # Errors
/// All of a set is.
pub(crate) fn too_long(
    config: &Config,
    voice: &Voice,
    positions: usize,
    inputs: &Inputs,
) -> Result<Vec<String>, Failure> {
    let allowed = config.solver.rollout.max_prompt_tokens;
    let most = allowed.min(positions.saturating_sub(1));
    let mut lines = Vec::new();
    for (key, items) in [("data.dev", &inputs.dev), ("data.test", &inputs.test)] {
        let prompt = |item: &Item| voice.prompt(&Ask::Answer(&item.question));
        let lengths: Vec<usize> =
            items.par_iter().map(|item| Ok(prompt(item)?.len())).collect::<Result<_, Failure>>()?;
        let count = lengths.iter().filter(|length| **length > most).count();
        if count == 0 {
            continue;
        }
        let text = format!(
            "{key}: {count} of {} prompts are longer than {most} tokens (solver.rollout.max_prompt_tokens = \
             {allowed}, and the model has {positions} positions)",
            items.len()
        );
        if count == items.len() {
            return Err(Failure::bad_input(text));
        }
        lines.push(format!("{text}; they are left out"));
    }
    Ok(lines)
}

/// The first prompt of each role, as its model gets it.
pub(crate) fn prompts(
    config: &Config,
    folders: &Folders,
    inputs: &Inputs,
) -> Result<String, Failure> {
    let mut text = String::new();
    let document = inputs.pool.as_ref().map(|pool| &pool.documents()[0]);
    if let (Some(document), Some(folder)) = (document, &folders.generator)
        && let Posed::Ask { ask, .. } = Routing::new(&config.questions)?.pose(document)
    {
        text += &shown("generator", &ask, &setup::voice(config, folder)?)?;
    }
    if let Some(item) = inputs.dev.first().or(inputs.test.first()) {
        let voice = setup::voice(config, &folders.solver)?;
        text += &shown("solver", &Ask::Answer(&item.question), &voice)?;
    }
    Ok(text)
}

fn shown(role: &str, ask: &Ask<'_>, voice: &Voice) -> Result<String, Failure> {
    let tokens = voice.prompt(ask)?;
    let text = voice.tokenizer.decode(&tokens, Controls::Show)?;
    let lines: String = text.lines().map(|line| format!("#   {line}\n")).collect();
    Ok(format!("# the first prompt of the {role}, {} tokens\n{lines}", tokens.len()))
}

/// A line of the file of all prompts.
#[derive(Serialize)]
struct Line<'a> {
    role: &'static str,
    /// `documents`, `dev` or `test`.
    set: &'static str,
    id: &'a str,
    /// How many the model reads.
    tokens: usize,
    #[serde(flatten)]
    put: Put,
}

/// Writes every prompt that does not depend on what models write: those of the documents, and of the
/// questions of dev and test set.
pub(crate) fn write_prompts(
    path: &Path,
    config: &Config,
    folders: &Folders,
    inputs: &Inputs,
) -> Result<(), Failure> {
    let mut file = files::Writer::create(path)?;
    let mut add = |voice: &Voice, role, set, id, ask: &Ask<'_>| -> Result<(), Failure> {
        let (put, tokens) = voice.put(ask)?;
        Ok(file.line(&Line { role, set, id, tokens: tokens.len(), put })?)
    };
    if let (Some(pool), Some(folder)) = (&inputs.pool, &folders.generator) {
        let voice = setup::voice(config, folder)?;
        let routing = Routing::new(&config.questions)?;
        for document in pool.documents() {
            if let Posed::Ask { ask, .. } = routing.pose(document) {
                add(&voice, "generator", "documents", &document.doc_id, &ask)?;
            }
        }
    }
    let voice = setup::voice(config, &folders.solver)?;
    for (set, items) in [("dev", &inputs.dev), ("test", &inputs.test)] {
        for item in items {
            add(&voice, "solver", set, &item.id, &Ask::Answer(&item.question))?;
        }
    }
    Ok(file.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_answer_counts_with_its_prompt() {
        let text = br#"{"model_type": "qwen3", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 16,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
            "max_position_embeddings": 200}"#;
        let model = ModelConfig::parse("config.json".as_ref(), text).unwrap();
        let counted = |batch_tokens, max_prompt_tokens, max_tokens| {
            let update = Update { batch_tokens, ..Update::default() };
            let rollout = Rollout { max_prompt_tokens, max_tokens, ..Rollout::default() };
            rows(&update, &rollout, &model)
        };
        assert_eq!(counted(64, 100, 50), [150, 64]);
        assert_eq!(counted(64, 10, 50), [64, 64]);
        assert_eq!(counted(64, 100, 90), [190, 90]);
        // Nothing is longer than the model's positions.
        assert_eq!(counted(64, usize::MAX, 90), [200, 90]);
        assert_eq!(counted(1000, 150, usize::MAX), [1000, 1000]);
        assert_eq!(counted(64, 150, usize::MAX), [200, 200]);

        // So many tokens that activations take more than the cache.
        let model = ModelConfig { max_positions: 20_000, ..model };
        let mut config = Config::default();
        config.solver.rollout = Rollout { cache_mib: 8, ..config.solver.rollout };
        config.solver.update = Update { batch_tokens: 6400, ..config.solver.update };
        let total = |prompt: usize, config: &mut Config| {
            config.solver.rollout.max_prompt_tokens = prompt;
            config.solver.rollout.max_tokens = 5000;
            memory(config, &model, None, &Device::Cpu).unwrap().total()
        };
        let keep = config.solver.update.keep();
        let pass = |rows| memory::workspace_bytes(&model, &Device::Cpu, keep, rows);
        let more = total(10_000, &mut config) - total(1000, &mut config);
        assert_eq!(more, pass([15_000, 6400]) - pass([6400, 6400]));
    }
}
