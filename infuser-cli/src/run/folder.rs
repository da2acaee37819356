//! Files of a run. Everything is written aside and renamed, so that what has its name is whole.

use std::{
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use infuser_rl::train::{Place, Stage};

use crate::failure::Failure;

/// How the text of a plan begins.
const TITLE: &str = "# recipe: ";

/// The text of a plan under its recipe's name, or the stem of the file that it came from.
pub(crate) fn titled(recipe: &str, plan: &str) -> String {
    format!("{TITLE}{recipe}\n{plan}")
}

/// The name that [`titled`] gave to a plan.
pub(crate) fn title(plan: &str) -> Option<&str> {
    plan.lines().next().and_then(|line| line.strip_prefix(TITLE))
}

/// A run's folder, locked for this process.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Held as long as the folder is in use; the system frees it with the process.
    _lock: File,
}

impl Folder {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// It holds a run already; it cannot be written to.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        if ["plan.toml", "iterations", "checkpoints"].iter().any(|name| path.join(name).exists()) {
            return Err(Failure::bad_input(format!(
                "{} holds a run; go on with --resume, or choose another --out",
                path.display()
            )));
        }
        fs::create_dir_all(path).map_err(|cause| {
            Failure::bad_input(format!("cannot make {}: {cause}", path.display()))
        })?;
        Self::locked(path)
    }

    /// Opens the folder of a run that is to go on.
    ///
    /// # Errors
    /// There is none, or another process works on it.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if !path.join("plan.toml").exists() {
            let problem = format!("{} holds no run to resume", path.display());
            return Err(Failure::bad_input(problem));
        }
        Self::locked(path)
    }

    /// Removes what a process that ended in the middle of writing has left.
    pub(crate) fn clear_partial(&self) -> Result<(), Failure> {
        clear_partial(&self.path)
    }

    fn locked(path: &Path) -> Result<Self, Failure> {
        let place = path.join("lock");
        let file = File::create(&place).map_err(|cause| {
            Failure::bad_input(format!("cannot write {}: {cause}", place.display()))
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(Failure::bad_input(format!(
                "another process works on {}; wait for it, or choose another --out",
                path.display()
            ))),
            Err(TryLockError::Error(cause)) => Err(Failure::output(place.display(), cause)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        write_whole(&self.path.join(name), text.as_bytes())
    }

    /// Reads a file of the folder; `None` if it is not there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, Failure> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::bad_input(format!("{}: {error}", path.display()))),
        }
    }

    /// The name of what a stage makes.
    pub(crate) fn stage_name(place: Place) -> String {
        let Place { iteration, update, stage } = place;
        let once = matches!(stage, Stage::Dev | Stage::Evaluation);
        let number = if once { String::new() } else { format!("-{update}") };
        format!("iterations/{iteration:04}/{}{number}.jsonl", stage.name())
    }

    /// Iterations of the checkpoints that are whole, in order.
    pub(crate) fn checkpoints(&self) -> Result<Vec<u64>, Failure> {
        let folder = self.path.join("checkpoints");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::bad_input(format!("{}: {error}", folder.display()))),
        };
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
        let mut found: Vec<u64> = entries.flatten().filter_map(number).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Removes what stages made after an iteration: it is of other settings.
    pub(crate) fn forget_after(&self, iteration: u64) -> Result<(), Failure> {
        let folder = self.path.join("iterations");
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if number.is_some_and(|number| number > iteration) {
                let path = entry.path();
                let removed =
                    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|cause| Failure::output(path.display(), cause))?;
            }
        }
        Ok(())
    }

    /// The folder of a checkpoint.
    pub(crate) fn checkpoint(&self, iteration: u64) -> PathBuf {
        self.path.join("checkpoints").join(format!("{iteration:06}"))
    }

    /// Makes a checkpoint: `fill` writes it aside, then it gets its name, then all but the last `keep` go.
    pub(crate) fn add_checkpoint(
        &self,
        iteration: u64,
        keep: usize,
        fill: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let target = self.checkpoint(iteration);
        if target.exists() {
            return Ok(());
        }
        let aside = target.with_extension("partial");
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(|c| Failure::output(aside.display(), c))?;
        }
        fs::create_dir_all(&aside).map_err(|cause| Failure::output(aside.display(), cause))?;
        fill(&aside)?;
        sync_folder(&aside)?;
        fs::rename(&aside, &target).map_err(|cause| Failure::output(target.display(), cause))?;
        sync_folder(&self.path.join("checkpoints"))?;
        let all = self.checkpoints()?;
        for old in &all[..all.len().saturating_sub(keep)] {
            // Under another name first: what has its name is whole, also while it goes.
            let old = self.checkpoint(*old);
            let going = old.with_extension("partial");
            fs::rename(&old, &going).map_err(|cause| Failure::output(old.display(), cause))?;
            fs::remove_dir_all(&going).map_err(|cause| Failure::output(going.display(), cause))?;
        }
        Ok(())
    }
}

/// Writes a file aside, waits until it is on the disk, and gives it its name.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fault = |cause| Failure::output(path.display(), cause);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fault)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let aside = path.with_file_name(name);
    let mut file = File::create(&aside).map_err(fault)?;
    file.write_all(bytes).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    fs::rename(&aside, path).map_err(fault)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Waits until the names in a folder are on the disk: a file is no use after a power cut if its name is lost.
fn sync_folder(path: &Path) -> Result<(), Failure> {
    // Systems that do not open folders keep their names in another way.
    if !cfg!(unix) || path.as_os_str().is_empty() {
        return Ok(());
    }
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| Failure::output(path.display(), cause))
}

fn clear_partial(folder: &Path) -> Result<(), Failure> {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let whole = path.extension().is_none_or(|extension| extension != "partial");
        let cleared = match (whole, path.is_dir()) {
            (true, true) => clear_partial(&path).map(|()| Ok(()))?,
            (true, false) => Ok(()),
            (false, true) => fs::remove_dir_all(&path),
            (false, false) => fs::remove_file(&path),
        };
        cleared.map_err(|cause| Failure::output(path.display(), cause))?;
    }
    Ok(())
}

/// The first of `NAME-001`, `NAME-002`, … in a folder that is not there.
pub(crate) fn next_free(folder: &Path, name: &str) -> PathBuf {
    let numbered = |number: u32| folder.join(format!("{name}-{number:03}"));
    (1..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_no_run_twice() {
        let top = tempfile::tempdir().unwrap();
        let path = next_free(top.path(), "tiny");
        let folder = Folder::create(&path).unwrap();
        assert!(Folder::create(&path).unwrap_err().to_string().contains("another process"));
        folder.write("plan.toml", "").unwrap();
        assert!(Folder::create(&path).unwrap_err().to_string().contains("--resume"));
        drop(folder);
        assert!(Folder::open(&path).is_ok(), "the lock went with its holder");
        let other = next_free(top.path(), "tiny");
        assert!(other.ends_with("tiny-002"));
        assert!(Folder::open(&other).unwrap_err().to_string().contains("no run to resume"));
    }

    #[test]
    fn a_checkpoint_is_there_as_a_whole_or_not_at_all() {
        let top = tempfile::tempdir().unwrap();
        let folder = Folder::create(top.path()).unwrap();
        let fill = |path: &Path| write_whole(&path.join("a"), b"a");
        for iteration in [1, 2, 3] {
            folder.add_checkpoint(iteration, 2, fill).unwrap();
        }
        assert_eq!(folder.checkpoints().unwrap(), [2, 3]);
        let failed = folder.add_checkpoint(4, 2, |_| Err(Failure::bad_input("full")));
        assert!(failed.is_err());
        assert_eq!(folder.checkpoints().unwrap(), [2, 3]);
        folder.add_checkpoint(4, 2, fill).unwrap();
        assert_eq!(folder.checkpoints().unwrap(), [3, 4]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("file");
        fs::write(&file, "").unwrap();
        let message = Folder::create(&file.join("run")).unwrap_err().to_string();
        assert!(message.contains("file/run"), "{message}");
    }
}
