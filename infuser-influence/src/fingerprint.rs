//! Hashes that say what a number came from.

use std::fmt;

use infuser_model::Tensors;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    error::Result,
    question::{Question, Weights},
};

/// SHA-256 of tensors or questions: equal contents have equal fingerprints on every machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Elements that are hashed as one piece; the pieces' hashes are hashed again, in order.
const PIECE: usize = 1 << 20;

impl Fingerprint {
    /// Of the values of all tensors, in layout order.
    ///
    /// # Errors
    /// [`crate::Error::Model`] if the device cannot be read.
    pub fn of_tensors(tensors: &Tensors) -> Result<Self> {
        let mut all = Sha256::new();
        for buffer in tensors.buffers() {
            let pieces: Vec<[u8; 32]> = buffer.to_f32()?.par_chunks(PIECE).map(of_f32).collect();
            all.update((buffer.dims().len() as u64).to_le_bytes());
            pieces.iter().for_each(|piece| all.update(piece));
        }
        Ok(Self(all.finalize().into()))
    }

    /// Of everything about the questions that a gradient depends on.
    pub fn of_questions(questions: &[Question]) -> Self {
        let mut all = Sha256::new();
        let mut list = |values: Vec<u32>| {
            all.update((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| all.update(value.to_le_bytes()));
        };
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for question in questions {
            list(question.prompt.clone());
            list(vec![question.responses.len() as u32]);
            for response in &question.responses {
                list(response.tokens.clone());
                list(bits(&[response.advantage]));
                match &response.weights {
                    Weights::One => list(vec![0]),
                    Weights::Truncated { rollout_logp, at_most } => {
                        list(vec![1, at_most.to_bits()]);
                        list(bits(rollout_logp));
                    }
                    Weights::Fixed(weights) => {
                        list(vec![2]);
                        list(bits(weights));
                    }
                }
            }
        }
        Self(all.finalize().into())
    }

    /// Of several fingerprints, in order.
    pub(crate) fn of_all(parts: &[Self]) -> Self {
        let mut all = Sha256::new();
        parts.iter().for_each(|part| all.update(part.0));
        Self(all.finalize().into())
    }
}

fn of_f32(values: &[f32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut bytes = [0; 4 * 1024];
    for chunk in values.chunks(1024) {
        for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(chunk) {
            *bytes = value.to_le_bytes();
        }
        hash.update(&bytes[..4 * chunk.len()]);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Response;

    #[test]
    fn whatever_changes_a_gradient_changes_the_fingerprint() {
        let response = |tokens: &[u32], advantage, weights| Response {
            tokens: tokens.to_vec(),
            advantage,
            weights,
        };
        let truncated = |logp| Weights::Truncated { rollout_logp: vec![logp, -2.0], at_most: 2.0 };
        let variants = [
            (vec![1], response(&[2, 3], 1.0, Weights::One)),
            (vec![1, 2], response(&[3], 1.0, Weights::One)),
            (vec![], response(&[1, 2, 3], 1.0, Weights::One)),
            (vec![1], response(&[2, 3], -1.0, Weights::One)),
            (vec![1], response(&[2, 3], 1.0, Weights::Fixed(vec![1.0, 1.0]))),
            (vec![1], response(&[2, 3], 1.0, truncated(-1.0))),
            (vec![1], response(&[2, 3], 1.0, truncated(-1.5))),
        ];
        let seen: Vec<Fingerprint> = variants
            .into_iter()
            .map(|(prompt, response)| {
                Fingerprint::of_questions(&[Question { prompt, responses: vec![response] }])
            })
            .collect();
        assert_eq!(seen[0].to_string().len(), 64);
        for (i, one) in seen.iter().enumerate() {
            assert!(!seen[..i].contains(one), "variant {i}");
        }
    }
}
