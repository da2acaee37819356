//! What a person sees of a run while it runs, and how they stop it.

use std::{
    io::IsTerminal,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use infuser_model::Monitor;

use crate::{
    failure::{Failure, INTERRUPTED},
    say::say,
};

/// Progress, and the wish to stop.
pub(crate) struct Display {
    terminal: bool,
    started: Instant,
    stage: Mutex<Shown>,
    /// Milliseconds from `started` to the last sign of life.
    moved: AtomicU64,
    stop: Arc<AtomicBool>,
}

/// The stage, and its bar on a terminal.
struct Shown {
    name: String,
    bar: ProgressBar,
    since: Instant,
    /// Drawn in this stage.
    tokens: u64,
    /// What was seen last, after the bar.
    note: String,
}

impl Display {
    /// Watches for Ctrl-C: the first asks the run to stop, the second ends the process.
    pub(crate) fn new() -> Result<Arc<Self>, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let handler = move || {
            if asked.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED.into());
            }
            say("\nstopping; Ctrl-C again stops at once");
        };
        ctrlc::set_handler(handler)
            .map_err(|error| Failure::failed("cannot watch for Ctrl-C", error))?;
        Ok(Arc::new(Self {
            terminal: std::io::stderr().is_terminal(),
            started: Instant::now(),
            stage: Mutex::new(Shown {
                name: "set-up".into(),
                bar: ProgressBar::hidden(),
                since: Instant::now(),
                tokens: 0,
                note: String::new(),
            }),
            moved: AtomicU64::new(0),
            stop,
        }))
    }

    /// A stage begins.
    pub(crate) fn begin(&self, name: String, items: usize) {
        self.touch();
        let bar = if self.terminal && items > 0 {
            ProgressBar::with_draw_target(Some(items as u64), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template(
            "{prefix} {wide_bar} {pos}/{len} [{elapsed}, {eta} left] {msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(name.clone());
        let mut stage = self.stage();
        stage.bar.finish_and_clear();
        bar.set_message(stage.note.clone());
        *stage = Shown { name, bar, since: Instant::now(), tokens: 0, note: stage.note.clone() };
    }

    /// What is told after the bars from now on.
    pub(crate) fn note(&self, text: String) {
        self.stage().note = text;
    }

    fn stage(&self) -> MutexGuard<'_, Shown> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage ended.
    pub(crate) fn end(&self) {
        self.touch();
        self.stage().bar.finish_and_clear();
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        self.stage().bar.suspend(|| say(text));
    }

    fn touch(&self) {
        let now = self.started.elapsed().as_millis();
        self.moved.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Says which stage it is that has not moved for `secs`, once each time.
    pub(crate) fn watch(self: &Arc<Self>, secs: u64) {
        let display = Arc::downgrade(self);
        std::thread::spawn(move || {
            let mut said = None;
            while let Some(display) = display.upgrade() {
                if let Some(text) = display.stalled(secs, &mut said) {
                    display.line(&text);
                }
                drop(display);
                std::thread::sleep(Duration::from_secs(secs.clamp(1, 10)));
            }
        });
    }

    /// The warning, if nothing has moved for `secs`; `said` is the stand for which it was given last.
    fn stalled(&self, secs: u64, said: &mut Option<u64>) -> Option<String> {
        let moved = self.moved.load(Ordering::Relaxed);
        let still = self.started.elapsed().saturating_sub(Duration::from_millis(moved));
        if still.as_secs() < secs || *said == Some(moved) {
            return None;
        }
        *said = Some(moved);
        let name = self.stage().name.clone();
        Some(format!("warning: {name} has not moved for {} s", still.as_secs()))
    }
}

impl Monitor for Display {
    fn advance(&self, items: usize, tokens: usize) {
        self.touch();
        let mut stage = self.stage();
        stage.bar.inc(items as u64);
        stage.tokens += tokens as u64;
        if self.terminal && stage.tokens > 0 {
            let rate = stage.tokens as f64 / stage.since.elapsed().as_secs_f64().max(1e-3);
            stage.bar.set_message(format!("{rate:.0} tokens/s  {}", stage.note));
        }
    }

    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_does_not_move_is_named_once() {
        let display = Display::new().unwrap();
        let mut said = None;
        assert_eq!(display.stalled(60, &mut said), None, "it has just begun");
        let warning = display.stalled(0, &mut said).unwrap();
        assert_eq!(warning, "warning: set-up has not moved for 0 s");
        assert_eq!(display.stalled(0, &mut said), None, "once");
        std::thread::sleep(Duration::from_millis(5));
        display.begin("iteration 1, answers".into(), 3);
        assert!(display.stalled(0, &mut said).unwrap().contains("iteration 1, answers"));
        std::thread::sleep(Duration::from_millis(5));
        display.advance(1, 10);
        assert!(display.stalled(0, &mut said).is_some(), "it moved, and stands again");
        assert_eq!(display.stage().tokens, 10);
    }
}
