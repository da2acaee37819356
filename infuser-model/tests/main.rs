//! Tests of whole models. One file a theme:
//!
//! - `golden`: values of PyTorch and transformers: logits, losses, every gradient, greedy tokens
//! - `engine`: batched generation against one sequence computed over and over
//! - `prefix`: shared prompts against separate sequences
//! - `resume`: saved and continued runs
//! - `saving`: saved and loaded folders
//! - `hostile`: damaged files
//! - `configs`: spellings of `config.json`
//! - `memory`: predicted against held bytes
//! - `optimizer`: AdamW and schedules against PyTorch
//! - `cuda`: the CUDA code path on the emulator against PyTorch and the CPU
//!
//! `golden` also reads the larger sets of a `shared` folder beside the project (or at
//! `INFUSER_SHARED`) if there is one, and says so if not; `INFUSER_REQUIRE_SHARED=1` makes that a failure.

mod fixtures;

mod configs;
mod cuda;
mod engine;
mod golden;
mod hostile;
mod memory;
mod optimizer;
mod prefix;
mod resume;
mod saving;
