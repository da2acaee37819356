//! What is asked of the engine, and what comes back.

pub use infuser_kernels::ops::sample::Sampling;

use crate::{
    config::ModelConfig,
    error::{Error, Result},
};

/// A prompt to continue.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Names the request among those in the engine, and keys its draws: the same id, seed, prompt and
    /// settings give the same tokens.
    pub id: u64,
    /// At least one token.
    pub prompt: Vec<u32>,
    /// Samples to draw.
    pub samples: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Weakens tokens of the prompt and of the sample so far; 1 or `None` for not at all.
    pub repetition_penalty: Option<f32>,
    /// New tokens of one sample, at most.
    pub max_tokens: usize,
    /// Tokens that end a sample; they are part of it. Empty to go on after the end of a sequence.
    pub stop_tokens: Vec<u32>,
    /// Texts that end a sample; its text ends before them. They need an engine that knows texts.
    pub stop_strings: Vec<String>,
    /// Whether the entropy at each token is returned.
    pub entropy: bool,
    /// Seed of the draws, besides `id`.
    pub seed: u64,
}

/// Why a sample ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop token was drawn, or a stop string appeared.
    Stop,
    /// The token limit, or the model's last position, was reached.
    Length,
    /// It cannot go on; what was drawn before is there.
    Error(String),
}

impl FinishReason {
    /// The name in outputs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Error(_) => "error",
        }
    }
}

/// One finished sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The request's id.
    pub request: u64,
    /// Number of the sample, from 0.
    pub sample: usize,
    /// The new tokens.
    pub tokens: Vec<u32>,
    /// Log-probability of each after penalty and temperature, over all tokens (temperature 1 for
    /// greedy decoding): what a training pass at that temperature computes.
    pub logprobs: Vec<f32>,
    /// Log-probability of each as the model gives it, at temperature 1.
    pub raw_logprobs: Vec<f32>,
    /// Entropy at each token, of the distribution of `logprobs`; empty if not asked for.
    pub entropies: Vec<f32>,
    /// The text of the new tokens, from an engine that knows texts.
    pub text: Option<String>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

impl Request {
    /// Greedy decoding of one sample until the model's end-of-sequence token.
    pub fn greedy(id: u64, prompt: Vec<u32>, max_tokens: usize, config: &ModelConfig) -> Self {
        Self {
            id,
            prompt,
            samples: 1,
            sampling: Sampling::Greedy,
            repetition_penalty: None,
            max_tokens,
            stop_tokens: config.eos_tokens.clone(),
            stop_strings: Vec::new(),
            entropy: false,
            seed: 0,
        }
    }

    /// New tokens that fit the model's positions and the limit.
    pub(super) fn limit(&self, config: &ModelConfig) -> usize {
        self.max_tokens.min(config.max_positions - self.prompt.len())
    }

    /// Checks everything that does not depend on other requests.
    ///
    /// # Errors
    /// [`Error::Batch`] for an empty prompt, one without room for a token, or a token outside the
    /// vocabulary; [`Error::Setting`] for settings outside their range.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        let (vocab, positions) = (config.vocab, config.max_positions);
        let problem = |what: String| Err(Error::Batch(what));
        if self.prompt.is_empty() {
            return problem("a prompt without tokens; give at least a start token".into());
        }
        if let Some(token) = self.prompt.iter().find(|token| **token as usize >= vocab) {
            return problem(format!("token {token} is outside the vocabulary of {vocab}"));
        }
        let len = self.prompt.len();
        if len >= positions {
            return problem(format!(
                "a prompt of {len} tokens leaves no room in the model's {positions} positions"
            ));
        }
        if self.samples == 0 || self.max_tokens == 0 {
            let problem = "the numbers of samples and of new tokens must be at least 1";
            return Err(Error::Setting(problem.into()));
        }
        if let Some(penalty) = self.repetition_penalty
            && !(penalty > 0.0 && penalty.is_finite())
        {
            let problem = format!("the repetition penalty {penalty} is not positive");
            return Err(Error::Setting(problem));
        }
        if self.stop_strings.iter().any(String::is_empty) {
            return Err(Error::Setting(
                "an empty stop string stops everything; leave it out".into(),
            ));
        }
        match self.sampling.problem() {
            Some(problem) => Err(Error::Setting(problem)),
            None => Ok(()),
        }
    }
}
