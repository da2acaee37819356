//! One sample on its way.

use std::sync::Arc;

use infuser_kernels::{
    ops::sample::{Draw, Drawn, Uniform},
    rng::Stream,
};

use super::{
    Decode, FinishReason, Request, Sample,
    blocks::{BlockPool, ROOT},
    text::Text,
};

/// A sample that waits or runs. Its blocks hold the keys of its first `computed` tokens.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) request: Arc<Request>,
    /// Number of the sample.
    pub(super) sample: usize,
    /// Whether the request's other samples wait for this one to compute the prompt.
    pub(super) leads: bool,
    /// Prompt and new tokens.
    pub(super) tokens: Vec<u32>,
    pub(super) computed: usize,
    pub(super) blocks: Vec<u32>,
    /// The tree's node of the full blocks so far, and how many those are.
    node: u64,
    full: usize,
    /// New tokens, at most.
    limit: usize,
    stream: Stream,
    text: Option<Text>,
    cut: bool,
    logprobs: Vec<f32>,
    raw_logprobs: Vec<f32>,
    entropies: Vec<f32>,
}

impl Sequence {
    pub(super) fn new(request: Arc<Request>, sample: usize, limit: usize) -> Self {
        let stream = Stream::new(request.seed).child(request.id).child(sample as u64);
        Self {
            tokens: request.prompt.clone(),
            request,
            sample,
            leads: false,
            computed: 0,
            blocks: Vec::new(),
            node: ROOT,
            full: 0,
            limit,
            stream,
            text: None,
            cut: false,
            logprobs: Vec::new(),
            raw_logprobs: Vec::new(),
            entropies: Vec::new(),
        }
    }

    /// Tokens without keys; at least the last one.
    pub(super) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// The new tokens.
    pub(super) fn new_tokens(&self) -> &[u32] {
        &self.tokens[self.request.prompt.len()..]
    }

    /// The text so far, if texts are known; without characters that are not whole yet.
    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_ref().map(Text::so_far)
    }

    /// Starts to keep the text.
    pub(super) fn with_text(mut self) -> Self {
        self.text = Some(Text::default());
        self
    }

    /// Takes over all known blocks that hold its first tokens; how many tokens that saves. One token
    /// at least is left to compute, as its logits are needed.
    pub(super) fn find_prefix(&mut self, pool: &mut BlockPool, block_tokens: usize) -> usize {
        while (self.full + 1) * block_tokens < self.tokens.len() {
            let range = self.full * block_tokens..(self.full + 1) * block_tokens;
            let Some(known) = pool.find(self.node, &self.tokens[range]) else { break };
            pool.share(known.block);
            self.blocks.push(known.block);
            (self.node, self.full) = (known.node, self.full + 1);
        }
        self.computed = self.full * block_tokens;
        self.computed
    }

    /// Takes blocks until there is room for the keys of `tokens` tokens; false if there are too few.
    pub(super) fn reserve(
        &mut self,
        pool: &mut BlockPool,
        tokens: usize,
        block_tokens: usize,
    ) -> bool {
        let missing = tokens.div_ceil(block_tokens).saturating_sub(self.blocks.len());
        if missing > pool.available() {
            return false;
        }
        self.blocks.extend((0..missing).filter_map(|_| pool.take()));
        true
    }

    /// Notes that the keys of `count` more tokens are there, and makes full blocks known.
    pub(super) fn advance(
        &mut self,
        count: usize,
        pool: &mut BlockPool,
        block_tokens: usize,
        learn: bool,
    ) {
        self.computed += count;
        while learn && (self.full + 1) * block_tokens <= self.computed {
            let range = self.full * block_tokens..(self.full + 1) * block_tokens;
            self.node = pool.learn(self.node, &self.tokens[range], self.blocks[self.full]);
            self.full += 1;
        }
    }

    /// Gives all blocks back. What is lost is computed again.
    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        // From the end, so that of idle blocks those at the end of a text are forgotten first.
        self.blocks.drain(..).rev().for_each(|block| pool.release(block));
        (self.node, self.full, self.computed) = (ROOT, 0, 0);
    }

    /// Another sample of the same prompt that shares its full blocks; `partial` is a copy of the last.
    pub(super) fn fork(&self, sample: usize, pool: &mut BlockPool, partial: Option<u32>) -> Self {
        let mut fork = Self::new(self.request.clone(), sample, self.limit);
        if self.text.is_some() {
            fork = fork.with_text();
        }
        let shared = self.blocks.len() - usize::from(partial.is_some());
        fork.blocks.extend(&self.blocks[..shared]);
        fork.blocks.iter().for_each(|block| pool.share(*block));
        fork.blocks.extend(partial);
        (fork.computed, fork.node, fork.full) = (self.computed, self.node, self.full);
        fork
    }

    /// How its next token is drawn from row `row` of the logits.
    pub(super) fn draw(&self, row: usize) -> Draw<'_> {
        let place = self.new_tokens().len();
        let penalty = self.request.repetition_penalty.filter(|penalty| *penalty != 1.0);
        Draw {
            row,
            sampling: self.request.sampling,
            uniform: Uniform::Of(self.stream, place as u64),
            penalty: penalty.map(|penalty| (penalty, &self.tokens[..])),
        }
    }

    /// Takes the next token in; why this ends the sample, if it does.
    pub(super) fn push(
        &mut self,
        drawn: Drawn,
        decode: Option<&dyn Decode>,
    ) -> Option<FinishReason> {
        let Drawn { token, logp, raw_logp, entropy } = drawn;
        if !logp.is_finite() {
            let problem = "the model's logits are not finite; its weights are damaged or diverged";
            return Some(FinishReason::Error(problem.into()));
        }
        self.tokens.push(token);
        self.logprobs.push(logp);
        self.raw_logprobs.push(raw_logp);
        if self.request.entropy {
            self.entropies.push(entropy);
        }
        let full = self.new_tokens().len() == self.limit;
        let stopped = self.request.stop_tokens.contains(&token);
        if let (Some(text), Some(decode)) = (&mut self.text, decode) {
            self.cut = text.push(decode, token, &self.request.stop_strings, full || stopped);
        }
        if self.cut || stopped {
            return Some(FinishReason::Stop);
        }
        full.then_some(FinishReason::Length)
    }

    /// The result. All blocks must have been released.
    pub(super) fn finish(self, finish_reason: FinishReason, decode: Option<&dyn Decode>) -> Sample {
        let tokens = self.new_tokens().to_vec();
        let text = self.text.zip(decode).and_then(|(text, decode)| {
            // A stop token's name is no part of the text, nor is what follows a stop string's start.
            match tokens.split_last() {
                _ if self.cut => Some(text.so_far().to_owned()),
                Some((last, rest)) if self.request.stop_tokens.contains(last) => {
                    decode.decode(rest)
                }
                _ => decode.decode(&tokens),
            }
        });
        Sample {
            request: self.request.id,
            sample: self.sample,
            tokens,
            logprobs: self.logprobs,
            raw_logprobs: self.raw_logprobs,
            entropies: self.entropies,
            text,
            finish_reason,
        }
    }
}
