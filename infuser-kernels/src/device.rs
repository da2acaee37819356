//! Where buffers live and ops run.

use std::{fmt, sync::Arc};

use crate::{
    Buffer, Dims, Dtype,
    cuda::{Arena, Driver, Folders, Gpu, MemoryUse},
    error::Result,
};

/// A place that holds buffers and runs ops. Cloning shares it.
///
/// Ops dispatch with one `match` on this enum, in their `mod.rs`; the code for a device is one file
/// per op (`cpu.rs`, `cuda.rs`). CPU ops run on the rayon pool of the caller: install a pool of another
/// size around a call to change the number of threads. No result depends on that number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// This machine's processor and memory; all arithmetic in f32.
    #[default]
    Cpu,
    /// Memory of a driver, which runs the CUDA kernels: weights and activations in bf16, sums and
    /// everything of parameters but the weights themselves in f32. Two are equal if they share a driver.
    Cuda(Driver),
}

impl Device {
    /// GPU number `index`, with all kernels compiled for it.
    ///
    /// # Errors
    /// [`crate::Error::Driver`] saying what is missing (the NVIDIA driver, NVRTC, cuBLASLt, a GPU of that
    /// number) and what installs it.
    pub fn cuda(index: usize, folders: Folders<'_>) -> Result<Self> {
        Ok(Self::Cuda(Driver::gpu(Arc::new(Gpu::open(index, folders)?))))
    }

    /// The name used in messages and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }

    /// The same device; what this handle allocates is counted for `arena`.
    #[must_use]
    pub fn in_arena(&self, arena: Arena) -> Self {
        match self {
            Self::Cpu => Self::Cpu,
            Self::Cuda(driver) => Self::Cuda(driver.in_arena(arena)),
        }
    }

    /// The account of the device's memory; `None` on the CPU, whose memory is the system's to count.
    pub fn memory_use(&self) -> Option<MemoryUse> {
        match self {
            Self::Cpu => None,
            Self::Cuda(driver) => Some(driver.memory_use()),
        }
    }

    /// Why nothing is recorded in graphs on this device, if it was tried and failed.
    pub fn graph_fault(&self) -> Option<crate::Error> {
        match self {
            Self::Cpu => None,
            Self::Cuda(driver) => driver.graph_fault(),
        }
    }

    /// The element type of weights and activations here.
    pub fn float(&self) -> Dtype {
        match self {
            Self::Cpu => Dtype::F32,
            Self::Cuda(_) => Dtype::Bf16,
        }
    }

    /// A new buffer of zeros.
    ///
    /// # Errors
    /// [`crate::Error::Size`] for an impossible shape, [`crate::Error::Memory`] if there is no room,
    /// [`crate::Error::Argument`] for a type that the device does not hold.
    pub fn zeros(&self, axes: &[usize], dtype: Dtype) -> Result<Buffer> {
        Buffer::zeros(self, Dims::new(axes)?, dtype)
    }

    /// A new buffer of f32 zeros: statistics, gradients of parameters, optimizer state.
    ///
    /// # Errors
    /// As [`Device::zeros`].
    pub fn zeros_f32(&self, axes: &[usize]) -> Result<Buffer> {
        self.zeros(axes, Dtype::F32)
    }

    /// A new buffer of zeros of the device's [`float`](Device::float): weights and activations.
    ///
    /// # Errors
    /// As [`Device::zeros`].
    pub fn zeros_float(&self, axes: &[usize]) -> Result<Buffer> {
        self.zeros(axes, self.float())
    }

    /// A new buffer holding these values.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if there are more or fewer values than the shape has elements.
    pub fn upload_f32(&self, values: Vec<f32>, axes: &[usize]) -> Result<Buffer> {
        Buffer::from_f32(self, values, Dims::new(axes)?)
    }

    /// A new buffer holding these values as the device's [`float`](Device::float), rounded to nearest,
    /// ties to even.
    ///
    /// # Errors
    /// As [`Device::upload_f32`].
    pub fn upload_float(&self, values: Vec<f32>, axes: &[usize]) -> Result<Buffer> {
        match self {
            Self::Cpu => self.upload_f32(values, axes),
            Self::Cuda(_) => {
                let mut buffer = self.zeros_float(axes)?;
                buffer.copy_from_f32(&values)?;
                Ok(buffer)
            }
        }
    }

    /// A new one-axis buffer holding these indices.
    ///
    /// # Errors
    /// [`crate::Error::Size`] if there are more than fit in memory addressing.
    pub fn upload_u32(&self, values: Vec<u32>) -> Result<Buffer> {
        Buffer::from_u32(self, values)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
