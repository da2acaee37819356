//! What comes from outside, through the crate's door. One file a theme:
//!
//! - `overlap`: evaluation items in a training pool
//! - `parse`: questions out of what generators write
//! - `suite`: question sets, public layouts, hostile files
//!
//! Some tests also read the larger sets of a `shared` folder beside the project (or at
//! `INFUSER_SHARED`); with `INFUSER_REQUIRE_SHARED=1` they fail if it is not there.

mod overlap;
mod parse;
mod shared;
mod suite;
