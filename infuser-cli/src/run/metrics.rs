//! `metrics.jsonl` and the curves that are made from it.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use infuser_rl::train::{Metrics, Place, Stage};
use serde::{Deserialize, Serialize};

use super::events::Events;
use crate::failure::Failure;

/// One stage's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) iteration: u64,
    pub(crate) update: usize,
    pub(crate) stage: Stage,
    /// Seconds that the stage took; the only thing in it that a repeated run changes.
    pub(crate) secs: f64,
    /// When it ended, in seconds since 1970.
    pub(crate) at: f64,
    pub(crate) metrics: Metrics,
}

/// The metrics of a run, appended stage by stage.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    events: Events,
    updates: usize,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Log {
    /// Opens the metrics of a run that goes on after `iteration`: later lines, and a last one that was
    /// cut, go. Curves are written anew from the lines that stay, so that no step is in them twice.
    pub(crate) fn open(
        folder: &Path,
        iteration: Option<u64>,
        updates: usize,
    ) -> Result<Self, Failure> {
        let path = folder.join("metrics.jsonl");
        let lines = match iteration {
            Some(iteration) => {
                let mut lines = read(&path)?;
                lines.retain(|line| line.iteration <= iteration);
                lines
            }
            None => Vec::new(),
        };
        let fault = |path: &Path| {
            let place = path.display().to_string();
            move |cause| Failure::output(place, cause)
        };
        let mut text = String::new();
        for line in &lines {
            text += &encoded(line);
        }
        super::folder::write_whole(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(fault(&path))?;
        let curves = folder.join("tensorboard");
        match fs::remove_dir_all(&curves) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(fault(&curves)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&curves).map_err(fault(&curves))?;
        let name = curves.join(format!("events.out.tfevents.{}.infuser", now() as u64));
        let events = Events::create(&name, now()).map_err(fault(&name))?;
        let mut log = Self { path, file, events, updates };
        for line in &lines {
            log.curve(line)?;
        }
        Ok(log)
    }

    /// Adds a line.
    pub(crate) fn add(
        &mut self,
        place: Place,
        secs: f64,
        metrics: &Metrics,
    ) -> Result<(), Failure> {
        let Place { iteration, update, stage } = place;
        let line = Line { iteration, update, stage, secs, at: now(), metrics: metrics.clone() };
        let written = self.file.write_all(encoded(&line).as_bytes());
        written.map_err(|cause| Failure::output(self.path.display(), cause))?;
        self.curve(&line)
    }

    /// Waits until all lines are on the disk.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|cause| Failure::output(self.path.display(), cause))
    }

    /// Adds a line to the curves: stages of a generator update by the number of the update, the others by
    /// iteration.
    fn curve(&mut self, line: &Line) -> Result<(), Failure> {
        let by_update = matches!(
            line.stage,
            Stage::Questions | Stage::Answers | Stage::Scores | Stage::Generator
        );
        let before = line.iteration.saturating_sub(1) * self.updates as u64;
        let step = if by_update { before + line.update as u64 + 1 } else { line.iteration };
        let secs = format!("timing_s/{}", line.stage.name());
        let values = line.metrics.iter().chain([(secs.as_str(), line.secs)]);
        let written = self.events.scalars(line.at, step, values);
        let written = written.and_then(|()| self.events.flush());
        written.map_err(|cause| Failure::output("the TensorBoard file", cause))
    }
}

fn encoded(line: &Line) -> String {
    serde_json::to_string(line).unwrap_or_default() + "\n"
}

/// The lines of a file; a last line that was cut is left out.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::bad_input(format!("{}: {error}", path.display()))),
    };
    let mut lines = Vec::new();
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    for (number, line) in whole.lines().enumerate() {
        let line = serde_json::from_str(line).map_err(|error| {
            Failure::bad_input(format!("{}, line {}: {error}", path.display(), number + 1))
        })?;
        lines.push(line);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(iteration: u64, stage: Stage) -> Place {
        Place { iteration, update: 0, stage }
    }

    fn metrics(value: f64) -> Metrics {
        let mut metrics = Metrics::default();
        metrics.set("a", value);
        metrics
    }

    #[test]
    fn what_came_after_the_checkpoint_goes_and_a_torn_line_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), None, 1).unwrap();
        for iteration in 1..=3 {
            log.add(place(iteration, Stage::Dev), 0.5, &metrics(iteration as f64)).unwrap();
        }
        let path = folder.path().join("metrics.jsonl");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let log = Log::open(folder.path(), Some(2), 1).unwrap();
            drop(log);
            let lines = read(&path).unwrap();
            let ends = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(lines.len(), ends.min(2), "cut at {cut}");
        }
        assert_eq!(fs::read_dir(folder.path().join("tensorboard")).unwrap().count(), 1);
        fs::write(&path, "{}\n").unwrap();
        assert!(Log::open(folder.path(), Some(2), 1).is_err(), "damage is not passed over");
    }
}
