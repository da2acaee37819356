//! Questions with their answers, and the loss whose gradient is compared.

use infuser_model::ModelConfig;

use crate::error::{Error, Result};

/// A question and what was answered to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Question {
    /// Tokens that all responses follow; may be empty.
    pub prompt: Vec<u32>,
    /// The group. Their number is `n` of the loss.
    pub responses: Vec<Response>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Its tokens, the end token included if the model wrote one.
    pub tokens: Vec<u32>,
    /// `A_i`: how much better it was than the others. 1 for text to be imitated.
    pub advantage: f32,
    /// Factors on its tokens' losses.
    pub weights: Weights,
}

/// Factors `w_t` on the losses of a response's tokens, constants of the gradient.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// 1 for all.
    One,
    /// `min(exp(logp_t − rollout_t), at_most)`, with the log-probability of the model as it is now:
    /// truncated importance sampling (Yao et al. 2025). The exponent is clamped to ±20.
    Truncated {
        /// Under the policy that sampled, one a token.
        rollout_logp: Vec<f32>,
        /// Larger weights are cut to this.
        at_most: f32,
    },
    /// Given, one a token; 0 leaves a token out.
    Fixed(Vec<f32>),
}

/// The loss of a question with responses `i = 1..n`:
///
/// ```text
/// L_q = Σ_i Σ_t −A_i w_it logp_it / (n T̄)
/// ```
///
/// That is the policy gradient of the solver's own update at the point where it is taken (ratio 1,
/// nothing clipped). The scale matters where the optimizer's mean square comes in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// Log-probabilities are those of sampling at this temperature.
    pub temperature: f32,
    /// `T̄`: mean tokens of a response, over all responses of all questions of the run.
    pub mean_tokens: f64,
}

impl Response {
    /// Text to be imitated: every token counts alike.
    pub fn supervised(tokens: Vec<u32>) -> Self {
        Self { tokens, advantage: 1.0, weights: Weights::One }
    }

    /// It can have a gradient.
    pub(crate) fn counts(&self) -> bool {
        self.advantage != 0.0 && !self.tokens.is_empty()
    }

    /// `dL/dlogp` for the outputs of the response, given their log-probabilities. After an empty
    /// prompt the first token is no output.
    pub(crate) fn dlogp(&self, logp: &[f32], divisor: f64) -> Vec<f32> {
        let first = self.tokens.len() - logp.len();
        let weight = |t: usize| match &self.weights {
            Weights::One => 1.0,
            Weights::Fixed(weights) => f64::from(weights[first + t]),
            Weights::Truncated { rollout_logp, at_most } => {
                let log = f64::from(logp[t]) - f64::from(rollout_logp[first + t]);
                log.clamp(-20.0, 20.0).exp().min(f64::from(*at_most))
            }
        };
        let advantage = f64::from(self.advantage);
        (0..logp.len()).map(|t| (-advantage * weight(t) / divisor) as f32).collect()
    }
}

impl Question {
    /// All advantages are zero, or there is no token: it has no gradient, and its score is 0.
    pub fn is_silent(&self) -> bool {
        !self.responses.iter().any(Response::counts)
    }

    /// Rows that its gradient takes in a packed batch: the prompt once, and the responses that count.
    pub fn rows(&self) -> usize {
        let responses = self.responses.iter().filter(|response| response.counts());
        self.prompt.len() + responses.map(|response| response.tokens.len()).sum::<usize>()
    }

    /// Whether a model of this config can run it.
    ///
    /// # Errors
    /// What is wrong: tokens outside the vocabulary, more of them than the model's positions, weights
    /// of another number than tokens, values that are not finite.
    pub fn check(&self, config: &ModelConfig) -> std::result::Result<(), String> {
        let refuse = Err::<(), String>;
        for (i, response) in self.responses.iter().enumerate() {
            let tokens = response.tokens.len();
            let weights = match &response.weights {
                Weights::One => &[],
                Weights::Truncated { rollout_logp, .. } => &rollout_logp[..],
                Weights::Fixed(weights) => weights,
            };
            if response.weights != Weights::One && weights.len() != tokens {
                let got = weights.len();
                return refuse(format!("response {i} has {got} weights for {tokens} tokens"));
            }
            if let Some(value) = weights.iter().find(|value| !value.is_finite()) {
                return refuse(format!("response {i} has a token weight of {value}"));
            }
            if !response.advantage.is_finite() {
                return refuse(format!("response {i} has an advantage of {}", response.advantage));
            }
            let (length, most) = (self.prompt.len() + tokens, config.max_positions);
            if length > most {
                let problem = "tokens with its prompt are more than the model's";
                return refuse(format!("response {i}: {length} {problem} {most} positions"));
            }
        }
        let all = self.responses.iter().flat_map(|response| &response.tokens);
        match self.prompt.iter().chain(all).find(|token| **token as usize >= config.vocab) {
            None => Ok(()),
            Some(token) => {
                let vocab = config.vocab;
                refuse(format!("token {token} is outside the model's vocabulary of {vocab}"))
            }
        }
    }
}

impl Objective {
    /// The objective over these questions: `T̄` is the mean over the responses of those that are not
    /// silent, as the published code has it; 1 if there are none.
    pub fn over(questions: &[Question], temperature: f32) -> Self {
        let kept = questions.iter().filter(|question| !question.is_silent());
        let responses = kept.flat_map(|question| &question.responses);
        let (tokens, count) = responses
            .fold((0, 0), |(tokens, count), response| (tokens + response.tokens.len(), count + 1));
        let mean_tokens = if tokens == 0 { 1.0 } else { tokens as f64 / f64::from(count) };
        Self { temperature, mean_tokens }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let Self { temperature, mean_tokens } = *self;
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::Setting(format!("temperature {temperature} is not positive")));
        }
        if !(mean_tokens > 0.0 && mean_tokens.is_finite()) {
            return Err(Error::Setting(format!("mean_tokens {mean_tokens} is not positive")));
        }
        Ok(())
    }
}
