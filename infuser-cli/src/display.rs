//! What a person sees of a run while it runs, and how they stop it.

use std::{
    io::IsTerminal,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use infuser_model::Monitor;

use crate::failure::{Failure, INTERRUPTED};

/// Progress, and the wish to stop.
pub(crate) struct Display {
    terminal: bool,
    started: Instant,
    /// The stage, and its bar on a terminal.
    stage: Mutex<(String, ProgressBar)>,
    /// Milliseconds from `started` to the last sign of life.
    moved: AtomicU64,
    /// Tokens that were drawn.
    tokens: AtomicU64,
    stop: Arc<AtomicBool>,
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
            eprintln!("\nstopping; Ctrl-C again stops at once");
        };
        ctrlc::set_handler(handler)
            .map_err(|error| Failure::failed("cannot watch for Ctrl-C", error))?;
        Ok(Arc::new(Self {
            terminal: std::io::stderr().is_terminal(),
            started: Instant::now(),
            stage: Mutex::new((String::new(), ProgressBar::hidden())),
            moved: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
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
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = (name, bar);
    }

    /// A stage ended.
    pub(crate) fn end(&self) {
        self.touch();
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).1.finish_and_clear();
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).1.suspend(|| eprintln!("{text}"));
    }

    /// Tokens drawn so far.
    pub(crate) fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        let now = self.started.elapsed().as_millis();
        self.moved.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Says which stage it is that has not moved for `secs`, once each time.
    pub(crate) fn watch(self: &Arc<Self>, secs: u64) {
        let display = Arc::downgrade(self);
        std::thread::spawn(move || {
            let mut said = u64::MAX;
            while let Some(display) = display.upgrade() {
                let moved = display.moved.load(Ordering::Relaxed);
                let still = display.started.elapsed().saturating_sub(Duration::from_millis(moved));
                if still.as_secs() >= secs && moved != said {
                    said = moved;
                    let stage =
                        display.stage.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
                    display
                        .line(&format!("warning: {stage} has not moved for {} s", still.as_secs()));
                }
                drop(display);
                std::thread::sleep(Duration::from_secs(secs.clamp(1, 10)));
            }
        });
    }
}

impl Monitor for Display {
    fn advance(&self, items: usize, tokens: usize) {
        self.touch();
        let all = self.tokens.fetch_add(tokens as u64, Ordering::Relaxed) + tokens as u64;
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        stage.1.inc(items as u64);
        if self.terminal {
            stage.1.set_message(format!("{all} tokens drawn"));
        }
    }

    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
