//! The exact state of a training run, in one versioned file: f32 master weights, both moments of the
//! optimizer, and how many steps it has taken. A run that is saved and loaded continues bit for bit.
//!
//! The file is a safetensors file (`weight.NAME`, `exp_avg.NAME`, `exp_avg_sq.NAME`), so that any
//! tool of the field can look into it.

use std::{collections::HashMap, fs, path::Path};

use infuser_kernels::{Buffer, Device};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{
    mapped::{MappedFile, widened},
    read::non_finite_problem,
    stream::{Entry, write_tensors},
    write::{SaveDtype, aside},
};
use crate::{
    Model,
    error::{Error, Result},
    layout::{Layout, Param, Tensors},
    optim::Optimizer,
};

const FORMAT: &str = "infuser-train-state";
const VERSION: &str = "1";
const PARTS: [&str; 3] = ["weight", "exp_avg", "exp_avg_sq"];

/// Saves the weights of `model` and the state of `optimizer`, aside first, then renamed over `path`.
///
/// # Errors
/// [`Error::Io`] if it cannot be written, [`Error::State`] for values that are not finite, which
/// [`load_state`] would refuse; an older file of that name is then untouched.
pub fn save_state(path: &Path, model: &Model, optimizer: &Optimizer) -> Result<()> {
    let weights = optimizer.master().unwrap_or(model.weights());
    let parts = [weights, optimizer.exp_avg(), optimizer.exp_avg_sq()];
    // One entry: the order of several would differ from file to file.
    let header = format!("{VERSION}, step {}", optimizer.steps());
    let metadata = HashMap::from([(FORMAT.to_string(), header)]);
    let parts: Vec<_> = PARTS.into_iter().zip(parts).collect();
    save(path, model.layout(), &parts, Some(metadata))
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
    for part in PARTS {
        check(path, &tensors, model.layout(), part)?;
    }
    let (layout, device) = (model.layout().clone(), model.device());
    let mut master = match device.float() {
        infuser_kernels::Dtype::F32 => None,
        _ => Some(Tensors::optimizer_zeros(&layout, &device)?),
    };
    if let Some(master) = &mut master {
        copy(path, &tensors, &layout, PARTS[0], master)?;
    }
    copy(path, &tensors, &layout, PARTS[0], model.weights_mut())?;
    let (first, second) = optimizer.moments_mut();
    copy(path, &tensors, &layout, PARTS[1], first)?;
    copy(path, &tensors, &layout, PARTS[2], second)?;
    optimizer.set_master(master);
    optimizer.set_steps(step);
    Ok(())
}

/// The part of a file that holds nothing else.
const TENSOR: &str = "tensor";

/// Saves tensors in the shapes of a model's weights, as `tensor.NAME`, aside first, then renamed.
///
/// # Errors
/// As [`save_state`].
pub fn save_tensors(path: &Path, layout: &Layout, tensors: &Tensors) -> Result<()> {
    save(path, layout, &[(TENSOR, tensors)], None)
}

/// Reads what [`save_tensors`] saved.
///
/// # Errors
/// As [`load_state`].
pub fn load_tensors(path: &Path, layout: &Layout, device: Device) -> Result<Tensors> {
    let mapped = MappedFile::open(path)?;
    let found = mapped.tensors(path)?;
    check(path, &found, layout, TENSOR)?;
    let mut tensors = Tensors::zeros(layout, device)?;
    copy(path, &found, layout, TENSOR, &mut tensors)?;
    Ok(tensors)
}

/// Writes the parts aside, one tensor after the other, and renames the file over `path`.
fn save(
    path: &Path,
    layout: &Layout,
    parts: &[(&str, &Tensors)],
    metadata: Option<HashMap<String, String>>,
) -> Result<()> {
    let (mut entries, mut buffers): (Vec<Entry<'_>>, Vec<&Buffer>) = Default::default();
    for (part, tensors) in parts {
        for (param, buffer) in layout.params().iter().zip(tensors.buffers()) {
            entries.push((named(part, param), &param.axes));
            buffers.push(buffer);
        }
    }
    let values = |i: usize| {
        let values = buffers[i].to_f32()?;
        match values.iter().filter(|x| !x.is_finite()).count() {
            0 => Ok(values),
            bad => {
                let name = &entries[i].0;
                let problem = format!(
                    "not saved: `{name}` has {bad} values that are NaN or infinite; training diverged, go on \
                     from an older checkpoint with a lower learning rate"
                );
                Err(Error::State { path: path.into(), problem })
            }
        }
    };
    let temporary = aside(path);
    let written = write_tensors(&temporary, SaveDtype::F32, metadata, &entries, values);
    if let Err(error) = written {
        // What was wrong is said; that a part of a file is left would only hide it.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    fs::rename(&temporary, path).map_err(Error::io("rename to", path))
}

fn named(part: &str, param: &Param) -> String {
    format!("{part}.{}", param.name)
}

/// The tensor of a part that is for `param`; its values have not been looked at.
fn find<'t>(
    path: &Path,
    tensors: &'t SafeTensors<'_>,
    part: &str,
    param: &Param,
) -> Result<TensorView<'t>> {
    let refuse = |problem: String| Error::State { path: path.into(), problem };
    let name = named(part, param);
    let tensor = tensors.tensor(&name).map_err(|_| refuse(format!("`{name}` is missing")))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != param.axes {
        let (dtype, shape, want) = (tensor.dtype(), tensor.shape(), &param.axes);
        let problem = format!("`{name}` is {dtype:?} {shape:?}, this model needs F32 {want:?}");
        return Err(refuse(problem));
    }
    Ok(tensor)
}

/// Refuses a part that lacks a tensor, or has one of another shape or with values that are not finite.
fn check(path: &Path, tensors: &SafeTensors<'_>, layout: &Layout, part: &str) -> Result<()> {
    for param in layout.params() {
        let tensor = find(path, tensors, part, param)?;
        let (words, _) = tensor.data().as_chunks::<4>();
        let bad = words.iter().filter(|word| !f32::from_le_bytes(**word).is_finite()).count();
        if bad > 0 {
            let problem = non_finite_problem(&named(part, param), bad);
            return Err(Error::State { path: path.into(), problem });
        }
    }
    Ok(())
}

/// Copies a part that was checked, one tensor after the other.
fn copy(
    path: &Path,
    tensors: &SafeTensors<'_>,
    layout: &Layout,
    part: &str,
    to: &mut Tensors,
) -> Result<()> {
    for (param, buffer) in layout.params().iter().zip(to.buffers_mut()) {
        let values = widened(&find(path, tensors, part, param)?).unwrap_or_default();
        buffer.copy_from_f32(&values)?;
    }
    Ok(())
}
