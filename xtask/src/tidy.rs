//! House rules that no compiler checks, on the files git tracks or would track; on all files where
//! there is no git.

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
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Whatever reads as text, data included; `None` for bytes.
    pub(crate) fn any_text(&self) -> Option<&str> {
        if self.bytes.contains(&0) { None } else { std::str::from_utf8(&self.bytes).ok() }
    }

    /// The text of a source or prose file, `None` for data.
    pub(crate) fn text(&self) -> Option<&str> {
        let known = ["rs", "md", "toml", "sh", "py", "cu", "cuh", "h"].contains(&self.extension());
        if known || self.path.starts_with(".ci/") { self.any_text() } else { None }
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
    let mut paths = match listed_by_git(root) {
        Some(paths) => paths,
        None => walked(root)?,
    };
    paths.sort();
    let mut files = Vec::new();
    for path in paths.into_iter().filter(|path| root.join(path).is_file()) {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        files.push(Tracked { path, bytes });
    }
    if files.is_empty() {
        bail!("no files under {}", root.display());
    }
    Ok(files)
}

/// `None` without git, outside a checkout, or if git ignores the whole folder: an empty list would
/// follow every rule.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()?;
    let list = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> =
        list.split('\0').filter(|path| !path.is_empty()).map(String::from).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// Every file below `root` but git's own and build outputs.
fn walked(root: &Path) -> Result<Vec<String>> {
    let (mut paths, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        let place = root.join(&folder);
        let entries =
            fs::read_dir(&place).with_context(|| format!("cannot list {}", place.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = format!("{folder}{}", entry.file_name().to_string_lossy());
            if !entry.file_type()?.is_dir() {
                paths.push(path);
            } else if ![".git", "target"].contains(&path.as_str()) {
                folders.push(path + "/");
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_with_and_without_git() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let all = walked(here).unwrap();
        assert!(all.contains(&"src/tidy/rules.rs".into()), "{all:?}");
        assert!(tracked(here).unwrap().iter().any(|file| file.path == "src/tidy/rules.rs"));
    }

    #[test]
    fn data_is_text_but_not_prose() {
        let file = |path: &str, bytes: &[u8]| Tracked { path: path.into(), bytes: bytes.into() };
        assert_eq!(file(".ci/run", b"x").text(), Some("x"));
        assert_eq!(file("a/b.json", b"x").text(), None);
        assert_eq!(file("a/b.json", b"x").any_text(), Some("x"));
        assert_eq!(file("a/b.bin", b"x\0").any_text(), None);
    }
}
