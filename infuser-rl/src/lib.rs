//! Reinforcement learning as pure functions: advantages, losses, rewards, selections.
//!
//! Everything here takes slices and returns values: no device, no configuration, no clock, and no
//! randomness but from a seed that is passed in. Responses are packed: their tokens follow each
//! other, nothing is padded, and a list of lengths says where one ends. Logarithms are natural, sums
//! run in f64.

pub mod advantage;
pub mod card;
pub mod config;
pub mod correction;
mod error;
pub mod loss;
pub mod policy;
pub mod pretrain;
pub mod reduce;
pub mod reward;
pub mod role;
pub mod rollout;
pub mod routing;
pub mod select;
pub mod train;
pub mod voice;

pub use error::{Error, Result};
