//! Which device a command computes on.

use std::{env, fs, path::PathBuf};

use infuser_kernels::{
    Arena, Device, Held, MemoryUse,
    cuda::{self, Folders},
    ops::matmul,
};
use serde_json::Value;

use crate::{
    args::{Choice, OnDevice},
    failure::Failure,
    report::bytes,
    say::say,
};

/// A folder with NVIDIA's compiler and cuBLASLt, where the system's loader does not find them.
const LIBRARIES: &str = "INFUSER_CUDA_LIBRARIES";
/// A folder for compiled kernels instead of the usual one; empty or `off` to keep none.
const KERNEL_CACHE: &str = "INFUSER_KERNEL_CACHE";

/// Opens the device that was asked for; of what `auto` finds on a machine with a GPU, it says so on
/// standard error.
pub(crate) fn open(choice: OnDevice) -> Result<Device, Failure> {
    let gpu = || {
        let (libraries, cubins) = (libraries(), kernel_cache());
        Device::cuda(0, Folders { libraries: libraries.as_deref(), cubins: cubins.as_deref() })
    };
    match choice.device {
        Choice::Cpu => Ok(Device::Cpu),
        Choice::Cuda => {
            gpu().map_err(|error| Failure::bad_input(format!("--device cuda: {error}")))
        }
        Choice::Auto if cuda::gpus() == 0 => Ok(Device::Cpu),
        Choice::Auto => match gpu() {
            Ok(device) => {
                say("device cuda: the first GPU, in bf16 (--device cpu for the processor)");
                Ok(device)
            }
            Err(error) => {
                say(format_args!("device cpu: there is a GPU, but {error}"));
                Ok(Device::Cpu)
            }
        },
    }
}

/// The folder that is named, else that of the wheels in the Python environment that is active.
pub(crate) fn libraries() -> Option<PathBuf> {
    if let Some(named) = env::var_os(LIBRARIES) {
        return Some(named.into());
    }
    let environment = env::var_os("VIRTUAL_ENV").or_else(|| env::var_os("CONDA_PREFIX"))?;
    let versions = fs::read_dir(PathBuf::from(environment).join("lib")).ok()?.flatten();
    let wheels = versions.map(|version| version.path().join("site-packages/nvidia/cu13/lib"));
    let mut folders: Vec<PathBuf> = wheels.filter(|folder| folder.is_dir()).collect();
    folders.sort();
    folders.pop()
}

/// The folder where kernels compiled for the GPU are kept, if they are.
pub(crate) fn kernel_cache() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = env::var_os(KERNEL_CACHE) {
        return if named.is_empty() || named == "off" { None } else { Some(named.into()) };
    }
    // The specification of XDG folders has a relative one ignored.
    let caches = set("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
    let caches = caches.or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(caches.join("infuser/kernels"))
}

/// What is said of a GPU, once and when the work is done, that could not record decode steps.
pub(crate) fn graph_note(device: &Device) -> Option<String> {
    let fault = device.graph_fault()?;
    Some(format!("decode steps ran without CUDA graphs, a launch a kernel: {fault}"))
}

/// The most that each arena of a GPU's memory held, and all together.
pub(crate) fn peaks(memory: &MemoryUse) -> Value {
    let arenas = Arena::ALL.map(|arena| (arena.name(), memory.of(arena)));
    let all = arenas.into_iter().chain([("total", memory.total())]);
    all.map(|(name, held)| (name.to_string(), Value::from(held.peak_bytes))).collect()
}

/// The same for people.
pub(crate) fn peaks_text(memory: &MemoryUse) -> String {
    let shown = |held: Held| bytes(held.peak_bytes as u128);
    let parts = Arena::ALL.map(|arena| format!("{} {}", arena.name(), shown(memory.of(arena))));
    format!("{} ({})", shown(memory.total()), parts.join(", "))
}

/// The device, as a run's first lines name it.
pub(crate) fn name(device: &Device) -> String {
    match device {
        Device::Cpu => {
            let amx = if matmul::tiles_in_use() { ", AMX" } else { "" };
            format!("cpu, {} threads{amx}", rayon::current_num_threads())
        }
        other => other.to_string(),
    }
}
