//! The only division: what a sum of token losses is divided by.
//!
//! A divisor is made once from *all* responses of a mini-batch and then used for every slice of it,
//! so that the sum over micro-batches is the same however they are cut. (The published code divides
//! each micro-batch by its nominal size.)

use serde::{Deserialize, Serialize};

/// How the losses of tokens become one number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reduction {
    /// The mean over all tokens: a long response counts more.
    TokenMean,
    /// The sum over a response's tokens, then the mean over responses that are not empty.
    MeanOfSums,
    /// The mean over a response's tokens, then the mean over responses that are not empty.
    MeanOfMeans,
    /// The sum over all tokens by a constant, so that no response's length matters to another's
    /// weight (Dr. GRPO, Liu et al. 2025).
    Constant(f64),
}

/// What the sums of a mini-batch are divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divisor {
    /// Above 0.
    by: f64,
    /// Whether each response is divided by its own length as well.
    by_length: bool,
}

impl Reduction {
    /// The divisor for a mini-batch of responses of these lengths; 1 if there is no token in it.
    ///
    /// ```
    /// use infuser_rl::reduce::Reduction;
    /// assert_eq!(Reduction::TokenMean.divisor(&[3, 1]).coefficient(3), 0.25);
    /// assert_eq!(Reduction::MeanOfMeans.divisor(&[4, 1]).coefficient(4), 0.125);
    /// ```
    pub fn divisor(self, lengths: &[usize]) -> Divisor {
        let responses = lengths.iter().filter(|length| **length > 0).count() as f64;
        match self {
            Self::TokenMean => Divisor::tokens(lengths.iter().sum::<usize>() as f64),
            Self::MeanOfSums => Divisor::responses(responses),
            Self::MeanOfMeans => Divisor::response_means(responses),
            Self::Constant(tokens) => Divisor::tokens(tokens),
        }
    }
}

impl Divisor {
    /// Sums over all tokens are divided by a number of tokens.
    pub fn tokens(tokens: f64) -> Self {
        Self { by: positive(tokens), by_length: false }
    }

    /// Sums over responses are divided by a number of responses.
    pub fn responses(responses: f64) -> Self {
        Self { by: positive(responses), by_length: false }
    }

    /// Means over responses are divided by a number of responses.
    pub fn response_means(responses: f64) -> Self {
        Self { by: positive(responses), by_length: true }
    }

    /// What each token of a response of this length is multiplied by.
    pub fn coefficient(self, length: usize) -> f64 {
        let own = if self.by_length { length.max(1) as f64 } else { 1.0 };
        1.0 / (self.by * own)
    }

    /// The number of responses that means are taken over, for losses that have one term each.
    pub(crate) fn count(self) -> f64 {
        self.by
    }
}

/// Nothing is summed where nothing is counted.
fn positive(count: f64) -> f64 {
    if count > 0.0 { count } else { 1.0 }
}

/// The range of tokens of each response.
pub(crate) fn ranges(
    lengths: &[usize],
) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + use<'_> {
    let mut start = 0;
    lengths.iter().map(move |length| {
        let range = start..start + length;
        start = range.end;
        range
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_responses_are_not_counted() {
        assert_eq!(Reduction::MeanOfSums.divisor(&[2, 0, 3]).coefficient(2), 0.5);
        assert_eq!(Reduction::TokenMean.divisor(&[0, 0]).coefficient(0), 1.0);
        assert_eq!(Reduction::Constant(8.0).divisor(&[2]).coefficient(2), 0.125);
    }
}
