//! Questions laid out in one batch, and which of its rows are whose.

use std::ops::Range;

use infuser_kernels::{Device, ops::question_sums::Questions};
use infuser_model::{Batch, BatchBuilder};

use crate::{error::Result, question::Response};

/// What of a question goes into a batch: all responses that count, or, if it is too long, some.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub(crate) prompt: &'a [u32],
    pub(crate) responses: Vec<&'a Response>,
    /// What its losses are divided by.
    pub(crate) divisor: f64,
}

/// A batch of questions. A question's rows are its prompt and, right behind, its responses.
#[derive(Debug)]
pub(crate) struct Packed<'a> {
    pub(crate) batch: Batch,
    /// The token of each row.
    pub(crate) tokens: Vec<u32>,
    /// Rows of each question.
    pub(crate) rows: Questions,
    /// Outputs of each question.
    pub(crate) outputs: Questions,
    /// Each response with its outputs, and the divisor.
    responses: Vec<(&'a Response, Range<usize>, f64)>,
}

impl<'a> Packed<'a> {
    pub(crate) fn new(parts: &[Part<'a>], device: Device) -> Result<Self> {
        let mut builder = BatchBuilder::default();
        let (mut rows, mut tokens) = (Questions::default(), Vec::new());
        let mut numbers = Vec::new();
        for part in parts {
            let start = builder.row_count();
            let prompt = builder.prompt(part.prompt);
            tokens.extend(part.prompt);
            let own = part.responses.iter().map(|response| {
                tokens.extend(&response.tokens);
                (*response, builder.response(&prompt, &response.tokens), part.divisor)
            });
            numbers.push(own.collect::<Vec<_>>());
            rows.push(Some(start..builder.row_count()));
        }
        let batch = builder.build(device)?;
        let (mut outputs, mut responses) = (Questions::default(), Vec::new());
        for own in numbers {
            outputs.push(own.iter().map(|(_, number, _)| batch.sequence(*number)));
            responses
                .extend(own.into_iter().map(|(response, number, divisor)| {
                    (response, batch.sequence(number), divisor)
                }));
        }
        Ok(Self { batch, tokens, rows, outputs, responses })
    }

    /// Where each response's outputs are, part by part.
    pub(crate) fn response_outputs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.responses.iter().map(|(_, outputs, _)| outputs.clone())
    }

    /// The gradient of all losses by the log-probabilities.
    pub(crate) fn dlogp(&self, logp: &[f32]) -> Vec<f32> {
        let mut dlogp = vec![0.0; logp.len()];
        for (response, outputs, divisor) in &self.responses {
            let own = response.dlogp(&logp[outputs.clone()], *divisor);
            dlogp[outputs.clone()].copy_from_slice(&own);
        }
        dlogp
    }
}
