//! Everything that comes from outside: documents, prompts, tokenizer, questions, graders.
//!
//! This is the trust boundary. What enters is checked once and leaves as types that cannot be wrong;
//! nobody below checks again. Model output is hostile input: parsers and graders are total, bounded
//! in time and memory, and say why they refuse.

pub mod answer;
pub mod chat;
pub mod document;
mod error;
pub mod files;
mod json;
mod nearest;
pub mod order;
pub mod overlap;
pub mod prompt;
pub mod question;
pub mod suite;
pub mod tokenizer;
pub mod world;

pub use error::{Error, Result};
pub use nearest::nearest;
