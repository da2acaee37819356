//! What stages make and measure, kept in the run's folder and shown.

use std::{collections::BTreeMap, sync::Arc};

use infuser_rl::{
    Error, Result as Trained,
    train::{Metrics, Place, Store},
};

use crate::{
    display::Display,
    failure::Failure,
    run::{Folder, Log},
};

/// Keeps what stages make in the run folder.
pub(super) struct Keeper {
    pub(super) folder: Folder,
    pub(super) log: Log,
    display: Arc<Display>,
    /// The last value of each metric, for the line of an iteration.
    seen: BTreeMap<String, f64>,
}

/// Metrics that say that a role had nothing to learn from, and what is told then.
const IDLE: [(&str, &str); 2] = [
    (
        "solver_actor/skipped",
        "the solver was not updated: no question has answers of different scores",
    ),
    (
        "gen_actor/skipped",
        "the generator was not updated: no document has outputs of different rewards",
    ),
];

/// What is told of an iteration: label and metric.
const TOLD: [(&str, &str); 6] = [
    ("dev", "dev_rollout/accuracy_strict"),
    ("valid", "gen_question_rollout/frac_valid_questions"),
    ("accuracy", "gen_answer_rollout/accuracy_strict"),
    ("influence", "influence_sim/score/mean"),
    ("reward", "gen_critic/rewards/mean"),
    ("test", "test/accuracy_strict"),
];

impl Keeper {
    pub(super) fn new(folder: Folder, log: Log, display: Arc<Display>) -> Self {
        Self { folder, log, display, seen: BTreeMap::new() }
    }

    /// What was seen last, in a line.
    fn told(&self) -> String {
        let part = |(label, key): &(&str, &str)| {
            self.seen.get(*key).map(|value| format!("{label} {value:.3}"))
        };
        let parts: Vec<String> = TOLD.iter().filter_map(part).collect();
        parts.join("  ")
    }

    /// What was seen before the first iteration.
    pub(super) fn tell_before(&mut self) {
        if !self.seen.is_empty() {
            self.display.line(&format!("before training  {}", self.told()));
        }
        self.seen.clear();
    }

    /// The line of an iteration, and one for a role that learned nothing in it.
    pub(super) fn tell(&mut self, done: u64, total: u64, secs: f64, left: f64) {
        self.display.line(&format!(
            "iteration {done}/{total}  {}  {secs:.1} s, {left:.0} s left",
            self.told()
        ));
        for (_, idle) in IDLE.iter().filter(|(key, _)| self.seen.contains_key(*key)) {
            self.display.line(&format!("iteration {done}/{total}  {idle}"));
        }
        self.seen.clear();
    }
}

fn stored(failure: Failure) -> Error {
    Error::Store(failure.to_string())
}

impl Store for Keeper {
    fn load(&mut self, place: Place) -> Trained<Option<String>> {
        self.folder.read(&Folder::stage_name(place)).map_err(stored)
    }

    fn save(&mut self, place: Place, lines: &str) -> Trained<()> {
        self.folder.write(&Folder::stage_name(place), lines).map_err(stored)
    }

    fn begin(&mut self, place: Place, items: usize) {
        self.display.begin(place.to_string(), items);
    }

    fn end(&mut self, place: Place, secs: f64, metrics: &Metrics) -> Trained<()> {
        self.display.end();
        self.seen.extend(metrics.iter().map(|(name, value)| (name.to_string(), value)));
        self.display.note(self.told());
        self.log.add(place, secs, metrics).map_err(stored)
    }
}
