//! Decode steps on CUDA: padded to a few shapes, recorded once for each, and replayed.
//!
//! A decode step computes one token of each sequence, so its work is small and the same every time: some
//! hundred launches that take the host longer than the GPU. A step of so many rows, which see up to so
//! many positions, is recorded as one graph; its tokens, positions and blocks lie in memory that later
//! steps of the shape overwrite. Rows beyond those of sequences see and store nothing. With graphs or
//! without, the same kernels run on the same rows.

use std::collections::HashMap;

use infuser_kernels::{
    Buffer,
    cuda::{Driver, Graph},
};

use super::{
    Cache,
    step::{Step, StepBuilder},
};
use crate::{Model, error::Result, packed::PackedWeights, workspace::Workspace};

/// Positions of the smallest shape.
const LEAST_POSITIONS: usize = 256;

/// Rows of a step, and positions that they may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    rows: usize,
    positions: usize,
}

impl Shape {
    /// The next powers of two, unless there can never be so many.
    fn of(step: &StepBuilder, most: [usize; 2]) -> Self {
        let [rows, positions] = [step.rows(), step.max_position()];
        let bucket = |count: usize, most: usize| count.next_power_of_two().min(most.max(count));
        Self {
            rows: bucket(rows, most[0]),
            positions: bucket(positions.max(LEAST_POSITIONS.min(most[1])), most[1]),
        }
    }
}

/// What a forward pass of the engine works with.
pub(super) struct Pass<'e> {
    pub(super) model: &'e Model,
    pub(super) packed: &'e PackedWeights,
    pub(super) cache: &'e mut Cache,
    pub(super) workspace: &'e mut Workspace,
    pub(super) logits: &'e mut Buffer,
}

impl Pass<'_> {
    pub(super) fn run(&mut self, step: &Step) -> Result<()> {
        let Self { model, packed, cache, workspace, logits } = self;
        model.step(step, packed, cache, workspace, logits)
    }
}

/// The graphs of an engine's decode steps.
#[derive(Debug)]
pub(super) struct DecodeGraphs {
    enabled: bool,
    /// Sequences, at most.
    max_rows: usize,
    recorded: HashMap<Shape, (Step, Graph)>,
}

impl DecodeGraphs {
    pub(super) fn new(enabled: bool, max_rows: usize) -> Self {
        Self { enabled, max_rows, recorded: HashMap::new() }
    }

    /// Runs a decode step; whether it was replayed.
    pub(super) fn decode(
        &mut self,
        driver: &Driver,
        step: StepBuilder,
        mut pass: Pass<'_>,
    ) -> Result<bool> {
        let shape = Shape::of(&step, [self.max_rows, pass.model.config().max_positions]);
        let step = step.padded(shape.rows, shape.positions);
        let device = pass.model.device();
        if !self.enabled {
            pass.run(&step.build(&device)?)?;
            return Ok(false);
        }
        // A larger step moved the memory of activations.
        self.recorded.retain(|_, (_, graph)| !graph.is_stale());
        if let Some((recorded, graph)) = self.recorded.get_mut(&shape) {
            recorded.set(&step)?;
            pass.logits.resize_rows(shape.rows)?;
            if !graph.is_stale() {
                graph.replay()?;
                return Ok(true);
            }
        }
        self.recorded.remove(&shape);
        let step = step.build(&device)?;
        // Without a graph the step is done as well; the device says why there is none.
        if let Ok(graph) = driver.record(|| pass.run(&step))? {
            self.recorded.insert(shape, (step, graph));
        }
        Ok(false)
    }
}
