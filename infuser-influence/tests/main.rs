//! Tests of scores. One file a theme:
//!
//! - `oracle`: the sink against stored gradients, for all families, packings, modes and threads
//! - `laws`: what must hold of any score
//! - `golden`: scores of the published code
//! - `twin`: scores in f64, and the derivative that they are
//! - `update`: a whole solver update of the published code
//! - `cuda`: the CUDA code path on the emulator against the CPU
//! - `errors`: what has no score is named
//!
//! `golden` and `update` read a `shared` folder beside the project (or at `INFUSER_SHARED`) if there is
//! one, and say so if not; `INFUSER_REQUIRE_SHARED=1` makes that a failure.

mod fixtures;
mod random;
mod rollouts;

mod cuda;
mod errors;
mod golden;
mod laws;
mod oracle;
mod twin;
mod update;
