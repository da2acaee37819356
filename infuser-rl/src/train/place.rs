//! Where in a run something happens, and the seeds that follow from it.

use std::fmt;

use infuser_data::order;
use serde::{Deserialize, Serialize};

/// A stage of an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The solver answers the dev set.
    Dev,
    /// The direction that is wanted is measured.
    Target,
    /// The generator writes questions.
    Questions,
    /// The solver answers them.
    Answers,
    /// The questions are scored.
    Scores,
    /// The generator learns.
    Generator,
    /// The solver learns.
    Solver,
    /// The solver is tested.
    Evaluation,
}

impl Stage {
    /// All, in the order in which they run.
    pub const ALL: [Self; 8] = [
        Self::Dev,
        Self::Target,
        Self::Questions,
        Self::Answers,
        Self::Scores,
        Self::Generator,
        Self::Solver,
        Self::Evaluation,
    ];

    /// The name in files and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Target => "target",
            Self::Questions => "questions",
            Self::Answers => "answers",
            Self::Scores => "scores",
            Self::Generator => "generator",
            Self::Solver => "solver",
            Self::Evaluation => "evaluation",
        }
    }

    /// Whether its output is kept: it samples, or measures what later stages read. Updates are repeated
    /// instead.
    pub fn is_kept(self) -> bool {
        !matches!(self, Self::Target | Self::Generator | Self::Solver)
    }
}

/// Where in a run something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// From 1; 0 for what happens before the first.
    pub iteration: u64,
    /// The generator update within the iteration, from 0; 0 for stages that happen once.
    pub update: usize,
    /// The stage.
    pub stage: Stage,
}

impl Place {
    /// The seed of everything that is drawn there.
    pub fn seed(self, run: u64) -> u64 {
        order::digest(&[
            b"run",
            &run.to_le_bytes(),
            self.stage.name().as_bytes(),
            &self.iteration.to_le_bytes(),
            &(self.update as u64).to_le_bytes(),
        ])
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "iteration {}, {}", self.iteration, self.stage.name())?;
        if self.update > 0 { write!(f, " {}", self.update) } else { Ok(()) }
    }
}
