//! Where buffers live and ops run.

use std::fmt;

use crate::{Buffer, Dims, Dtype, error::Result};

/// A place that holds buffers and runs ops.
///
/// Ops dispatch with one `match` on this enum, in their `mod.rs`; the code for a device is one file
/// per op (`cpu.rs`). CPU ops run on the rayon pool of the caller: install a pool of another size
/// around a call to change the number of threads. No result depends on that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// This machine's processor and memory; all arithmetic in f32.
    #[default]
    Cpu,
}

impl Device {
    /// The name used in messages and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
        }
    }

    /// A new buffer of zeros.
    ///
    /// # Errors
    /// [`crate::Error::Size`] for an impossible shape, [`crate::Error::Memory`] if there is no room.
    pub fn zeros(&self, axes: &[usize], dtype: Dtype) -> Result<Buffer> {
        Buffer::zeros(*self, Dims::new(axes)?, dtype)
    }

    /// A new buffer of f32 zeros.
    ///
    /// # Errors
    /// As [`Device::zeros`].
    pub fn zeros_f32(&self, axes: &[usize]) -> Result<Buffer> {
        self.zeros(axes, Dtype::F32)
    }

    /// A new buffer holding these values.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if there are more or fewer values than the shape has elements.
    pub fn upload_f32(&self, values: Vec<f32>, axes: &[usize]) -> Result<Buffer> {
        Buffer::from_f32(*self, values, Dims::new(axes)?)
    }

    /// A new one-axis buffer holding these indices.
    ///
    /// # Errors
    /// [`crate::Error::Size`] if there are more than fit in memory addressing.
    pub fn upload_u32(&self, values: Vec<u32>) -> Result<Buffer> {
        Buffer::from_u32(*self, values)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
