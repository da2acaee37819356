//! The GPU that is measured, and what it can do at best.

use std::{env, path::PathBuf, sync::Arc};

use infuser_kernels::{
    Buffer, Device, Error, Result, Write,
    cuda::{Driver, Folders, Gpu},
    ops::matmul,
    testing::normal_values,
};

/// Elements of the square product that is the yardstick.
const SQUARE: usize = 8192;
/// Bytes of the copy that is the yardstick: far more than any cache.
const COPIED: usize = 512 << 20;
/// Distinct values of a random tensor; what comes after repeats them, since drawing billions takes minutes.
const DISTINCT: usize = (1 << 20) + 7;

/// A GPU, and its own rates.
#[derive(Debug)]
pub struct Card {
    /// Where ops run.
    pub device: Device,
    /// The same one, to time with.
    pub gpu: Arc<Gpu>,
    /// What the driver calls it.
    pub name: String,
    /// Copying 512 MiB within its memory, counting bytes read and bytes written.
    pub copy_gbytes: f64,
    /// cuBLASLt on bf16 squares of 8192, random values.
    pub gemm_tflops: f64,
}

impl Card {
    /// The first GPU, measured for a second; `None`, with a line, where there is none.
    /// `INFUSER_CUDA_LIBRARIES` may name a folder with NVRTC and cuBLASLt.
    ///
    /// # Errors
    /// What the driver says while it is measured; with `INFUSER_REQUIRE_GPU=1`, that there is no GPU.
    pub fn open() -> Result<Option<Self>> {
        let libraries = env::var_os("INFUSER_CUDA_LIBRARIES").map(PathBuf::from);
        let folders = Folders { libraries: libraries.as_deref(), cubins: None };
        match Gpu::open(0, folders) {
            Ok(gpu) => Self::measure(Arc::new(gpu)).map(Some),
            Err(Error::Driver { action, problem }) if !required() => {
                println!("CUDA benches are skipped: {action}: {problem}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Peaks of its memory begin anew.
    pub fn reset_memory_peaks(&self) {
        if let Device::Cuda(driver) = &self.device {
            driver.reset_memory_peaks();
        }
    }

    fn measure(gpu: Arc<Gpu>) -> Result<Self> {
        let device = Device::Cuda(Driver::gpu(gpu.clone()));
        let from = tensor(&device, 1, &[COPIED / 2])?;
        let mut to = device.zeros_float(&[COPIED / 2])?;
        let copy = median_secs(&gpu, || to.view_mut().copy_from(from.view()))?;
        drop((from, to));
        let [a, b] = [1, 2].map(|seed| tensor(&device, seed, &[SQUARE, SQUARE]));
        let (a, b) = (a?, b?);
        let mut c = device.zeros_float(&[SQUARE, SQUARE])?;
        let product =
            median_secs(&gpu, || matmul::nt(a.view(), b.view(), c.view_mut(), Write::Overwrite))?;
        Ok(Self {
            device,
            name: gpu.name()?,
            gpu,
            copy_gbytes: 2.0 * COPIED as f64 / copy / 1e9,
            gemm_tflops: 2.0 * (SQUARE as f64).powi(3) / product / 1e12,
        })
    }
}

fn required() -> bool {
    env::var("INFUSER_REQUIRE_GPU").is_ok_and(|value| value == "1")
}

/// The median of eleven calls after three, by events.
fn median_secs(gpu: &Gpu, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..14 {
        times.push(gpu.seconds(&mut work)?);
    }
    Ok(median(&times[3..]))
}

/// The middle of some numbers, the upper one of two.
///
/// # Panics
/// If there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Normal values as the device's float.
///
/// # Errors
/// If there is no room.
pub fn tensor(device: &Device, seed: u64, axes: &[usize]) -> Result<Buffer> {
    device.upload_float(values(seed, axes.iter().product()), axes)
}

/// Normal values, which repeat.
pub fn values(seed: u64, len: usize) -> Vec<f32> {
    let distinct = normal_values(seed, DISTINCT.min(len));
    distinct.iter().copied().cycle().take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_repeat_and_the_middle_is_found() {
        let drawn = values(3, DISTINCT + 2);
        assert_eq!(drawn[..2], drawn[DISTINCT..]);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }
}
