//! Which device a command computes on.

use std::{env, fs, path::PathBuf};

use infuser_kernels::{Device, cuda};

use crate::{
    args::{Choice, OnDevice},
    failure::Failure,
};

/// A folder with NVIDIA's compiler and cuBLASLt, where the system's loader does not find them.
const LIBRARIES: &str = "INFUSER_CUDA_LIBRARIES";

/// Opens the device that was asked for; of what `auto` finds on a machine with a GPU, it says so on
/// standard error.
pub(crate) fn open(choice: OnDevice) -> Result<Device, Failure> {
    let gpu = || Device::cuda(0, libraries().as_deref());
    match choice.device {
        Choice::Cpu => Ok(Device::Cpu),
        Choice::Cuda => {
            gpu().map_err(|error| Failure::bad_input(format!("--device cuda: {error}")))
        }
        Choice::Auto if cuda::gpus() == 0 => Ok(Device::Cpu),
        Choice::Auto => match gpu() {
            Ok(device) => {
                eprintln!("device cuda: the first GPU, in bf16 (--device cpu for the processor)");
                Ok(device)
            }
            Err(error) => {
                eprintln!("device cpu: there is a GPU, but {error}");
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

/// The device, as a run's first lines name it.
pub(crate) fn name(device: &Device) -> String {
    match device {
        Device::Cpu => format!("cpu, {} threads", rayon::current_num_threads()),
        other => other.to_string(),
    }
}
