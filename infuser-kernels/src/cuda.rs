//! The CUDA side: kernels from `kernels-cu`, typed launches, and the drivers that run them.
//!
//! A kernel is a variant of [`Kernel`]; a wrapper (one module an op) checks lengths and ranges and
//! fills in a launch; one function hands it to a [`Driver`]. A driver is a GPU, or in tests the SIMT
//! emulator, which runs the same source on the host. A [`Device::Cuda`](crate::Device::Cuda) carries its
//! driver, and each op's `cuda.rs` calls the wrappers with the memory of its buffers.
//!
//! Weights and activations are bf16, sums and parameter gradients f32.

pub mod adamw;
pub mod add;
pub mod advantage;
mod arena;
pub mod attention;
pub mod bias;
mod blas;
pub mod cast;
mod columns;
mod cubin_cache;
mod elements;
pub mod embedding;
pub mod fill;
mod gpu;
pub mod grad_norm;
mod graph;
pub mod head;
mod indices;
pub mod influence;
mod kernel;
mod launch;
pub mod matmul;
mod memory;
pub mod nvrtc;
mod operands;
pub mod paged;
pub mod question_rows;
pub mod rmsnorm;
pub mod rope;
pub mod sample;
#[cfg(any(test, feature = "testing"))]
pub mod simt;
mod staging;
pub mod swiglu;
#[cfg(test)]
mod tests;

pub use arena::{Arena, Held, MemoryUse};
pub use cubin_cache::{CubinCache, Key};
pub use gpu::{Folders, Gpu, gpus};
pub use graph::Graph;
pub(crate) use indices::{Indices, in_place, kept};
pub use kernel::{HEADERS, Kernel, Source};
pub use launch::Driver;
pub use memory::{Element, Memory, Slice, SliceMut};
pub(crate) use operands::{Operands, aligned};
