//! Reinforcement learning as pure functions: advantages, losses, rewards, selections.
//!
//! Everything here takes slices and returns values: no device, no configuration, no clock, and no
//! randomness but from a seed that is passed in. Responses are packed: their tokens follow each
//! other, nothing is padded, and a list of lengths says where one ends. Logarithms are natural, sums
//! run in f64.

pub mod advantage;
pub mod correction;
mod error;
pub mod loss;
pub mod reduce;
pub mod reward;
pub mod select;

pub use error::{Error, Result};
