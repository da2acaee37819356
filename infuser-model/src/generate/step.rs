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
}

impl StepBuilder {
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
            segments: self.segments.into(),
            unpaged: attention::Segments::default(),
            output_rows: device.upload_u32(self.output_rows)?,
        })
    }
}
