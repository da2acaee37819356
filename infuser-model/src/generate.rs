//! Plain generation: prefill, then one token a step for a wave of sequences, over a cache of keys and
//! values in which the samples of one prompt share its rows.

mod cache;
mod sampler;

pub use cache::{Cache, LayerCache};
pub use sampler::{Sampled, Sampling};

use infuser_kernels::{ops::attention::Segment, rng::Stream};

use crate::{
    Model,
    batch::Batch,
    error::{Error, Result},
    workspace::{Keep, Workspace},
};

/// Sequences that decode together, at most.
const WAVE_SEQUENCES: usize = 64;
/// Prompt tokens that are prefilled together, at most (a longer prompt goes alone).
const WAVE_PROMPT_TOKENS: usize = 4096;

/// How to continue prompts.
#[derive(Debug, Clone)]
pub struct Options {
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// New tokens of one sample, at most.
    pub max_tokens: usize,
    /// Samples for each prompt.
    pub samples: usize,
    /// Tokens that end a sample; they are part of it.
    pub stop_tokens: Vec<u32>,
    /// Seed of all draws; a draw depends on it, the prompt's index, the sample and the place alone.
    pub seed: u64,
}

/// Why a sample ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop token was drawn.
    Stop,
    /// The token limit, or the model's last position, was reached.
    Length,
}

impl FinishReason {
    /// The name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// One finished sample.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Index of the prompt.
    pub prompt: usize,
    /// Number of the sample, from 0.
    pub sample: usize,
    /// The new tokens.
    pub tokens: Vec<u32>,
    /// Log-probability of each, at the sampling temperature (at 1 for greedy decoding).
    pub logprobs: Vec<f32>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// One sequence being continued.
struct Sequence {
    result: Sample,
    stream: Stream,
    /// Cache rows of the prompt, shared with the prompt's other samples.
    prefix: std::ops::Range<usize>,
    /// First cache row of its own.
    base: usize,
    limit: usize,
    done: bool,
}

/// Continues every prompt; `finished` receives the samples in the order of prompts.
///
/// # Errors
/// [`Error::Batch`] for an empty prompt, one without room for a token, or a token outside the
/// vocabulary; [`Error::Setting`] for sampling values outside their range. Errors of `finished` end the
/// run and are returned.
pub fn generate<E: From<Error>>(
    model: &Model,
    prompts: &[Vec<u32>],
    options: &Options,
    mut finished: impl FnMut(Sample) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    options.sampling.check()?;
    for (i, prompt) in prompts.iter().enumerate() {
        check_prompt(model, i, prompt)?;
    }
    if options.samples == 0 || options.max_tokens == 0 {
        let problem = "the numbers of samples and of new tokens must be at least 1".into();
        return Err(Error::Setting(problem).into());
    }
    let mut workspace = model.workspace(Keep::Nothing)?;
    let mut from = 0;
    while from < prompts.len() {
        let to = wave_end(prompts, options, from);
        for sample in wave(model, prompts, from..to, options, &mut workspace)? {
            finished(sample)?;
        }
        from = to;
    }
    Ok(())
}

fn check_prompt(model: &Model, index: usize, prompt: &[u32]) -> Result<()> {
    let problem = |what: String| Err(Error::Batch(format!("prompt {index}: {what}")));
    let (vocab, positions) = (model.config().vocab, model.config().max_positions);
    if prompt.is_empty() {
        return problem("it has no tokens; give at least a start token".into());
    }
    if let Some(token) = prompt.iter().find(|&&token| token as usize >= vocab) {
        return problem(format!("token {token} is outside the vocabulary of {vocab}"));
    }
    if prompt.len() >= positions {
        let len = prompt.len();
        return problem(format!("{len} tokens leave no room in the model's {positions} positions"));
    }
    Ok(())
}

/// How many prompts, from `from`, one wave takes.
fn wave_end(prompts: &[Vec<u32>], options: &Options, from: usize) -> usize {
    let (mut to, mut tokens) = (from, 0);
    while to < prompts.len() {
        tokens += prompts[to].len();
        let sequences = (to + 1 - from) * options.samples;
        if to > from && (sequences > WAVE_SEQUENCES || tokens > WAVE_PROMPT_TOKENS) {
            break;
        }
        to += 1;
    }
    to
}

fn wave(
    model: &Model,
    prompts: &[Vec<u32>],
    range: std::ops::Range<usize>,
    options: &Options,
    workspace: &mut Workspace,
) -> Result<Vec<Sample>> {
    let mut sequences = Vec::new();
    let prompt_rows: usize = prompts[range.clone()].iter().map(Vec::len).sum();
    let (mut row, mut base) = (0, prompt_rows);
    for prompt in range.clone() {
        let prefix = row..row + prompts[prompt].len();
        row = prefix.end;
        let limit = options.max_tokens.min(model.config().max_positions - prefix.len());
        for sample in 0..options.samples {
            let stream = Stream::new(options.seed).child(prompt as u64).child(sample as u64);
            let result = Sample {
                prompt,
                sample,
                tokens: Vec::new(),
                logprobs: Vec::new(),
                finish_reason: FinishReason::Length,
            };
            let prefix = prefix.clone();
            sequences.push(Sequence { result, stream, prefix, base, limit, done: false });
            // The last token is never fed back, so it needs no row.
            base += limit - 1;
        }
    }
    let mut cache = Cache::new(model.config(), model.device(), base)?;
    let last_rows: Vec<usize> = (0..sequences.len()).map(|i| i / options.samples).collect();
    let batch = Batch::sequences(model.device(), &prompts[range])?;
    let ends = batch.segments().iter().map(|segment| segment.q.end as u32 - 1).collect();
    let logits = model.logits(&batch.with_output_rows(ends)?, Some(&mut cache), workspace)?;
    draw(&mut sequences, &last_rows, &logits.to_f32()?, options);
    while sequences.iter().any(|sequence| !sequence.done) {
        let running: Vec<usize> = (0..sequences.len()).filter(|&i| !sequences[i].done).collect();
        let batch = step_batch(model, &sequences, &running)?;
        let logits = model.logits(&batch, Some(&mut cache), workspace)?;
        let mut rows = vec![0; sequences.len()];
        running.iter().enumerate().for_each(|(row, &i)| rows[i] = row);
        draw(&mut sequences, &rows, &logits.to_f32()?, options);
    }
    Ok(sequences.into_iter().map(|sequence| sequence.result).collect())
}

/// One row for each running sequence: its last token, after the prompt and its own earlier rows.
fn step_batch(model: &Model, sequences: &[Sequence], running: &[usize]) -> Result<Batch> {
    let (mut tokens, mut positions, mut segments) = (Vec::new(), Vec::new(), Vec::new());
    for (row, &i) in running.iter().enumerate() {
        let Sequence { result, prefix, base, .. } = &sequences[i];
        let count = result.tokens.len();
        tokens.push(result.tokens[count - 1]);
        positions.push((prefix.len() + count - 1) as u32);
        let kv = *base..base + count;
        segments.push(Segment { q: row..row + 1, kv, prefix: prefix.clone() });
    }
    Batch::of_cache_rows(model.device(), tokens, positions, segments)
}

/// Draws the next token of every running sequence from its row of the logits.
fn draw(sequences: &mut [Sequence], rows: &[usize], logits: &[f32], options: &Options) {
    let vocab = logits.len() / rows.iter().max().map_or(1, |row| row + 1);
    for (sequence, &row) in sequences.iter_mut().zip(rows).filter(|(s, _)| !s.done) {
        let place = sequence.result.tokens.len();
        let uniform = sequence.stream.uniform(place as u64);
        let Sampled { token, logp } =
            options.sampling.draw(&logits[row * vocab..(row + 1) * vocab], uniform);
        sequence.result.tokens.push(token);
        sequence.result.logprobs.push(logp);
        if options.stop_tokens.contains(&token) {
            sequence.result.finish_reason = FinishReason::Stop;
            sequence.done = true;
        } else {
            sequence.done = place + 1 == sequence.limit;
        }
    }
}
