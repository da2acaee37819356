//! Reading a Hugging Face folder: one `model.safetensors`, or shards with an index.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use infuser_kernels::{Arena, Device, Dims};
use safetensors::SafeTensors;
use serde::Deserialize;

use super::mapped::{MappedFile, dtype_name, widened};
use crate::{
    Model,
    config::{ModelConfig, read_small},
    error::{Error, Result},
    layout::{Layout, Param, Tensors},
};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A tensor as it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// The checkpoint's name for it.
    pub name: String,
    /// `f32`, `bf16` or `f16`.
    pub dtype: &'static str,
    /// Outermost axis first.
    pub axes: Vec<usize>,
    /// Bytes in the file.
    pub bytes: usize,
    /// Values that are NaN or infinite.
    pub non_finite: usize,
}

/// What a model folder holds.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// Files with tensors, in order of name.
    pub files: Vec<PathBuf>,
    /// The model's parameters in layout order, as they are stored.
    pub tensors: Vec<StoredTensor>,
}

impl Inventory {
    /// The first tensor with values that are not finite.
    pub fn first_non_finite(&self) -> Option<&StoredTensor> {
        self.tensors.iter().find(|tensor| tensor.non_finite > 0)
    }
}

/// Loads the model of a folder to `device`, in its float: exact on the CPU, rounded to bf16 on CUDA.
///
/// # Errors
/// [`Error::Io`], [`Error::Config`] or [`Error::Weights`], naming file, tensor and what was expected:
/// damaged files, missing shards or tensors, tensors that the architecture does not have, other
/// shapes or element types, values that are not finite.
pub fn load(folder: &Path, device: Device) -> Result<Model> {
    let config = ModelConfig::read(folder)?;
    let layout = Layout::new(&config);
    let device = device.in_arena(Arena::Weights);
    let mut buffers: Vec<Option<infuser_kernels::Buffer>> =
        layout.params().iter().map(|_| None).collect();
    visit(folder, &config, &layout, |index, param, path, tensor| {
        let values = widened(tensor)
            .ok_or_else(|| Error::weights(path, format!("`{}`: element type", param.name)))?;
        let bad = non_finite(&values);
        if bad > 0 {
            return Err(Error::weights(path, non_finite_problem(&param.name, bad)));
        }
        buffers[index] = Some(device.upload_float(values, &param.axes)?);
        Ok(())
    })?;
    Model::new(config, Tensors::from_buffers(buffers.into_iter().flatten().collect()))
}

/// Lists the parameters of a folder as they are stored, reading every value once.
///
/// # Errors
/// As [`load`], except that values which are not finite are counted instead.
pub fn inventory(folder: &Path) -> Result<(ModelConfig, Inventory)> {
    let config = ModelConfig::read(folder)?;
    let layout = Layout::new(&config);
    let mut tensors: Vec<Option<StoredTensor>> = layout.params().iter().map(|_| None).collect();
    let files = visit(folder, &config, &layout, |index, param, path, tensor| {
        let unknown = || Error::weights(path, format!("`{}`: element type", param.name));
        let values = widened(tensor).ok_or_else(unknown)?;
        tensors[index] = Some(StoredTensor {
            name: param.name.clone(),
            dtype: dtype_name(tensor.dtype()).ok_or_else(unknown)?,
            axes: param.axes.clone(),
            bytes: tensor.data().len(),
            non_finite: non_finite(&values),
        });
        Ok(())
    })?;
    Ok((config, Inventory { files, tensors: tensors.into_iter().flatten().collect() }))
}

/// The message for values that are not finite.
pub(super) fn non_finite_problem(name: &str, count: usize) -> String {
    format!("tensor `{name}` has {count} values that are NaN or infinite; the checkpoint is broken")
}

fn non_finite(values: &[f32]) -> usize {
    values.iter().filter(|value| !value.is_finite()).count()
}

/// Calls `each` with every parameter and its tensor, file after file; returns the files.
fn visit(
    folder: &Path,
    config: &ModelConfig,
    layout: &Layout,
    mut each: impl FnMut(usize, &Param, &Path, &safetensors::tensor::TensorView<'_>) -> Result<()>,
) -> Result<Vec<PathBuf>> {
    let files = files(folder)?;
    let wanted: BTreeMap<&str, (usize, &Param)> =
        layout.iter().map(|(id, param)| (param.name.as_str(), (id.index(), param))).collect();
    let mut found: BTreeMap<&str, &Path> = BTreeMap::new();
    for (path, expected) in &files {
        let mapped = MappedFile::open(path)?;
        let tensors = mapped.tensors(path)?;
        check_names(path, &tensors, config, &wanted, expected.as_deref())?;
        // Not in the order of a hash: of several faults the same one is reported every time.
        let mut names = tensors.names();
        names.sort_unstable();
        for name in names {
            let Some((&key, &(index, param))) = wanted.get_key_value(name) else { continue };
            if let Some(other) = found.insert(key, path) {
                let other = other.display();
                return Err(Error::weights(path, format!("tensor `{name}` is also in {other}")));
            }
            let tensor = tensors
                .tensor(name)
                .map_err(|error| Error::weights(path, format!("tensor `{name}`: {error}")))?;
            check_tensor(path, param, &tensor)?;
            each(index, param, path, &tensor)?;
        }
    }
    if let Some(missing) = layout.params().iter().find(|p| !found.contains_key(p.name.as_str())) {
        let name = &missing.name;
        let count = layout.params().iter().filter(|p| !found.contains_key(p.name.as_str())).count();
        let problem = format!("tensor `{name}` is missing ({count} missing in all)");
        return Err(Error::weights(folder, problem));
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The weight files of a folder, each with the tensor names that an index promises in it.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Option<Vec<String>>)>> {
    let index = folder.join(INDEX);
    if !index.is_file() {
        let single = folder.join(SINGLE);
        if !single.is_file() {
            return Err(Error::weights(
                folder,
                format!("no {SINGLE} and no {INDEX}; only safetensors checkpoints are supported"),
            ));
        }
        return Ok(vec![(single, None)]);
    }
    let parsed: Index = serde_json::from_slice(&read_small(&index)?)
        .map_err(|error| Error::weights(&index, format!("not a valid index: {error}")))?;
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, file) in parsed.weight_map {
        let plain = Path::new(&file).file_name().is_some_and(|name| name == file.as_str());
        if !plain {
            let problem =
                format!("tensor `{tensor}` is said to be in `{file}`, not a plain file name");
            return Err(Error::weights(&index, problem));
        }
        shards.entry(file).or_default().push(tensor);
    }
    if let Some(missing) = shards.keys().find(|file| !folder.join(file).is_file()) {
        let problem = format!("shard {missing} is missing; download the folder again");
        return Err(Error::weights(&index, problem));
    }
    Ok(shards.into_iter().map(|(file, names)| (folder.join(file), Some(names))).collect())
}

/// Refuses tensors that the architecture does not have: ignoring one would compute something else
/// than the checkpoint means.
fn check_names(
    path: &Path,
    tensors: &SafeTensors<'_>,
    config: &ModelConfig,
    wanted: &BTreeMap<&str, (usize, &Param)>,
    expected: Option<&[String]>,
) -> Result<()> {
    let harmless = |name: &str| {
        (config.tied && name == "lm_head.weight") || name.ends_with("rotary_emb.inv_freq")
    };
    for name in tensors.names() {
        if !wanted.contains_key(name) && !harmless(name) {
            let model_type = &config.model_type;
            let problem =
                format!("tensor `{name}` is not part of a {model_type} model of this config");
            return Err(Error::weights(path, problem));
        }
    }
    for name in expected.unwrap_or_default() {
        if tensors.tensor(name).is_err() {
            let problem = format!("the index promises tensor `{name}` here, but it is missing");
            return Err(Error::weights(path, problem));
        }
    }
    Ok(())
}

fn check_tensor(
    path: &Path,
    param: &Param,
    tensor: &safetensors::tensor::TensorView<'_>,
) -> Result<()> {
    let name = &param.name;
    if dtype_name(tensor.dtype()).is_none() {
        let problem =
            format!("tensor `{name}` holds {:?}; supported: f32, bf16, f16", tensor.dtype());
        return Err(Error::weights(path, problem));
    }
    if tensor.shape() != param.axes {
        let (got, want) = (tensor.shape(), &param.axes);
        let problem = format!("tensor `{name}` has shape {got:?}, the config implies {want:?}");
        return Err(Error::weights(path, problem));
    }
    Dims::new(&param.axes)?;
    Ok(())
}
