//! Transformers that load Hugging Face folders, compute exact log-probabilities and gradients, take
//! optimizer steps, and save folders that others can load.
//!
//! The shape alphabet, here and in every comment: B sequences, T tokens of a packed batch, N outputs
//! of it, D width, H query heads, K key and value heads, E head width, F feed-forward width,
//! V vocabulary, L layers. Gradients are named `d` + name.
//!
//! A [`Batch`] lays sequences end to end and lets responses share their prompt. A [`Model`] runs it
//! forward to a log-probability and an entropy for each output, and backward from their gradients
//! into a [`GradientSink`]. A [`Workspace`] is the memory of a pass.
//!
//! This crate never prints, reads the environment, or draws randomness without a seed it was given.
//! Layers know no files: `config` reads one, and `checkpoint` reads and writes the rest.

mod batch;
mod block;
pub mod checkpoint;
mod config;
mod error;
pub mod generate;
mod init;
mod layers;
mod layout;
pub mod memory;
mod monitor;
pub mod optim;
mod packed;
mod sink;
pub mod supervised;
mod transformer;
mod workspace;

pub use batch::{Batch, BatchBuilder, PromptId};
pub use config::{
    KNOWN_MODEL_TYPES, LayerKind, ModelConfig, NormPlacement, QkNorm, Rope, RopeScaling,
};
pub use error::{Error, Result};
pub use layout::{LayerParams, Layout, Linear, Param, ParamId, Tensors};
pub use monitor::{Monitor, Unwatched};
pub use packed::PackedWeights;
pub use sink::{Accumulate, GradientSink, NormFactors, RowsOf};
pub use transformer::{Model, OutputGradient};
pub use workspace::{Keep, Workspace};
