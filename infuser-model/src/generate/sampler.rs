//! From one row of logits and one uniform number to a token.

use crate::error::{Error, Result};

/// How a token is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The most probable token; of equals, the smallest id.
    Greedy,
    /// In proportion to probability at a temperature, among the most probable tokens.
    Random {
        /// τ > 0.
        temperature: f32,
        /// The fewest most probable tokens that together reach this probability; 1 for all.
        top_p: f32,
        /// At most so many; `None` for all.
        top_k: Option<usize>,
    },
}

/// A drawn token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// Its id.
    pub token: u32,
    /// Its log-probability at the sampling temperature (1 for greedy), over all tokens.
    pub logp: f32,
}

impl Sampling {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the value.
    pub fn check(&self) -> Result<()> {
        let Self::Random { temperature, top_p, top_k } = *self else { return Ok(()) };
        let problem = if !(temperature > 0.0 && temperature.is_finite()) {
            format!("temperature {temperature} is not positive; use 0 for greedy decoding")
        } else if !(top_p > 0.0 && top_p <= 1.0) {
            format!("top-p {top_p} is not above 0 and at most 1")
        } else if top_k == Some(0) {
            "top-k 0 leaves no token; leave it out for all".into()
        } else {
            return Ok(());
        };
        Err(Error::Setting(problem))
    }

    /// Draws from `logits` with `uniform` in [0, 1).
    ///
    /// ```
    /// use infuser_model::generate::Sampling;
    /// let drawn = Sampling::Greedy.draw(&[0.0, 3.0, 3.0], 0.5);
    /// assert_eq!(drawn.token, 1);
    /// ```
    pub fn draw(&self, logits: &[f32], uniform: f64) -> Sampled {
        match *self {
            Self::Greedy => {
                let token = argmax(logits);
                Sampled { token: token as u32, logp: log_probability(logits, token, 1.0) }
            }
            Self::Random { temperature, top_p, top_k } => {
                let temperature = f64::from(temperature);
                let token = random(logits, temperature, f64::from(top_p), top_k, uniform);
                Sampled { token: token as u32, logp: log_probability(logits, token, temperature) }
            }
        }
    }
}

fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, z) in logits.iter().enumerate() {
        if *z > logits[best] {
            best = i;
        }
    }
    best
}

fn log_probability(logits: &[f32], token: usize, temperature: f64) -> f32 {
    let top = f64::from(logits[argmax(logits)]);
    let sum: f64 = logits.iter().map(|&z| ((f64::from(z) - top) / temperature).exp()).sum();
    ((f64::from(logits[token]) - top) / temperature - sum.ln()) as f32
}

fn random(
    logits: &[f32],
    temperature: f64,
    top_p: f64,
    top_k: Option<usize>,
    uniform: f64,
) -> usize {
    let top = f64::from(logits[argmax(logits)]);
    let weight = |i: usize| ((f64::from(logits[i]) - top) / temperature).exp();
    let all = top_k.is_none_or(|k| k >= logits.len()) && top_p >= 1.0;
    let mut kept: Vec<usize> = (0..logits.len()).collect();
    if !all {
        // Most probable first, equals by id, so that the cut does not depend on the sort.
        kept.sort_unstable_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        kept.truncate(top_k.unwrap_or(logits.len()).max(1));
        let total: f64 = kept.iter().map(|&i| weight(i)).sum();
        let mut reached = 0.0;
        let enough = kept.iter().position(|&i| {
            reached += weight(i);
            reached >= top_p * total
        });
        kept.truncate(enough.map_or(kept.len(), |last| last + 1));
    }
    let total: f64 = kept.iter().map(|&i| weight(i)).sum();
    let mut left = uniform * total;
    for &i in &kept {
        left -= weight(i);
        if left < 0.0 {
            return i;
        }
    }
    kept[kept.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(top_p: f32, top_k: Option<usize>) -> Sampling {
        Sampling::Random { temperature: 0.5, top_p, top_k }
    }

    /// Probabilities 0.1, 0.2, 0.3, 0.4 at temperature 0.5.
    fn logits() -> Vec<f32> {
        [0.1f32, 0.2, 0.3, 0.4].iter().map(|p| 0.5 * p.ln()).collect()
    }

    #[test]
    fn draws_follow_the_distribution_function() {
        let draw = |u| sampling(1.0, None).draw(&logits(), u);
        let tokens: Vec<u32> = [0.0, 0.09, 0.11, 0.29, 0.31, 0.59, 0.61, 0.999_999]
            .into_iter()
            .map(|u| draw(u).token)
            .collect();
        assert_eq!(tokens, [0, 0, 1, 1, 2, 2, 3, 3]);
        assert!((draw(0.4).logp - 0.3f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn cuts_keep_the_most_probable() {
        let seen = |sampling: Sampling| {
            let draws = (0..100).map(|i| sampling.draw(&logits(), f64::from(i) / 100.0).token);
            let mut tokens: Vec<u32> = draws.collect();
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        };
        assert_eq!(seen(sampling(1.0, Some(1))), [3]);
        assert_eq!(seen(sampling(1.0, Some(3))), [1, 2, 3]);
        assert_eq!(seen(sampling(0.6, None)), [2, 3]);
        assert_eq!(seen(sampling(0.01, None)), [3]);
        assert_eq!(seen(sampling(1.0, Some(9))), [0, 1, 2, 3]);
    }

    #[test]
    fn values_outside_their_range_are_refused() {
        for bad in [sampling(0.0, None), sampling(1.5, None), sampling(1.0, Some(0))] {
            assert!(bad.check().is_err());
        }
        let cold = Sampling::Random { temperature: 0.0, top_p: 1.0, top_k: None };
        assert!(cold.check().unwrap_err().to_string().contains("use 0 for greedy"));
    }
}
