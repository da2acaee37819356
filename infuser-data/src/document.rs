//! Documents that questions are written from: the pool, its seeded order, and pools built from
//! Markdown, text, HTML and PDF files.

mod build;
mod chunk;
mod cursor;
mod guard;
mod html;
mod markdown;
mod pool;
mod sources;
mod split;
mod text_of;

use serde::Serialize;

pub use build::{Built, Lengths, Options, Report, SkippedFile, build};
pub use cursor::{Cursor, State};
pub use pool::Pool;
pub use sources::Sources;

/// One document. It serializes to the record that [`Pool::read`] reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Its name in the pool, not blank.
    pub doc_id: String,
    /// The number of its source among the sources of the pool.
    #[serde(rename = "original_doc_idx", skip_serializing_if = "Option::is_none")]
    pub source_number: Option<usize>,
    /// Its number among the documents of its source, from 0.
    #[serde(rename = "chunk_idx", skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// The text, not blank.
    pub content: String,
    /// The headings above it, outermost first: `Book > Chapter > Section`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title_path: Option<String>,
    /// What it is about, like `Math`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The file it comes from.
    #[serde(rename = "source_pdf", skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The length of `content` in tokens, by whoever built the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_count: Option<usize>,
    /// The name of the prompt that it is to be used with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_type: Option<String>,
}

/// An estimate of the number of tokens where there is no tokenizer: a quarter of the bytes, rounded
/// up.
pub fn estimated_tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}
