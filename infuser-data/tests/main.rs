//! What comes from outside, through the crate's door. One file a theme:
//!
//! - `document`: pools from files, and pools as files
//! - `overlap`: evaluation items in a training pool
//! - `suite`: question sets, public layouts, hostile files
//!
//! Some tests also read the larger sets of a `shared` folder beside the project (or at
//! `INFUSER_SHARED`); with `INFUSER_REQUIRE_SHARED=1` they fail if it is not there.

mod document;
mod overlap;
mod shared;
mod suite;
