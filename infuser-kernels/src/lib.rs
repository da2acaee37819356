//! Devices, buffers and ops: the arithmetic that the rest of infuser is made of.
//!
//! A [`Device`] is where memory lives, a [`Buffer`] is a row-major tensor that owns memory there,
//! a [`View`] or [`ViewMut`] borrows a buffer or consecutive rows of it, and an op is a free
//! function in one module of [`ops`] that checks every shape before it writes anything. Outputs
//! are passed in, so every allocation is visible at the caller.
//!
//! ```
//! use infuser_kernels::{Device, Write, ops::matmul};
//!
//! # fn main() -> infuser_kernels::Result<()> {
//! let x = Device::Cpu.upload_f32(vec![1.0, 2.0], &[1, 2])?;
//! let w = Device::Cpu.upload_f32(vec![3.0, 4.0, 5.0, 6.0], &[2, 2])?;
//! let mut y = Device::Cpu.zeros_f32(&[1, 2])?;
//! matmul::nt(x.view(), w.view(), y.view_mut(), Write::Overwrite)?; // y = x wᵀ
//! assert_eq!(y.to_f32()?, [11.0, 17.0]);
//! # Ok(())
//! # }
//! ```
//!
//! Conventions: gradients of parameters are added to (`+=`), gradients of activations are written
//! as the [`Write`] argument says; reductions run in an order fixed by the shapes alone, so results
//! do not depend on the number of threads. This crate knows no layers and no configuration, prints
//! nothing, reads no environment, and touches no file but kernels that it compiled.

mod buffer;
mod check;
pub mod cuda;
mod device;
mod dims;
mod error;
mod lines;
pub mod ops;
pub mod rng;
mod simd;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod threads;
mod view;

pub use buffer::{Buffer, Dtype};
pub use cuda::{Arena, Held, MemoryUse};
pub use device::Device;
pub use dims::Dims;
pub use error::{Error, Result};
pub use view::{View, ViewMut};

/// How an op treats what its output already holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// `out = value`; what was there is never read.
    Overwrite,
    /// `out += value`.
    Add,
}
