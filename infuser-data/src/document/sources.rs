//! The files that a pool is built from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::SkippedFile;
use crate::{Error, Result};

/// Files found under given paths, each once, in the order of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    pub(super) files: Vec<Source>,
    pub(super) skipped: Vec<SkippedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Found in a folder, rather than named: its ending must say what it is.
    pub(super) found: bool,
}

impl Sources {
    /// Lists files, and those in folders and the folders in them. What begins with a dot is passed
    /// over in folders, and so are links to folders. A folder that cannot be read is skipped and
    /// reported, unless it is one of `paths`.
    ///
    /// # Errors
    /// A path that is not there, cannot be read, or is neither a file nor a folder.
    pub fn find(paths: &[PathBuf]) -> Result<Self> {
        let mut sources = Self::default();
        for path in paths {
            let kind = fs::metadata(path).map_err(Error::io("read", path))?;
            if kind.is_dir() {
                let entries = fs::read_dir(path).map_err(Error::io("read", path))?;
                sources.walk(path, entries);
            } else if kind.is_file() {
                sources.files.push(Source { path: path.clone(), found: false });
            } else {
                return Err(Error::file(path, "neither a file nor a folder"));
            }
        }
        // A file that is named comes before itself as found.
        sources.files.sort();
        sources.files.dedup_by(|later, first| later.path == first.path);
        sources.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        sources.skipped.dedup();
        Ok(sources)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn walk(&mut self, folder: &Path, entries: fs::ReadDir) {
        let mut open = vec![(folder.to_path_buf(), entries)];
        while let Some((folder, entries)) = open.pop() {
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        self.skip(&folder, &error);
                        continue;
                    }
                };
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => match fs::read_dir(&path) {
                        Ok(entries) => open.push((path, entries)),
                        Err(error) => self.skip(&path, &error),
                    },
                    // Follows a link; one that leads nowhere is reported when it is read.
                    Ok(_) if path.is_dir() => {}
                    Ok(_) => self.files.push(Source { path, found: true }),
                    Err(error) => self.skip(&path, &error),
                }
            }
        }
    }

    fn skip(&mut self, path: &Path, error: &std::io::Error) {
        self.skipped.push(SkippedFile { path: path.to_path_buf(), reason: error.to_string() });
    }
}
