//! The tokens that one forward pass of the engine computes.

use infuser_kernels::{
    Buffer, Device,
    ops::{
        attention,
        paged::{Segment, Segments},
    },
};

use crate::error::Result;

/// Some tokens of some sequences, packed.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) tokens: Buffer,
    pub(crate) positions: Buffer,
    /// One past the largest position.
    pub(crate) max_position: usize,
    pub(crate) segments: Segments,
    /// None: no keys are the step's own.
    pub(crate) unpaged: attention::Segments,
    /// Rows whose next token is asked for.
    pub(crate) output_rows: Buffer,
}

/// Assembles a [`Step`].
#[derive(Debug, Default)]
pub(super) struct StepBuilder {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    output_rows: Vec<u32>,
    max_position: usize,
    /// Whether other tokens are to take the place of these.
    again: bool,
}

impl Step {
    /// Puts the tokens of another step of this shape in the place of these, as [`StepBuilder::padded`]
    /// made both.
    pub(super) fn set(&mut self, step: &StepBuilder) -> Result<()> {
        self.tokens.set_u32(&step.tokens)?;
        self.positions.set_u32(&step.positions)?;
        Ok(self.segments.set(step.segments.clone())?)
    }
}

impl StepBuilder {
    /// Tokens so far.
    pub(super) fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// One past the largest position so far.
    pub(super) fn max_position(&self) -> usize {
        self.max_position
    }

    /// A step of `rows` rows with an output each, that may see `positions` positions. Those beyond the
    /// tokens so far see nothing.
    pub(super) fn padded(mut self, rows: usize, positions: usize) -> Self {
        self.tokens.resize(rows, 0);
        self.positions.resize(rows, 0);
        self.output_rows = (0..rows as u32).collect();
        (self.max_position, self.again) = (positions, true);
        self
    }

    /// Adds `tokens` of a sequence, the first at `position`; `blocks` are all of the sequence's. If
    /// the token after the last is asked for, returns the row of the logits.
    pub(super) fn add(
        &mut self,
        tokens: &[u32],
        position: usize,
        blocks: &[u32],
        asked: bool,
    ) -> Option<usize> {
        let (start, len) = (self.tokens.len(), position + tokens.len());
        self.tokens.extend(tokens);
        self.positions.extend(position as u32..len as u32);
        self.max_position = self.max_position.max(len);
        self.segments.push(Segment { q: start..self.tokens.len(), len, blocks: blocks.to_vec() });
        asked.then(|| {
            self.output_rows.push(self.tokens.len() as u32 - 1);
            self.output_rows.len() - 1
        })
    }

    pub(super) fn build(self, device: &Device) -> Result<Step> {
        Ok(Step {
            tokens: device.upload_u32(self.tokens)?,
            positions: device.upload_u32(self.positions)?,
            max_position: self.max_position,
            segments: if self.again {
                Segments::with_room(self.segments, self.max_position)
            } else {
                self.segments.into()
            },
            unpaged: attention::Segments::default(),
            output_rows: device.upload_u32(self.output_rows)?,
        })
    }
}
