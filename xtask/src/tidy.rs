//! House rules that no compiler checks, on the files git tracks.

mod rules;

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// One tracked file.
pub(crate) struct Tracked {
    /// Relative to the project, with forward slashes.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

impl Tracked {
    fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The text of a source or prose file, `None` for data.
    pub(crate) fn text(&self) -> Option<&str> {
        let known = ["rs", "md", "toml", "sh", "py", "cu", "cuh"].contains(&self.extension());
        if known { std::str::from_utf8(&self.bytes).ok() } else { None }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.extension() == "rs"
    }
}

/// Checks everything and lists every fault.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tracked(root)?;
    let faults: Vec<String> = rules::ALL.iter().flat_map(|rule| rule(&files)).collect();
    if faults.is_empty() {
        println!("{} files follow the rules", files.len());
        return Ok(());
    }
    for fault in &faults {
        println!("{fault}");
    }
    bail!("{} faults against the house rules", faults.len())
}

fn tracked(root: &Path) -> Result<Vec<Tracked>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot list files with git")?;
    let list = String::from_utf8(output.stdout).context("file names are not UTF-8")?;
    let mut files = Vec::new();
    for path in list.lines().filter(|path| root.join(path).is_file()) {
        let bytes = fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        files.push(Tracked { path: path.into(), bytes });
    }
    Ok(files)
}
