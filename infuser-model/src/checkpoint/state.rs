//! The exact state of a training run, in one versioned file: f32 master weights, both moments of the
//! optimizer, and how many steps it has taken. A run that is saved and loaded continues bit for bit.
//!
//! The file is a safetensors file (`weight.NAME`, `exp_avg.NAME`, `exp_avg_sq.NAME`), so that any
//! tool of the field can look into it.

use std::{collections::HashMap, path::Path};

use infuser_kernels::Device;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{
    mapped::{MappedFile, widened},
    read::non_finite_problem,
    write::{aside, write_synced},
};
use crate::{
    Model,
    error::{Error, Result},
    layout::{Layout, Tensors},
    optim::Optimizer,
};

const FORMAT: &str = "infuser-train-state";
const VERSION: &str = "1";
const PARTS: [&str; 3] = ["weight", "exp_avg", "exp_avg_sq"];

/// Saves the weights of `model` and the state of `optimizer`, aside first, then renamed over `path`.
///
/// # Errors
/// [`Error::Io`] if it cannot be written; an older file of that name is then untouched.
pub fn save_state(path: &Path, model: &Model, optimizer: &Optimizer) -> Result<()> {
    let weights = optimizer.master().unwrap_or(model.weights());
    let parts = [weights, optimizer.exp_avg(), optimizer.exp_avg_sq()];
    let mut encoded = Vec::new();
    for (part, tensors) in PARTS.iter().zip(parts) {
        for ((_, param), buffer) in model.layout().iter().zip(tensors.buffers()) {
            let bytes: Vec<u8> = buffer.to_f32()?.iter().flat_map(|x| x.to_le_bytes()).collect();
            encoded.push((format!("{part}.{}", param.name), param.axes.clone(), bytes));
        }
    }
    let broken = |error| Error::State { path: path.into(), problem: format!("{error}") };
    let mut views = Vec::new();
    for (name, axes, bytes) in &encoded {
        views.push((name, TensorView::new(Dtype::F32, axes.clone(), bytes).map_err(broken)?));
    }
    // One entry: the order of several would differ from file to file.
    let header = format!("{VERSION}, step {}", optimizer.steps());
    let metadata = HashMap::from([(FORMAT.to_string(), header)]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(broken)?;
    let temporary = aside(path);
    write_synced(&temporary, &file)?;
    std::fs::rename(&temporary, path).map_err(Error::io("rename to", path))
}

/// Overwrites the weights of `model` and the state of `optimizer` with those of a saved run.
///
/// # Errors
/// [`Error::Io`] or [`Error::Weights`] if the file cannot be read or is damaged, [`Error::State`] if
/// it is of another format, version or model. Nothing is changed then.
pub fn load_state(path: &Path, model: &mut Model, optimizer: &mut Optimizer) -> Result<()> {
    let refuse = |problem: String| Error::State { path: path.into(), problem };
    let mapped = MappedFile::open(path)?;
    let tensors = mapped.tensors(path)?;
    let metadata = mapped.metadata(path)?;
    let header = metadata.get(FORMAT);
    let header = header.ok_or_else(|| refuse("not a training state of infuser".into()))?;
    let (version, step) = header.split_once(", step ").unwrap_or((header, ""));
    if version != VERSION {
        return Err(refuse(format!("state version {version}; this program reads {VERSION}")));
    }
    let step = step.parse::<u64>().map_err(|_| refuse("the step count is missing".into()))?;
    let expected = model.layout().params().len() * PARTS.len();
    if tensors.len() != expected {
        let got = tensors.len();
        return Err(refuse(format!("{got} tensors, but this model needs {expected}")));
    }
    let [weights, exp_avg, exp_avg_sq] =
        [0, 1, 2].map(|part| read(path, &tensors, model.layout(), PARTS[part]));
    let (weights, exp_avg, exp_avg_sq) = (weights?, exp_avg?, exp_avg_sq?);
    let device = model.device();
    let master = if device.float() == infuser_kernels::Dtype::F32 {
        None
    } else {
        let mut master = Tensors::optimizer_zeros(model.layout(), &device)?;
        copy(&weights, &mut master)?;
        Some(master)
    };
    copy(&weights, model.weights_mut())?;
    let (first, second) = optimizer.moments_mut();
    copy(&exp_avg, first)?;
    copy(&exp_avg_sq, second)?;
    optimizer.set_master(master);
    optimizer.set_steps(step);
    Ok(())
}

/// Saves tensors in the shapes of a model's weights, as `tensor.NAME`, aside first, then renamed.
///
/// # Errors
/// [`Error::Io`] if it cannot be written.
pub fn save_tensors(path: &Path, layout: &Layout, tensors: &Tensors) -> Result<()> {
    let mut encoded = Vec::new();
    for ((_, param), buffer) in layout.iter().zip(tensors.buffers()) {
        let bytes: Vec<u8> = buffer.to_f32()?.iter().flat_map(|x| x.to_le_bytes()).collect();
        encoded.push((format!("tensor.{}", param.name), param.axes.clone(), bytes));
    }
    let broken = |error| Error::State { path: path.into(), problem: format!("{error}") };
    let mut views = Vec::new();
    for (name, axes, bytes) in &encoded {
        views.push((name, TensorView::new(Dtype::F32, axes.clone(), bytes).map_err(broken)?));
    }
    let file = safetensors::serialize(views, None).map_err(broken)?;
    let temporary = aside(path);
    write_synced(&temporary, &file)?;
    std::fs::rename(&temporary, path).map_err(Error::io("rename to", path))
}

/// Reads what [`save_tensors`] saved.
///
/// # Errors
/// As [`load_state`].
pub fn load_tensors(path: &Path, layout: &Layout, device: Device) -> Result<Tensors> {
    let mapped = MappedFile::open(path)?;
    let found = mapped.tensors(path)?;
    let mut tensors = Tensors::zeros(layout, device)?;
    copy(&read(path, &found, layout, "tensor")?, &mut tensors)?;
    Ok(tensors)
}

fn read(
    path: &Path,
    tensors: &SafeTensors<'_>,
    layout: &Layout,
    part: &str,
) -> Result<Vec<Vec<f32>>> {
    let refuse = |problem: String| Error::State { path: path.into(), problem };
    let one = |param: &crate::layout::Param| {
        let name = format!("{part}.{}", param.name);
        let tensor = tensors.tensor(&name).map_err(|_| refuse(format!("`{name}` is missing")))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != param.axes {
            let (dtype, shape, want) = (tensor.dtype(), tensor.shape(), &param.axes);
            let problem = format!("`{name}` is {dtype:?} {shape:?}, this model needs F32 {want:?}");
            return Err(refuse(problem));
        }
        let values = widened(&tensor).unwrap_or_default();
        match values.iter().filter(|x| !x.is_finite()).count() {
            0 => Ok(values),
            bad => Err(refuse(non_finite_problem(&name, bad))),
        }
    };
    layout.params().iter().map(one).collect()
}

fn copy(values: &[Vec<f32>], tensors: &mut Tensors) -> Result<()> {
    for (buffer, values) in tensors.buffers_mut().iter_mut().zip(values) {
        buffer.copy_from_f32(values)?;
    }
    Ok(())
}
