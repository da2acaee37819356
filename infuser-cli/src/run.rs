//! The folder of a run: its plan, what its stages made, its checkpoints, its metrics.
//!
//! ```text
//! plan.toml                 every setting, with its origin
//! metrics.jsonl             one object a stage
//! tensorboard/              the same as curves
//! iterations/0003/dev.jsonl what a stage made; there as a whole or not at all
//! checkpoints/000010/       solver/ generator/ (Hugging Face), and the exact state to go on from
//! summary.json              when the run has ended
//! ```

mod events;
mod folder;
mod metrics;

pub(crate) use folder::{Folder, next_free, title, titled, write_whole};
pub(crate) use metrics::{Line, Log, read as read_metrics};
