//! What comes from outside, through the crate's door. One file a theme:
//!
//! - `grading`: the graders against public suites and real outputs
//! - `document`: pools from files, and pools as files
//! - `overlap`: evaluation items in a training pool
//! - `parse`: questions out of what generators write
//! - `prompt`: each prompt against a snapshot, and templates of the user
//! - `suite`: question sets, public layouts, hostile files
//! - `tokenizer`: ids against known ones, chat templates against transformers, injections
//!
//! Some tests also read the larger sets of a `shared` folder beside the project (or at
//! `INFUSER_SHARED`); with `INFUSER_REQUIRE_SHARED=1` they fail if it is not there.

mod document;
mod grading;
mod overlap;
mod parse;
mod prompt;
mod shared;
mod suite;
mod tokenizer;
