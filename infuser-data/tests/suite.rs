//! Question sets:
//!
//! - `sets`: every set of the shared folder, and what is skipped of it
//! - `layouts`: a small file in the shape of each public layout
//! - `formats`: JSON, CSV and Parquet as such
//! - `hostile`: files that are not what they should be

mod formats;
mod hostile;
mod layouts;
pub(crate) mod parquet_file;
mod sets;
