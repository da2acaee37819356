//! `infuser inspect`.

use std::{collections::BTreeMap, path::Path};

use infuser_kernels::Device;
use infuser_model::{
    Keep, Layout, ModelConfig, NormPlacement, QkNorm, RopeScaling,
    checkpoint::{Inventory, StoredTensor, inventory},
    memory,
};
use serde_json::{Value, json};

use crate::{
    args::Inspect,
    failure::Failure,
    report::{bytes, grouped},
};

/// Tokens for which activations and caches are quoted.
const QUOTED_TOKENS: usize = 1000;

pub(crate) fn run(args: &Inspect) -> Result<(), Failure> {
    let (config, stored) = if args.model.is_file() {
        let text = std::fs::read(&args.model).map_err(|error| {
            Failure::bad_input(format!("cannot read {}: {error}", args.model.display()))
        })?;
        (ModelConfig::parse(&args.model, &text)?, None)
    } else {
        let (config, stored) = inventory(&args.model)?;
        (config, Some(stored))
    };
    let report = report(&args.model, &config, stored.as_ref());
    let text = if args.json {
        serde_json::to_string_pretty(&report)
            .map_err(|error| Failure::failed("the report cannot be written as JSON", error))?
    } else {
        page(&args.model, &config, stored.as_ref())
    };
    print(&text)?;
    match stored.as_ref().and_then(Inventory::first_non_finite) {
        None => Ok(()),
        Some(StoredTensor { name, non_finite, .. }) => Err(Failure::bad_input(format!(
            "{}: tensor `{name}` has {non_finite} values that are NaN or infinite; the checkpoint is broken",
            args.model.display()
        ))),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").map_err(|error| Failure::output("standard output", error))
}

/// Element types and how many tensors have each.
fn dtypes(stored: &Inventory) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for tensor in &stored.tensors {
        *counts.entry(tensor.dtype).or_insert(0) += 1;
    }
    counts
}

fn stored_bytes(stored: &Inventory) -> usize {
    stored.tensors.iter().map(|tensor| tensor.bytes).sum()
}

fn qk_norm(config: &ModelConfig) -> &'static str {
    match config.qk_norm {
        QkNorm::None => "none",
        QkNorm::PerHead => "per_head",
        QkNorm::FullWidth => "full_width",
    }
}

fn norm_placement(config: &ModelConfig) -> &'static str {
    match config.norm_placement {
        NormPlacement::Before => "before",
        NormPlacement::After => "after",
    }
}

fn scaling(config: &ModelConfig) -> Vec<&'static str> {
    let name = |rope: &infuser_model::Rope| match rope.scaling {
        RopeScaling::None => "default",
        RopeScaling::Llama3 { .. } => "llama3",
        RopeScaling::Yarn { .. } => "yarn",
    };
    config.ropes.iter().map(name).collect()
}

/// Generation on the CPU holds the weights twice.
fn run_bytes(config: &ModelConfig) -> u128 {
    let device = Device::Cpu;
    memory::weights_bytes(config, &device) + memory::packed_bytes(config, &device)
}

fn activations(config: &ModelConfig, keep: Keep) -> u128 {
    memory::workspace_bytes(config, &Device::Cpu, keep, [QUOTED_TOKENS; 2])
}

fn report(path: &Path, config: &ModelConfig, stored: Option<&Inventory>) -> Value {
    let layout = Layout::new(config);
    let windows: Vec<Option<usize>> = config.layers.iter().map(|layer| layer.window).collect();
    let theta: Vec<f64> = config.ropes.iter().map(|rope| rope.theta).collect();
    let mut report = json!({
        "path": path.display().to_string(),
        "model_type": config.model_type,
        "parameters": number(layout.elements()),
        "layers": config.layers.len(),
        "hidden_size": config.width,
        "intermediate_size": config.ffn,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "head_dim": config.head_width,
        "vocab_size": config.vocab,
        "tied_embeddings": config.tied,
        "max_positions": config.max_positions,
        "sliding_windows": windows,
        "norm_placement": norm_placement(config),
        "qk_norm": qk_norm(config),
        "rope_theta": theta,
        "rope_scaling": scaling(config),
        "eos_tokens": config.eos_tokens,
        "bytes": {
            "weights": number(memory::weights_bytes(config, &Device::Cpu)),
            "run": number(run_bytes(config)),
            "train": number(memory::training_state_bytes(config, &Device::Cpu)),
            "cache_per_1000_tokens":
                number(QUOTED_TOKENS as u128 * memory::cache_bytes_per_token(config, &Device::Cpu)),
            "activations_per_1000_tokens": number(activations(config, Keep::Everything)),
            "activations_per_1000_tokens_recomputed": number(activations(config, Keep::BlockInputs)),
        },
    });
    if let Some(stored) = stored {
        let tensors: Vec<Value> = stored
            .tensors
            .iter()
            .map(|t| {
                json!({"name": t.name, "dtype": t.dtype, "shape": t.axes, "non_finite": t.non_finite})
            })
            .collect();
        report["files"] = stored.files.iter().map(|file| file.display().to_string()).collect();
        report["stored_bytes"] = stored_bytes(stored).into();
        report["dtypes"] = json!(dtypes(stored));
        report["tensor_count"] = tensors.len().into();
        report["tensors"] = tensors.into();
    }
    report
}

/// Counts fit 64 bits for every model that fits a disk.
fn number(count: u128) -> Value {
    u64::try_from(count).map_or_else(|_| Value::String(count.to_string()), Value::from)
}

fn page(path: &Path, config: &ModelConfig, stored: Option<&Inventory>) -> String {
    let layout = Layout::new(config);
    let sliding = config.layers.iter().filter(|layer| layer.window.is_some()).count();
    let mut lines = vec![
        format!("{}", path.display()),
        format!("  family        {}", config.model_type),
        format!("  parameters    {}", grouped(layout.elements())),
        format!(
            "  shape         {} layers, width {}, feed-forward {}, vocabulary {}{}",
            config.layers.len(),
            config.width,
            config.ffn,
            config.vocab,
            if config.tied { " (tied)" } else { "" }
        ),
        format!(
            "  attention     {} heads of {}, {} key heads, {sliding} of {} layers slide, qk-norm {}",
            config.heads,
            config.head_width,
            config.kv_heads,
            config.layers.len(),
            qk_norm(config)
        ),
        format!("  positions     {}, rope {}", config.max_positions, scaling(config).join(" and ")),
    ];
    if let Some(stored) = stored {
        let kinds: Vec<String> =
            dtypes(stored).iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
        lines.push(format!(
            "  stored        {} tensors ({}) in {} files, {}",
            stored.tensors.len(),
            kinds.join(", "),
            stored.files.len(),
            bytes(stored_bytes(stored) as u128)
        ));
    }
    let cache = QUOTED_TOKENS as u128 * memory::cache_bytes_per_token(config, &Device::Cpu);
    lines.extend([
        format!(
            "  to run        {}, and {} of cache for each {QUOTED_TOKENS} tokens",
            bytes(run_bytes(config)),
            bytes(cache)
        ),
        format!(
            "  to train      {}, and {} of activations for each {QUOTED_TOKENS} tokens of a batch ({} if recomputed)",
            bytes(memory::training_state_bytes(config, &Device::Cpu)),
            bytes(activations(config, Keep::Everything)),
            bytes(activations(config, Keep::BlockInputs))
        ),
    ]);
    for tensor in stored.iter().flat_map(|stored| &stored.tensors).filter(|t| t.non_finite > 0) {
        lines.push(format!(
            "  BROKEN        {}: {} values are NaN or infinite",
            tensor.name, tensor.non_finite
        ));
    }
    lines.join("\n")
}
