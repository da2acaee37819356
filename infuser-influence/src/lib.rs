//! How much one optimizer step on a question would move a model towards a target.
//!
//! With the gradient `g` of a question's loss, the gradient `m` of the target questions' loss, and
//! AdamW's mean square `v` after `t₀` steps (INFUSER, arXiv 2606.09052):
//!
//! ```text
//! v̂ = (β₂ v + (1 − β₂) g²) / (1 − β₂^(t₀+1))    Γ = g / (√v̂ + ε)    score = ⟨Γ, m⟩ / (|Γ| |m|)
//! ```
//!
//! A [`Target`] holds `m`; a [`Scorer`] computes, for every [`Question`] of a list, the four sums from
//! which each [`Similarity`] follows. Many questions go through one backward pass, and the gradient of
//! none is ever stored: memory beside weights, moments and target does not depend on their number.
//! Nothing is approximated. What the score leaves out of a real step (the first moment, decay,
//! clipping, other questions of the mini-batch, everything beyond first order) is left out by its
//! definition; [`validate`] measures what that costs.
//!
//! This crate reads no files, prints nothing and draws no random numbers. It knows nothing of rewards:
//! a [`Response`] comes with its advantage.

mod error;
mod fingerprint;
mod gradient;
mod packed;
mod question;
mod score;
mod similarity;
mod sink;
mod statistics;
mod target;
mod validate;

pub use error::{Error, Result};
pub use fingerprint::Fingerprint;
pub use gradient::{Settings, gradient};
pub use infuser_kernels::ops::influence::{Preconditioner, Sums};
pub use question::{Objective, Question, Response, Weights};
pub use score::{AdamState, Path, Score, Scorer, Scores, Shared};
pub use similarity::Similarity;
pub use statistics::Agreement;
pub use target::{Origin, Target};
pub use validate::{Plan, Report, Step, Trial, validate};
