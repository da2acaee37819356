//! Generation: prompts in, samples out, many at a time.
//!
//! The [`Engine`] batches continuously: requests join and leave between any two forward passes. Keys and
//! values lie in the blocks of a [`Cache`]; the samples of one prompt share its blocks, and so do
//! prompts that begin alike. What a request gets depends on the request alone, down to the last bit,
//! and its log-probabilities are those of a training pass.
//!
//! Read [`Request`] first, then `engine.rs`.

mod blocks;
mod cache;
mod engine;
mod graphs;
mod request;
mod sequence;
mod step;
mod text;

pub use cache::Cache;
pub use engine::{Counters, Engine, Finished, Options};
pub use request::{FinishReason, Request, Sample, Sampling};
pub(crate) use step::Step;
pub use text::Decode;
