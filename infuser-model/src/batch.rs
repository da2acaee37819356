//! Packed batches: token sequences laid end to end, nothing padded, prompts shared.
//!
//! ```text
//! rows       0 1 2 | 3 4 | 5 6 7 | 8 9        T = 10
//! tokens     p p p | a a | b b b | c c        prompt p with responses a and b; a sequence c
//! positions  0 1 2 | 3 4 | 3 4 5 | 0 1
//! ```
//!
//! An *output* is a row whose next token is asked for, with that token. Here, once and for all, is
//! the label shift: the token at place i of a sequence is predicted by the row before it. The first
//! token of a response is predicted by the last row of its prompt, so that row has one output for
//! each response.

use std::ops::Range;

use infuser_kernels::{
    Buffer, Device,
    ops::attention::{Segment, Segments},
};

use crate::error::{Error, Result};

/// A batch that a model can run: rows, who sees whom, and which log-probabilities are asked for.
#[derive(Debug)]
pub struct Batch {
    pub(crate) tokens: Buffer,
    pub(crate) positions: Buffer,
    pub(crate) segments: Segments,
    pub(crate) output_rows: Buffer,
    pub(crate) targets: Buffer,
    /// One past the largest position.
    pub(crate) max_position: usize,
    sequences: Vec<Range<usize>>,
}

/// Assembles a [`Batch`].
///
/// ```
/// use infuser_kernels::Device;
/// use infuser_model::BatchBuilder;
///
/// let mut builder = BatchBuilder::default();
/// let prompt = builder.prompt(&[5, 6, 7]);
/// builder.response(&prompt, &[8, 9]); // outputs: 8 after the prompt, 9 after 8
/// builder.response(&prompt, &[10]);
/// builder.sequence(&[1, 2, 3]); // outputs: 2 after 1, 3 after 2
/// let batch = builder.build(Device::Cpu).unwrap();
/// assert_eq!((batch.rows(), batch.outputs()), (9, 5));
/// assert_eq!(batch.sequence(1), 2..3);
/// ```
#[derive(Debug, Default)]
pub struct BatchBuilder {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    output_rows: Vec<u32>,
    targets: Vec<u32>,
    sequences: Vec<Range<usize>>,
}

/// A prompt of a batch under construction.
#[derive(Debug, Clone)]
pub struct PromptId {
    rows: Range<usize>,
}

impl BatchBuilder {
    /// Adds a prompt that responses continue. It has no outputs of its own.
    pub fn prompt(&mut self, tokens: &[u32]) -> PromptId {
        let rows = self.rows(tokens, 0);
        if !rows.is_empty() {
            self.segments.push(Segment::causal(rows.clone()));
        }
        PromptId { rows }
    }

    /// Adds a response to `prompt`; every token of it is an output (but the first, after an empty
    /// prompt: nothing predicts it). Returns the sequence's number.
    pub fn response(&mut self, prompt: &PromptId, tokens: &[u32]) -> usize {
        let rows = self.rows(tokens, prompt.rows.len());
        if !rows.is_empty() {
            self.segments.push(Segment::after(prompt.rows.clone(), rows.clone()));
        }
        let before_first = prompt.rows.clone().last();
        self.outputs(before_first.into_iter().chain(rows), tokens)
    }

    /// Adds a sequence of its own; every token but the first is an output. Returns its number.
    pub fn sequence(&mut self, tokens: &[u32]) -> usize {
        let rows = self.rows(tokens, 0);
        if !rows.is_empty() {
            self.segments.push(Segment::causal(rows.clone()));
        }
        self.outputs(rows, tokens)
    }

    /// Rows so far.
    pub fn row_count(&self) -> usize {
        self.tokens.len()
    }

    fn rows(&mut self, tokens: &[u32], first_position: usize) -> Range<usize> {
        let start = self.tokens.len();
        self.tokens.extend(tokens);
        self.positions.extend((first_position..first_position + tokens.len()).map(|p| p as u32));
        start..self.tokens.len()
    }

    /// Pairs each row with the token after it; `tokens` ends where the rows' successors end.
    fn outputs(&mut self, rows: impl Iterator<Item = usize>, tokens: &[u32]) -> usize {
        let start = self.targets.len();
        let rows: Vec<usize> = rows.collect();
        // The last row predicts what comes after the sequence: nobody asks.
        let asked = &rows[..rows.len().saturating_sub(1)];
        self.output_rows.extend(asked.iter().map(|&row| row as u32));
        self.targets.extend(&tokens[tokens.len() - asked.len()..]);
        self.sequences.push(start..self.targets.len());
        self.sequences.len() - 1
    }

    /// The finished batch, on `device`.
    ///
    /// # Errors
    /// [`Error::Batch`] for a batch without tokens or with more than 2³² of them.
    pub fn build(self, device: Device) -> Result<Batch> {
        if self.tokens.is_empty() || u32::try_from(self.tokens.len()).is_err() {
            return Err(Error::Batch(format!("a batch of {} tokens", self.tokens.len())));
        }
        Ok(Batch {
            max_position: self.positions.iter().max().map_or(0, |&p| p as usize + 1),
            tokens: device.upload_u32(self.tokens)?,
            positions: device.upload_u32(self.positions)?,
            segments: self.segments.into(),
            output_rows: device.upload_u32(self.output_rows)?,
            targets: device.upload_u32(self.targets)?,
            sequences: self.sequences,
        })
    }
}

impl Batch {
    /// Independent sequences; every token but each first is an output.
    ///
    /// # Errors
    /// As [`BatchBuilder::build`].
    pub fn sequences<S: AsRef<[u32]>>(device: Device, sequences: &[S]) -> Result<Self> {
        let mut builder = BatchBuilder::default();
        for tokens in sequences {
            builder.sequence(tokens.as_ref());
        }
        builder.build(device)
    }

    /// The same rows, but asking for the token after each of `rows`. Targets are 0: this is for
    /// logits, not for log-probabilities.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the device has no room.
    pub fn with_output_rows(mut self, rows: Vec<u32>) -> Result<Self> {
        let device = self.tokens.device();
        self.targets = device.upload_u32(vec![0; rows.len()])?;
        self.output_rows = device.upload_u32(rows)?;
        self.sequences.clear();
        Ok(self)
    }

    /// Packed tokens T.
    pub fn rows(&self) -> usize {
        self.tokens.dims().len()
    }

    /// Outputs N: log-probabilities that a forward pass computes.
    pub fn outputs(&self) -> usize {
        self.targets.dims().len()
    }

    /// The outputs of sequence or response `index`, in the order of its tokens.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn sequence(&self, index: usize) -> Range<usize> {
        self.sequences[index].clone()
    }

    /// Who sees whom.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(buffer: &Buffer) -> Vec<u32> {
        buffer.view().u32("test", "held").unwrap().to_vec()
    }

    #[test]
    fn responses_continue_positions_and_start_at_the_prompts_last_row() {
        let mut builder = BatchBuilder::default();
        let prompt = builder.prompt(&[1, 2, 3]);
        let a = builder.response(&prompt, &[4, 5]);
        let b = builder.response(&prompt, &[6]);
        let empty = builder.response(&prompt, &[]);
        let batch = builder.build(Device::Cpu).unwrap();
        assert_eq!(held(&batch.positions), [0, 1, 2, 3, 4, 3]);
        assert_eq!(held(&batch.output_rows), [2, 3, 2]);
        assert_eq!(held(&batch.targets), [4, 5, 6]);
        assert_eq!((batch.sequence(a), batch.sequence(b)), (0..2, 2..3));
        assert_eq!(batch.sequence(empty), 3..3);
        assert_eq!(batch.max_position, 5);
        assert_eq!(batch.segments.len(), 3);
    }

    #[test]
    fn an_empty_prompt_makes_a_plain_sequence() {
        let mut builder = BatchBuilder::default();
        let prompt = builder.prompt(&[]);
        builder.response(&prompt, &[4, 5, 6]);
        builder.sequence(&[7]);
        let batch = builder.build(Device::Cpu).unwrap();
        assert_eq!(held(&batch.positions), [0, 1, 2, 0]);
        assert_eq!(held(&batch.output_rows), [0, 1]);
        assert_eq!(held(&batch.targets), [5, 6]);
        assert_eq!(batch.sequence(1), 2..2);
        assert!(BatchBuilder::default().build(Device::Cpu).is_err());
    }
}
