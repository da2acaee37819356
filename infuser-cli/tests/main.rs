//! Runs the program as a user does. One file a theme:
//!
//! - `results`: numbers and tokens against PyTorch, on the model crate's fixtures
//! - `errors`: bad input gives one clear line and exit code 2, and leaves nothing behind
//! - `grade`: answers are graded line by line
//! - `parse`: questions out of what a generator wrote
//! - `pretrain`: supervised training, the world, experiments, reports
//! - `score`: influence scores of lines, and their validation
//! - `docs`: a pool from files
//! - `chat`: conversations
//! - `text`: texts and conversations in place of tokens
//! - `train`: co-training, killed and resumed
//! - `starting`: what is refused and told before a run begins, messages that nobody reads
//! - `real_files`: files of a user, from Markdown to co-training
//! - `report`: the page about runs
//! - `sets`: question sets come in, are shown, and are looked for in a pool

mod chat;
mod docs;
mod errors;
mod grade;
mod parse;
mod pretrain;
mod program;
mod real_files;
mod report;
mod results;
mod score;
mod sets;
mod starting;
mod text;
mod train;
