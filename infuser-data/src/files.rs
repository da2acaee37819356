//! The only reads and writes of this crate: sizes are limited, compressed files are opened by what
//! they hold rather than by their name, a file that is written appears when it is whole, and every
//! error names the path.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// The most bytes that one file may hold once it is unpacked.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// Reads a whole file; gzip is unpacked, whatever the name says.
///
/// # Errors
/// An unreadable or damaged file; more than [`MAX_FILE_BYTES`] after unpacking.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, MAX_FILE_BYTES)
}

/// As [`read`], with a limit of its own.
///
/// # Errors
/// As [`read`].
pub fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    if file.metadata().map_err(Error::io("read", path))?.is_dir() {
        return Err(Error::file(path, "a folder, expected a file"));
    }
    let mut magic = Vec::new();
    Read::by_ref(&mut file).take(2).read_to_end(&mut magic).map_err(Error::io("read", path))?;
    let whole = std::io::Cursor::new(magic.clone()).chain(file);
    let mut bytes = Vec::new();
    let count = if magic == [0x1f, 0x8b] {
        MultiGzDecoder::new(whole).take(limit + 1).read_to_end(&mut bytes)
    } else {
        whole.take(limit + 1).read_to_end(&mut bytes)
    };
    let count = count.map_err(Error::io("read", path))?;
    if count as u64 > limit {
        return Err(Error::file(path, format!("more than {limit} bytes, the most that is read")));
    }
    Ok(bytes)
}

/// As [`read`], for text.
///
/// # Errors
/// As [`read`]; bytes that are not UTF-8, with the place of the first.
pub fn read_text(path: &Path) -> Result<String> {
    text(path, read(path)?)
}

/// What `path` held, as text.
///
/// # Errors
/// Bytes that are not UTF-8, with the place of the first.
pub(crate) fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::file(path, format!("not UTF-8 text: byte {at} is where it breaks"))
    })
}

/// The lines that hold something, with their numbers counted from 1. A byte-order mark is skipped.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    numbered.filter(|(_, line)| !line.trim().is_empty())
}

/// What is wrong with a line that is no JSON: its column, as the number of the line is the caller's to say.
pub fn json_problem(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    match text.strip_suffix(&format!(" at line {} column {column}", error.line())) {
        Some(text) => format!("not JSON: {text} at column {column}"),
        None => format!("not JSON: {text}"),
    }
}

/// A file that appears under its name when it is finished, and not at all if it is not. What exists and is
/// no file, like a pipe or a device, is written to as it is; a link stays, and what it names is written.
pub struct Writer {
    /// `None` once finished.
    file: Option<BufWriter<File>>,
    path: PathBuf,
    /// What is written meanwhile, and the name that it gets.
    moves: Option<(PathBuf, PathBuf)>,
}

impl Writer {
    /// Starts a file beside `path`.
    ///
    /// # Errors
    /// A place that cannot be written to; `-`, which is no file.
    pub fn create(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let problem = "cannot write -: this output is a file, not standard output; name one";
            return Err(Error::Setting(problem.into()));
        }
        if path.is_dir() {
            return Err(Error::file(path, "a folder, expected a file to write"));
        }
        let refused = |source| Error::Place { path: path.to_path_buf(), source };
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            let file = File::options().write(true).open(path).map_err(refused)?;
            return Ok(Self { file: Some(BufWriter::new(file)), path: path.into(), moves: None });
        }
        let target = followed(path).map_err(refused)?;
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(".partial");
        let aside = target.with_file_name(name);
        let file = File::create(&aside).map_err(refused)?;
        let moves = Some((aside, target));
        Ok(Self { file: Some(BufWriter::new(file)), path: path.into(), moves })
    }

    /// As [`create`](Self::create), and the folders above the file if they are not there.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_below(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            let refused = |source| Error::Place { path: path.to_path_buf(), source };
            std::fs::create_dir_all(folder).map_err(refused)?;
        }
        Self::create(path)
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// A full or broken disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    /// Appends one record as a JSON line.
    ///
    /// # Errors
    /// A full or broken disk.
    pub fn line(&mut self, record: &impl serde::Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(record)
            .map_err(|error| Error::file(&self.path, format!("not writable as JSON: {error}")))?;
        text.push(b'\n');
        self.write(&text)
    }

    /// Makes the file final.
    ///
    /// # Errors
    /// A full or broken disk.
    pub fn finish(mut self) -> Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let mut written = file.flush();
        if let Some((aside, target)) = &self.moves {
            let synced = written.and_then(|()| file.get_ref().sync_all());
            written = synced.and_then(|()| std::fs::rename(aside, target));
            if written.is_err() {
                let _ = std::fs::remove_file(aside);
            }
        }
        written.map_err(Error::io("write", &self.path))
    }
}

/// What a path names once links are followed, also where that is not there yet.
fn followed(path: &Path) -> std::io::Result<PathBuf> {
    /// As many as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        let Ok(target) = path.read_link() else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(std::io::Error::other("a link that leads to itself"))
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let (Some(_), Some((aside, _))) = (self.file.take(), &self.moves) {
            let _ = std::fs::remove_file(aside);
        }
    }
}
