//! Writing a Hugging Face folder: weights in one file or shards, config and tokenizer beside them.
//!
//! Everything is written to a folder aside and renamed at the end, so a folder of the final name is
//! always whole.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::stream::{Entry, write_tensors};
use crate::{
    Model,
    config::read_small,
    error::{Error, Result},
};

/// Element type of saved weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveDtype {
    /// Exact.
    F32,
    /// Rounded to nearest even; half the size.
    Bf16,
}

impl SaveDtype {
    /// Bytes of one value.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// How to save.
#[derive(Debug, Clone, Copy)]
pub struct SaveOptions<'a> {
    /// Element type of the weights.
    pub dtype: SaveDtype,
    /// Weights are split into files of at most this many bytes (a larger tensor gets its own).
    pub shard_bytes: usize,
    /// The folder whose `config.json`, `generation_config.json` and tokenizer files come along.
    pub source: &'a Path,
}

/// Files of the source folder that are copied as they are, if there.
const COPIED: [&str; 9] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
];

/// Saves `model` as the folder `target`, which must not exist.
///
/// # Errors
/// [`Error::Setting`] if the target exists; [`Error::Io`] naming the file that cannot be written. A
/// folder aside may be left behind then; the target is not.
pub fn save(model: &Model, target: &Path, options: &SaveOptions<'_>) -> Result<()> {
    if target.exists() {
        let problem = format!("{} exists; choose another folder or remove it", target.display());
        return Err(Error::Setting(problem));
    }
    let aside = aside(target);
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
    }
    fs::create_dir_all(&aside).map_err(Error::io("create", &aside))?;
    write_weights(model, &aside, options)?;
    write_config(&aside, options)?;
    for name in COPIED {
        let from = options.source.join(name);
        if from.is_file() {
            let to = aside.join(name);
            let bytes = fs::read(&from).map_err(Error::io("read", &from))?;
            write_synced(&to, &bytes)?;
        }
    }
    fs::rename(&aside, target).map_err(Error::io("rename to", target))
}

/// The name beside `target` under which it is written.
pub(super) fn aside(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    target.with_file_name(name)
}

/// Writes a whole file and waits until it is on the disk.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut file = fs::File::create(path).map_err(Error::io("write", path))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.sync_all().map_err(Error::io("write", path))
}

/// Parameter indices of each file, in layout order.
fn shards(model: &Model, options: &SaveOptions<'_>) -> Vec<Vec<usize>> {
    let mut shards = vec![Vec::new()];
    let mut used = 0;
    for (id, param) in model.layout().iter() {
        let bytes = param.axes.iter().product::<usize>() * options.dtype.bytes();
        let current = shards.len() - 1;
        if used > 0 && used + bytes > options.shard_bytes {
            shards.push(vec![id.index()]);
            used = bytes;
        } else {
            shards[current].push(id.index());
            used += bytes;
        }
    }
    shards
}

fn write_weights(model: &Model, folder: &Path, options: &SaveOptions<'_>) -> Result<()> {
    let shards = shards(model, options);
    let count = shards.len();
    let mut weight_map = BTreeMap::new();
    let mut total_bytes = 0;
    for (i, indices) in shards.iter().enumerate() {
        let name = match count {
            1 => "model.safetensors".to_string(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", i + 1),
        };
        let params = indices.iter().map(|&index| &model.layout().params()[index]);
        let entries: Vec<Entry<'_>> =
            params.map(|param| (param.name.clone(), &param.axes[..])).collect();
        for (tensor, axes) in &entries {
            total_bytes += axes.iter().product::<usize>() * options.dtype.bytes();
            weight_map.insert(tensor.clone(), name.clone());
        }
        // Readers in Python look for this key.
        let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
        let values = |i: usize| Ok(model.weights().buffers()[indices[i]].to_f32()?);
        write_tensors(&folder.join(name), options.dtype, Some(metadata), &entries, values)?;
    }
    if count > 1 {
        let index = json!({
            "metadata": {"total_size": total_bytes},
            "weight_map": weight_map,
        });
        write_json(&folder.join("model.safetensors.index.json"), &index)?;
    }
    Ok(())
}

/// The source's config with the saved element type.
fn write_config(folder: &Path, options: &SaveOptions<'_>) -> Result<()> {
    let path = options.source.join("config.json");
    let mut config: Map<String, Value> = serde_json::from_slice(&read_small(&path)?)
        .map_err(|error| Error::config(&path, format!("not a JSON object: {error}")))?;
    let dtype = match options.dtype {
        SaveDtype::F32 => "float32",
        SaveDtype::Bf16 => "bfloat16",
    };
    // Transformers 4 reads `torch_dtype`, transformers 5 `dtype`; keep the spelling that is there.
    let key = if config.contains_key("torch_dtype") { "torch_dtype" } else { "dtype" };
    config.insert(key.into(), dtype.into());
    write_json(&folder.join("config.json"), &Value::Object(config))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::config(path, format!("cannot serialise: {error}")))?;
    text.push('\n');
    write_synced(path, text.as_bytes())
}
