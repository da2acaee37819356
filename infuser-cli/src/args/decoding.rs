//! What `generate` and `chat` share: how tokens are drawn.

use infuser_model::{
    ModelConfig,
    generate::{Request, Sampling},
};

use super::at_least_one;
use crate::failure::Failure;

/// How tokens are drawn, and when to stop.
#[derive(Debug, clap::Args)]
pub(crate) struct Decoding {
    /// 0 takes the most probable token; above, tokens are drawn at this temperature.
    #[arg(long, value_name = "T", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) temperature: f32,
    /// Draw among the fewest most probable tokens that together reach this probability.
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) top_p: f32,
    /// Draw among this many most probable tokens; all if left out.
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<usize>,
    /// Draw among tokens that are at least this part as probable as the most probable one.
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) min_p: f32,
    /// Weaken tokens that were seen before: above 1 for fewer repetitions.
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub(crate) repetition_penalty: Option<f32>,
    /// Stop before this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// Go on after the model's end-of-sequence tokens.
    #[arg(long)]
    pub(crate) ignore_eos: bool,
    /// Seed of all draws; the same seed gives the same samples.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Memory for keys and values, in MiB, at most.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = at_least_one)]
    pub(crate) cache_mib: usize,
}

impl Decoding {
    /// Bytes for keys and values.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_mib.saturating_mul(1 << 20)
    }

    /// A request for one sample, with these settings checked.
    pub(crate) fn request(
        &self,
        config: &ModelConfig,
        max_tokens: usize,
    ) -> Result<Request, Failure> {
        let Self { temperature, top_p, top_k, min_p, .. } = *self;
        let random = Sampling::Random { temperature, top_k, top_p, min_p };
        // Where all is greedy the other values cannot matter, but must make sense.
        let warm = Sampling::Random { temperature: 1.0, top_k, top_p, min_p };
        let (sampling, checked) =
            if temperature == 0.0 { (Sampling::Greedy, warm) } else { (random, random) };
        if let Some(problem) = checked.problem() {
            return Err(Failure::bad_input(problem));
        }
        let request = Request {
            samples: 1,
            sampling,
            repetition_penalty: self.repetition_penalty,
            stop_tokens: if self.ignore_eos { Vec::new() } else { config.eos_tokens.clone() },
            stop_strings: self.stop.clone(),
            seed: self.seed,
            ..Request::greedy(0, vec![0], max_tokens, config)
        };
        request.check(config)?;
        Ok(request)
    }
}
