//! The engine: admits, computes, draws, preempts, finishes.
//!
//! Every running sequence has tokens without keys: its prompt, its last token, or, after a preemption,
//! all it has. A step takes some of them from each, oldest first, up to a budget; where that reaches a
//! sequence's end, its next token is drawn. So prefill, decoding and recomputation are one thing.
//!
//! When blocks run out, the youngest sequence gives up its own and waits. As a row of a forward pass
//! does not depend on the others, nor a draw on when it happens, no sample does either: not on the
//! batch, the budget, the blocks, the threads, the order of arrival, or a preemption.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use infuser_kernels::{Buffer, Device, ops::sample, threads};

use super::{
    Cache, Decode, FinishReason, Request, Sample,
    blocks::BlockPool,
    graphs::{DecodeGraphs, Pass},
    sequence::Sequence,
    step::StepBuilder,
};
use crate::{
    Model,
    error::{Error, Result},
    packed::PackedWeights,
    workspace::{Keep, Workspace},
};

/// How much the engine takes on at a time. None of it changes a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Tokens of which the cache holds the keys, at most; rounded up to blocks.
    pub cache_tokens: usize,
    /// Tokens of a block: a multiple of 32.
    pub block_tokens: usize,
    /// Tokens that one forward pass computes, at most.
    pub step_tokens: usize,
    /// Sequences that run at a time, at most.
    pub max_sequences: usize,
    /// Whether requests that begin alike compute the common blocks once.
    pub share_prefixes: bool,
    /// Whether decode steps on CUDA are recorded as graphs and replayed.
    pub decode_graphs: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_tokens: 16_384,
            block_tokens: 32,
            step_tokens: 512,
            max_sequences: 128,
            share_prefixes: true,
            decode_graphs: true,
        }
    }
}

impl Options {
    /// These options with a cache that holds all of `requests` at once, if that is within `bytes`.
    pub fn with_cache_for(self, requests: &[Request], model: &Model, bytes: usize) -> Self {
        let config = model.config();
        let wanted: usize = requests
            .iter()
            .map(|request| {
                let new = request.max_tokens.min(config.max_positions);
                let each = new.saturating_add(request.prompt.len()) + self.block_tokens;
                each.saturating_mul(request.samples)
            })
            .fold(0, usize::saturating_add);
        let per_token = crate::memory::cache_bytes_per_token(config, &model.device()).max(1);
        let room = (bytes as u128 / per_token).try_into().unwrap_or(usize::MAX);
        Self { cache_tokens: wanted.min(room).max(self.block_tokens), ..self }
    }
}

/// What the engine has done and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Forward passes.
    pub steps: u64,
    /// Those among them that were replayed from a graph.
    pub replayed_steps: u64,
    /// Tokens that were computed, new ones and those that a preemption lost included.
    pub computed_tokens: u64,
    /// Tokens of prompts among them.
    pub prompt_tokens: u64,
    /// Prompt tokens that were not computed, as their keys were there.
    pub shared_tokens: u64,
    /// Tokens that were drawn.
    pub new_tokens: u64,
    /// Times a sequence gave up its blocks.
    pub preemptions: u64,
    /// Samples that ended.
    pub finished: u64,
    /// Samples that run and that wait.
    pub running: usize,
    /// See `running`.
    pub waiting: usize,
    /// Blocks that sequences own, and blocks in all.
    pub blocks_used: usize,
    /// See `blocks_used`.
    pub blocks: usize,
}

/// Continues prompts, many at a time.
pub struct Engine<'m> {
    model: &'m Model,
    options: Options,
    decode: Option<&'m dyn Decode>,
    packed: PackedWeights,
    cache: Cache,
    pool: BlockPool,
    workspace: Workspace,
    logits: Buffer,
    graphs: DecodeGraphs,
    /// Oldest first.
    running: Vec<Sequence>,
    waiting: VecDeque<Sequence>,
    /// Samples that ended and that nobody has taken yet.
    ready: VecDeque<Sample>,
    /// Samples of each request that nobody has taken yet.
    live: HashMap<u64, usize>,
    /// Whether a pass failed half-way, so that sequences and logits may not belong together.
    failed: bool,
    counters: Counters,
}

impl<'m> Engine<'m> {
    /// An engine for the model's weights as they are.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no room for cache or weights; [`Error::Setting`] for options that
    /// allow nothing.
    pub fn new(model: &'m Model, options: Options) -> Result<Self> {
        if options.step_tokens == 0 || options.max_sequences == 0 {
            let problem = "a step needs room for a token, and the engine for a sequence";
            return Err(Error::Setting(problem.into()));
        }
        let count = options.cache_tokens.div_ceil(options.block_tokens.max(1));
        Ok(Self {
            model,
            options,
            decode: None,
            packed: model.pack()?,
            cache: Cache::new(model.config(), &model.device(), count, options.block_tokens)?,
            pool: BlockPool::new(count),
            workspace: model.workspace(Keep::Nothing)?,
            logits: model.device().zeros_f32(&[0, model.config().vocab])?,
            graphs: DecodeGraphs::new(options.decode_graphs, options.max_sequences),
            running: Vec::new(),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            live: HashMap::new(),
            failed: false,
            counters: Counters { blocks: count, ..Counters::default() },
        })
    }

    /// The engine returns texts, and knows stop strings.
    #[must_use]
    pub fn with_text(mut self, decode: &'m dyn Decode) -> Self {
        self.decode = Some(decode);
        self
    }

    /// Takes a request in. It starts with the next steps.
    ///
    /// # Errors
    /// As [`Request::check`]; [`Error::Setting`] for an id that is at work already, or of which samples
    /// were not taken, and for stop strings without texts.
    pub fn submit(&mut self, request: Request) -> Result<()> {
        request.check(self.model.config())?;
        if self.decode.is_none() && !request.stop_strings.is_empty() {
            return Err(Error::Setting("stop strings need a tokenizer".into()));
        }
        if self.live.contains_key(&request.id) {
            let problem = format!("request {} is at work already, or not all taken", request.id);
            return Err(Error::Setting(problem));
        }
        self.live.insert(request.id, request.samples);
        let limit = request.limit(self.model.config());
        let mut first = Sequence::new(Arc::new(request), 0, limit);
        if self.decode.is_some() {
            first = first.with_text();
        }
        first.leads = true;
        self.waiting.push_back(first);
        Ok(())
    }

    /// Forgets a request, with its samples that nobody has taken, and frees what it holds; false if there
    /// is none of this id.
    pub fn cancel(&mut self, id: u64) -> bool {
        let (gone, kept) = self.running.drain(..).partition(|s| s.request.id == id);
        self.running = kept;
        let gone: Vec<Sequence> = gone;
        gone.into_iter().for_each(|mut sequence| sequence.release(&mut self.pool));
        self.waiting.retain(|sequence| sequence.request.id != id);
        self.ready.retain(|sample| sample.request != id);
        self.live.remove(&id).is_some()
    }

    /// Whether nothing is left: neither to do, nor to take.
    pub fn is_idle(&self) -> bool {
        self.is_done() && self.ready.is_empty()
    }

    fn is_done(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// The new tokens, and the text, of a sample that is at work.
    pub fn partial(&self, request: u64, sample: usize) -> Option<(&[u32], Option<&str>)> {
        let mut all = self.running.iter().chain(&self.waiting);
        let sequence = all.find(|s| s.request.id == request && s.sample == sample)?;
        Some((sequence.new_tokens(), sequence.text()))
    }

    /// What has been done so far.
    pub fn counters(&self) -> Counters {
        Counters {
            running: self.running.len(),
            waiting: self.waiting.iter().map(waiting_samples).sum(),
            blocks_used: self.pool.len() - self.pool.available(),
            ..self.counters
        }
    }

    /// One forward pass over some tokens of the running sequences; the samples that ended with it, after
    /// those that ended before and that nobody took.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the device fails; what has ended by then can still be taken, but the engine
    /// computes no more: [`Error::Setting`]. A request that cannot be served is no error: its sample
    /// ends with [`FinishReason::Error`], and the others go on.
    pub fn step(&mut self) -> Result<Vec<Sample>> {
        if !self.failed || self.ready.is_empty() {
            self.advance()?;
        }
        Ok(self.take(|_| true))
    }

    /// Runs until nothing is left; the samples as they end.
    pub fn finished(&mut self) -> Finished<'_, 'm> {
        Finished { engine: self, failed: false }
    }

    /// Continues all of `requests`; the samples in the order of requests. What was submitted before goes on
    /// meanwhile, and what ends of it stays for [`Engine::step`] and [`Engine::finished`].
    ///
    /// # Errors
    /// As [`Engine::submit`], before anything is computed; then as [`Engine::step`].
    pub fn run(&mut self, requests: Vec<Request>) -> Result<Vec<Sample>> {
        let order: Vec<u64> = requests.iter().map(|request| request.id).collect();
        for (taken, request) in requests.into_iter().enumerate() {
            if let Err(error) = self.submit(request) {
                for id in &order[..taken] {
                    self.cancel(*id);
                }
                return Err(error);
            }
        }
        let place: HashMap<u64, usize> =
            order.into_iter().enumerate().map(|(place, id)| (id, place)).collect();
        let is_own = |sequence: &Sequence| place.contains_key(&sequence.request.id);
        while self.running.iter().chain(&self.waiting).any(is_own) {
            self.advance()?;
        }
        let mut samples = self.take(|sample| place.contains_key(&sample.request));
        samples.sort_by_key(|sample| (place.get(&sample.request).copied(), sample.sample));
        Ok(samples)
    }

    /// Hands those over that are ready and that are asked for.
    fn take(&mut self, wanted: impl Fn(&Sample) -> bool) -> Vec<Sample> {
        let (taken, kept): (Vec<Sample>, Vec<Sample>) = self.ready.drain(..).partition(wanted);
        self.ready = kept.into();
        taken.iter().for_each(|sample| self.is_taken(sample.request));
        taken
    }

    fn is_taken(&mut self, id: u64) {
        if let Entry::Occupied(mut left) = self.live.entry(id) {
            *left.get_mut() -= 1;
            if *left.get() == 0 {
                left.remove();
            }
        }
    }

    /// One forward pass; what ends with it is ready then, also where it fails.
    fn advance(&mut self) -> Result<()> {
        if self.failed {
            let problem = "a pass of this engine failed, and it cannot go on; make another one";
            return Err(Error::Setting(problem.into()));
        }
        let mut finished = Vec::new();
        let plan = self.plan(&mut finished);
        let done = if plan.is_empty() {
            Ok(())
        } else {
            threads::awake(|| self.compute(&plan, &mut finished))
        };
        self.failed = done.is_err();
        self.counters.finished += finished.len() as u64;
        self.ready.extend(finished);
        done
    }

    /// How many tokens of each running sequence the next pass computes, from the oldest on.
    fn plan(&mut self, finished: &mut Vec<Sample>) -> Vec<usize> {
        let mut plan = Vec::new();
        let (mut budget, preempted) = (self.options.step_tokens, self.counters.preemptions);
        while plan.len() < self.running.len() && budget > 0 {
            let at = plan.len();
            let count = self.running[at].pending().min(budget);
            if self.make_room(at, count, finished) {
                plan.push(count);
                budget -= count;
            }
        }
        // Who has just been sent away must not come back for the blocks that were won by it.
        let admit = preempted == self.counters.preemptions;
        while admit && budget > 0 && self.running.len() < self.options.max_sequences {
            let Some(mut sequence) = self.waiting.pop_front() else { break };
            let tokens = self.options.block_tokens;
            let shared = if self.options.share_prefixes {
                sequence.find_prefix(&mut self.pool, tokens)
            } else {
                0
            };
            let count = sequence.pending().min(budget);
            if !sequence.reserve(&mut self.pool, sequence.computed + count, tokens) {
                sequence.release(&mut self.pool);
                if self.running.is_empty() {
                    finished.extend(self.refuse(sequence));
                    continue;
                }
                self.waiting.push_front(sequence);
                break;
            }
            self.counters.shared_tokens += shared.min(sequence.request.prompt.len()) as u64;
            self.running.push(sequence);
            plan.push(count);
            budget -= count;
        }
        plan
    }

    /// Finds room for `count` more keys of running sequence `at`, if need be at the expense of the
    /// youngest; false if that is itself.
    fn make_room(&mut self, at: usize, count: usize, finished: &mut Vec<Sample>) -> bool {
        loop {
            let sequence = &mut self.running[at];
            let tokens = sequence.computed + count;
            if sequence.reserve(&mut self.pool, tokens, self.options.block_tokens) {
                return true;
            }
            let youngest = self.running.len() - 1;
            let Some(mut victim) = self.running.pop() else { return false };
            victim.release(&mut self.pool);
            if youngest == 0 {
                finished.extend(self.refuse(victim));
                return false;
            }
            self.counters.preemptions += 1;
            self.waiting.push_front(victim);
            if youngest == at {
                return false;
            }
        }
    }

    /// Ends a sequence, and those that wait for it, that the whole cache has no room for.
    fn refuse(&self, sequence: Sequence) -> Vec<Sample> {
        let (len, room) = (sequence.tokens.len(), self.pool.len() * self.options.block_tokens);
        let problem = format!(
            "a sequence of {len} tokens and more does not fit the cache of {room}; give it more memory or \
             the request fewer tokens"
        );
        let limit = sequence.request.limit(self.model.config());
        let others = if sequence.leads { sequence.request.samples } else { 1 };
        let request = sequence.request.clone();
        let rest = (1..others).map(|sample| Sequence::new(request.clone(), sample, limit));
        let all = [sequence].into_iter().chain(rest);
        all.map(|sequence| sequence.finish(FinishReason::Error(problem.clone()), self.decode))
            .collect()
    }

    /// Runs the planned tokens and draws where a sequence's end is reached.
    fn compute(&mut self, plan: &[usize], finished: &mut Vec<Sample>) -> Result<()> {
        let mut step = StepBuilder::default();
        let mut rows = Vec::with_capacity(plan.len());
        for (sequence, count) in self.running.iter().zip(plan) {
            let range = sequence.computed..sequence.computed + count;
            let asked = range.end == sequence.tokens.len();
            rows.push(step.add(
                &sequence.tokens[range.clone()],
                range.start,
                &sequence.blocks,
                asked,
            ));
            let prompt = sequence.request.prompt.len();
            self.counters.prompt_tokens += (range.end.min(prompt) - range.start.min(prompt)) as u64;
            self.counters.computed_tokens += *count as u64;
        }
        let decodes =
            |(sequence, count): (&Sequence, &usize)| (*count, sequence.pending()) == (1, 1);
        let all_decode = self.running.iter().zip(plan).all(decodes);
        self.forward(step, all_decode)?;
        let (tokens, learn) = (self.options.block_tokens, self.options.share_prefixes);
        for (sequence, count) in self.running.iter_mut().zip(plan) {
            sequence.advance(*count, &mut self.pool, tokens, learn);
        }
        let rows = self.fork(rows)?;
        self.draw(&rows, finished)
    }

    /// One forward pass. A decode step computes the next token of every sequence in it and nothing else.
    fn forward(&mut self, step: StepBuilder, decodes: bool) -> Result<()> {
        self.counters.steps += 1;
        let Self { model, packed, cache, workspace, logits, .. } = self;
        let mut pass = Pass { model, packed, cache, workspace, logits };
        match self.model.device() {
            Device::Cuda(driver) if decodes => {
                let replayed = self.graphs.decode(&driver, step, pass)?;
                self.counters.replayed_steps += u64::from(replayed);
                Ok(())
            }
            device => pass.run(&step.build(&device)?),
        }
    }

    /// Where a prompt is done, lets the request's other samples share it. Each running sequence's row
    /// of the logits, theirs included.
    fn fork(&mut self, mut rows: Vec<Option<usize>>) -> Result<Vec<Option<usize>>> {
        for at in 0..rows.len() {
            let Some(row) = rows[at].filter(|_| self.running[at].leads) else { continue };
            self.running[at].leads = false;
            for sample in 1..self.running[at].request.samples {
                let leader = &self.running[at];
                let is_partial = !leader.computed.is_multiple_of(self.options.block_tokens);
                let partial = if is_partial { self.pool.take() } else { None };
                let full = self.running.len() >= self.options.max_sequences;
                if full || (is_partial && partial.is_none()) {
                    partial.into_iter().for_each(|block| self.pool.release(block));
                    let limit = leader.request.limit(self.model.config());
                    let mut alone = Sequence::new(leader.request.clone(), sample, limit);
                    if self.decode.is_some() {
                        alone = alone.with_text();
                    }
                    self.waiting.push_front(alone);
                    continue;
                }
                if let (Some(to), Some(from)) = (partial, leader.blocks.last()) {
                    self.cache.copy(*from, to)?;
                }
                self.counters.shared_tokens += leader.computed as u64;
                let fork = leader.fork(sample, &mut self.pool, partial);
                self.running.push(fork);
                rows.resize(self.running.len() - 1, None);
                rows.push(Some(row));
            }
        }
        Ok(rows)
    }

    /// Draws the next token of every sequence that has a row of the logits.
    fn draw(&mut self, rows: &[Option<usize>], finished: &mut Vec<Sample>) -> Result<()> {
        let drawing: Vec<(usize, usize)> =
            rows.iter().enumerate().filter_map(|(at, row)| Some((at, (*row)?))).collect();
        let draws: Vec<sample::Draw<'_>> =
            drawing.iter().map(|(at, row)| self.running[*at].draw(*row)).collect();
        let drawn = sample::draw(self.logits.view(), &draws)?;
        self.counters.new_tokens += drawn.len() as u64;
        let mut ended = vec![None; self.running.len()];
        for ((at, _), drawn) in drawing.into_iter().zip(drawn) {
            ended[at] = self.running[at].push(drawn, self.decode);
        }
        let running = std::mem::take(&mut self.running);
        for (mut sequence, reason) in running.into_iter().zip(ended) {
            match reason {
                None => self.running.push(sequence),
                Some(reason) => {
                    sequence.release(&mut self.pool);
                    finished.push(sequence.finish(reason, self.decode));
                }
            }
        }
        Ok(())
    }
}

/// Samples that a waiting sequence stands for.
fn waiting_samples(sequence: &Sequence) -> usize {
    if sequence.leads { sequence.request.samples } else { 1 }
}

/// The samples of an engine as they end, up to an error. Dropping it stops and loses nothing: what is left
/// can go on, and what ended can be taken, later.
pub struct Finished<'e, 'm> {
    engine: &'e mut Engine<'m>,
    failed: bool,
}

impl Finished<'_, '_> {
    /// What has been done so far.
    pub fn counters(&self) -> Counters {
        self.engine.counters()
    }
}

impl Iterator for Finished<'_, '_> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.engine.ready.is_empty() && !self.engine.is_done() && !self.failed {
            if let Err(error) = self.engine.advance() {
                self.failed = true;
                return Some(Err(error));
            }
        }
        let sample = self.engine.ready.pop_front()?;
        self.engine.is_taken(sample.request);
        Some(Ok(sample))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelConfig, generate::Sampling};

    fn model() -> Model {
        let text = br#"{"model_type": "qwen3", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 16,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}"#;
        let config = ModelConfig::parse("config.json".as_ref(), text).unwrap();
        Model::fresh(config, 1, Device::Cpu).unwrap()
    }

    #[test]
    fn after_a_pass_that_failed_half_way_nothing_is_computed_and_nothing_that_ended_is_lost() {
        let model = model();
        let options = Options { cache_tokens: 32, ..Options::default() };
        let request = |id, len| Request::greedy(id, vec![1; len], 4, model.config());
        let engine = || {
            let mut engine = Engine::new(&model, options).unwrap();
            // The first never fits, and ends before anything is drawn; the draw of the second fails.
            engine.submit(request(1, 40)).unwrap();
            engine.submit(request(2, 3)).unwrap();
            let sampling = Sampling::at(f32::NAN);
            engine.waiting[1].request = Arc::new(Request { sampling, ..request(2, 3) });
            engine
        };
        let refused = "a pass of this engine failed";
        let mut stepped = engine();
        assert!(matches!(stepped.step().unwrap_err(), Error::Kernel(_)));
        let samples = stepped.step().unwrap();
        assert_eq!((samples.len(), samples[0].request), (1, 1));
        for _ in 0..2 {
            assert!(stepped.step().unwrap_err().to_string().contains(refused));
        }
        assert!(!stepped.is_idle());
        let mut iterated = engine();
        let all: Vec<Result<Sample>> = iterated.finished().collect();
        assert!(matches!(all[..], [Err(Error::Kernel(_)), Ok(Sample { request: 1, .. })]));
        let again: Vec<Result<Sample>> = iterated.finished().collect();
        assert!(matches!(&again[..], [Err(error)] if error.to_string().contains(refused)));
        let said = iterated.run(vec![request(3, 3)]).unwrap_err().to_string();
        assert!(said.contains(refused), "{said}");
    }
}
