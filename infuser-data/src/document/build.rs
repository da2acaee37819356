//! A pool from files.

use std::{collections::HashSet, path::PathBuf};

use rayon::prelude::*;

use super::{
    Document,
    chunk::{self, Chunk, Chunks},
    sources::{Source, Sources},
    split::Scale,
    text_of,
};
use crate::{Error, Result};

/// How long documents are, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What is shorter and has no neighbour to join is dropped.
    pub min_tokens: usize,
    /// What is longer is divided.
    pub max_tokens: usize,
}

impl Default for Options {
    /// 50 to 1024 tokens.
    fn default() -> Self {
        Self { min_tokens: 50, max_tokens: 1024 }
    }
}

/// A file with a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFile {
    /// The file or folder.
    pub path: PathBuf,
    /// Why it, or a part of it, is not in the pool.
    pub reason: String,
}

/// Lengths of documents in tokens; all 0 if there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lengths {
    /// All documents together.
    pub total: usize,
    /// The shortest.
    pub min: usize,
    /// The one in the middle; the longer of two.
    pub median: usize,
    /// The longest.
    pub max: usize,
}

/// What was read and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that were read.
    pub files: usize,
    /// Documents that were made of them.
    pub chunks: usize,
    /// How long those are.
    pub lengths: Lengths,
    /// Dropped: exactly the text of an earlier document.
    pub duplicates: usize,
    /// Dropped: shorter than the minimum, or without a letter or digit.
    pub near_empty: usize,
    /// Characters that were left out, as each alone has more tokens than the maximum.
    pub characters_left_out: usize,
    /// Files and folders that could not be read, in the order of their paths.
    pub skipped: Vec<SkippedFile>,
    /// Files of which only a part could be read.
    pub incomplete: Vec<SkippedFile>,
}

/// A pool and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// In the order of files and of the text in each.
    pub documents: Vec<Document>,
    /// Counts and reasons.
    pub report: Report,
}

/// Reads files and divides them into documents.
///
/// Markdown and HTML are divided at headings, and what is still too long at paragraphs, then
/// sentences, lines, words and characters; code, tables and lists at empty lines and lines. Short
/// sections that belong together become one document. `count` says how many tokens a text has; it is
/// asked from several threads, about twice for every part of the text. `done` is called after each
/// file. The result depends on neither the number of threads nor the order in which they work.
///
/// A file that cannot be read is skipped and reported. A decoder that panics is caught, and the
/// file reported.
///
/// # Errors
/// A maximum of 0, or one below the minimum.
pub fn build(
    sources: &Sources,
    options: Options,
    count: &(dyn Fn(&str) -> usize + Sync),
    done: &(dyn Fn() + Sync),
) -> Result<Built> {
    let Options { min_tokens, max_tokens } = options;
    if max_tokens == 0 || max_tokens < min_tokens {
        return Err(Error::Setting(format!(
            "documents of {min_tokens} to {max_tokens} tokens: expected a maximum of at least 1, and \
             not below the minimum"
        )));
    }
    let read = |source: &Source| {
        let outcome = text_of::read(source).map(|text| {
            let scale = Scale { text: &text.text, count, max: max_tokens };
            (chunk::chunks(scale, &text.sections, min_tokens), text.missing)
        });
        done();
        outcome
    };
    // Collected in the order of the files, whatever the order of the work.
    let outcomes: Vec<_> = sources.files.par_iter().map(read).collect();
    let mut gathered = Gathered::default();
    for (number, (source, outcome)) in sources.files.iter().zip(outcomes).enumerate() {
        let note = |reason| SkippedFile { path: source.path.clone(), reason };
        match outcome {
            Ok((chunks, missing)) => {
                gathered.report.incomplete.extend(missing.map(note));
                gathered.add(number, source, chunks);
            }
            Err(reason) => gathered.report.skipped.push(note(reason)),
        }
    }
    gathered.report.skipped.extend(sources.skipped.iter().cloned());
    gathered.report.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(gathered.finish())
}

#[derive(Default)]
struct Gathered {
    documents: Vec<Document>,
    contents: HashSet<String>,
    report: Report,
}

impl Gathered {
    fn add(&mut self, number: usize, source: &Source, chunks: Chunks) {
        self.report.files += 1;
        self.report.near_empty += chunks.near_empty;
        self.report.characters_left_out += chunks.left_out;
        // Names that are not UTF-8 were skipped.
        let name = source.path.to_string_lossy();
        let mut position = 0;
        for Chunk { content, titles, tokens } in chunks.chunks {
            if !self.contents.insert(content.clone()) {
                self.report.duplicates += 1;
                continue;
            }
            self.documents.push(Document {
                doc_id: format!("{name}#{position}"),
                source_number: Some(number),
                position: Some(position),
                content,
                title_path: (!titles.is_empty()).then(|| titles.join(" > ")),
                field: None,
                source: Some(name.to_string()),
                token_count: Some(tokens),
                prompt_type: None,
            });
            position += 1;
        }
    }

    fn finish(mut self) -> Built {
        let mut lengths: Vec<_> = self.documents.iter().filter_map(|d| d.token_count).collect();
        lengths.sort_unstable();
        self.report.chunks = lengths.len();
        self.report.lengths = Lengths {
            total: lengths.iter().sum(),
            min: lengths.first().copied().unwrap_or(0),
            median: lengths.get(lengths.len() / 2).copied().unwrap_or(0),
            max: lengths.last().copied().unwrap_or(0),
        };
        Built { documents: self.documents, report: self.report }
    }
}
