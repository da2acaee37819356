//! Batched generation against the plain way: the whole sequence again for every token.

use infuser_kernels::{Device, ops::sample, rng::Stream, testing::on_threads};
use infuser_model::{
    Batch, BatchBuilder, Keep, Model, ModelConfig, checkpoint,
    generate::{Decode, Engine, FinishReason, Options, Request, Sample, Sampling},
};
use proptest::prelude::*;

use crate::fixtures::fixture;

/// Vocabulary of all of these.
const VOCAB: usize = 96;

const MODELS: [&str; 4] = ["qwen3_tied", "llama3", "olmo2", "qwen3_swa"];

/// A small model, with more positions than it was made for, so that sequences can cross tiles of keys.
fn model(name: &str) -> Model {
    let model = checkpoint::load(&fixture("models").join(name), Device::Cpu).unwrap();
    let config = ModelConfig { max_positions: 1024, ..model.config().clone() };
    Model::new(config, model.weights().copy().unwrap()).unwrap()
}

fn prompt(seed: u64, len: usize, vocab: usize) -> Vec<u32> {
    let stream = Stream::new(seed);
    (0..len as u64).map(|i| (stream.bits(i) % vocab as u64) as u32).collect()
}

fn random(temperature: f32) -> Sampling {
    Sampling::Random { temperature, top_k: Some(40), top_p: 0.95, min_p: 0.01 }
}

/// All samples of a request, each token from a forward pass over the whole sequence so far.
fn plainly(model: &Model, request: &Request) -> Vec<Sample> {
    let mut workspace = model.workspace(Keep::Everything).unwrap();
    (0..request.samples)
        .map(|number| {
            let stream = Stream::new(request.seed).child(request.id).child(number as u64);
            let mut sequence = request.prompt.clone();
            let mut sample = Sample {
                request: request.id,
                sample: number,
                tokens: Vec::new(),
                logprobs: Vec::new(),
                raw_logprobs: Vec::new(),
                entropies: Vec::new(),
                text: None,
                finish_reason: FinishReason::Length,
            };
            while sample.tokens.len() < request.max_tokens
                && sequence.len() < model.config().max_positions
            {
                let batch = Batch::sequences(Device::Cpu, &[&sequence]).unwrap();
                let last = batch.with_output_rows(vec![sequence.len() as u32 - 1]).unwrap();
                let logits = model.logits(&last, &mut workspace).unwrap();
                let draw = sample::Draw {
                    row: 0,
                    sampling: request.sampling,
                    uniform: sample::Uniform::Of(stream, sample.tokens.len() as u64),
                    penalty: request.repetition_penalty.map(|penalty| (penalty, &sequence[..])),
                };
                let drawn = sample::draw(logits.view(), &[draw]).unwrap()[0];
                sequence.push(drawn.token);
                sample.tokens.push(drawn.token);
                sample.logprobs.push(drawn.logp);
                sample.raw_logprobs.push(drawn.raw_logp);
                if request.entropy {
                    sample.entropies.push(drawn.entropy);
                }
                if request.stop_tokens.contains(&drawn.token) {
                    sample.finish_reason = FinishReason::Stop;
                    break;
                }
            }
            sample
        })
        .collect()
}

/// Requests, some of which begin with the same tokens.
fn requests(vocab: usize) -> impl Strategy<Value = Vec<Request>> {
    let one = (1..90usize, 0..3usize, 1..4usize, 1..40usize, 0..4u8, any::<bool>(), 0..1000u64);
    prop::collection::vec(one, 1..7).prop_map(move |all| {
        let request = |(id, (len, heads, samples, max_tokens, kind, entropy, seed))| {
            // The head of a prompt is shared with all that have as many; its rest is its own.
            let mut tokens = prompt(1, 33 * heads, vocab);
            tokens.extend(prompt(1000 + seed, len, vocab));
            Request {
                id,
                prompt: tokens,
                samples,
                sampling: if kind == 0 { Sampling::Greedy } else { random(0.5 + f32::from(kind)) },
                repetition_penalty: (kind == 3).then_some(1.3),
                max_tokens,
                stop_tokens: prompt(seed, 12, vocab),
                stop_strings: Vec::new(),
                entropy,
                seed,
            }
        };
        (0..).zip(all).map(request).collect()
    })
}

fn options() -> impl Strategy<Value = Options> {
    (0..4usize, 1..4usize, 1..150usize, 1..9usize, any::<bool>()).prop_map(
        |(spare, units, step_tokens, max_sequences, share_prefixes)| Options {
            // Filled in once the longest sequence is known; this much more than it.
            cache_tokens: 100 * spare,
            block_tokens: 32 * units,
            step_tokens,
            max_sequences,
            share_prefixes,
            ..Options::default()
        },
    )
}

fn longest(requests: &[Request]) -> usize {
    requests.iter().map(|request| request.prompt.len() + request.max_tokens).max().unwrap_or(0)
}

/// Runs the requests, each submitted at its step, in one engine that must end empty.
fn mixed(model: &Model, options: Options, requests: &[Request], arrivals: &[usize]) -> Vec<Sample> {
    let mut engine = Engine::new(model, options).unwrap();
    let mut samples = Vec::new();
    let mut step = 0;
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|i| arrivals[*i]);
    let mut next = order.into_iter().peekable();
    while next.peek().is_some() || !engine.is_idle() {
        while let Some(i) = next.next_if(|i| arrivals[*i] <= step || engine.is_idle()) {
            engine.submit(requests[i].clone()).unwrap();
        }
        samples.extend(engine.step().unwrap());
        step += 1;
    }
    let counters = engine.counters();
    assert_eq!((counters.blocks_used, counters.running, counters.waiting), (0, 0, 0));
    assert_eq!(counters.finished as usize, samples.len());
    samples.sort_by_key(|sample| (sample.request, sample.sample));
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever else is in the engine, and whatever it is given to work with.
    #[test]
    fn a_request_gets_what_it_gets_alone(
        name in prop::sample::select(MODELS.to_vec()),
        requests in requests(VOCAB),
        options in options(),
        arrivals in prop::collection::vec(0..30usize, 7),
        threads in 1..4usize,
    ) {
        let model = model(name);
        let cache_tokens = longest(&requests) + options.cache_tokens;
        let options = Options { cache_tokens, ..options };
        let want: Vec<Sample> = requests.iter().flat_map(|request| plainly(&model, request)).collect();
        let got = on_threads(threads, || mixed(&model, options, &requests, &arrivals));
        prop_assert_eq!(got, want);
    }

    /// A cache that is too small for some: they say so, with what they have, and the others go on.
    #[test]
    fn what_never_fits_ends_alone(
        requests in requests(VOCAB),
        options in options(),
        arrivals in prop::collection::vec(0..30usize, 7),
    ) {
        let model = model("qwen3_tied");
        let options = Options { cache_tokens: longest(&requests) * 2 / 3, ..options };
        let got = mixed(&model, options, &requests, &arrivals);
        let want: Vec<Sample> = requests.iter().flat_map(|request| plainly(&model, request)).collect();
        prop_assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(&want) {
            if let FinishReason::Error(problem) = &got.finish_reason {
                prop_assert!(problem.contains("does not fit the cache"), "{}", problem);
                prop_assert!(want.tokens.starts_with(&got.tokens));
                prop_assert!(got.tokens.len() < want.tokens.len());
            } else {
                prop_assert_eq!(got, want);
            }
        }
    }
}

#[test]
fn tiny_caches_preempt_and_lose_nothing() {
    let model = model("qwen3_tied");
    let request = |id| Request {
        samples: 2,
        sampling: Sampling::at(1.0),
        stop_tokens: Vec::new(),
        ..Request::greedy(id, prompt(id, 20 + id as usize, VOCAB), 60, model.config())
    };
    let requests: Vec<Request> = (0..8).map(request).collect();
    let options = Options { cache_tokens: 256, ..Options::default() };
    let mut engine = Engine::new(&model, options).unwrap();
    let samples = engine.run(requests.clone()).unwrap();
    assert!(engine.counters().preemptions > 5, "{:?}", engine.counters());
    let want: Vec<Sample> = requests.iter().flat_map(|request| plainly(&model, request)).collect();
    assert_eq!(samples, want);
}

/// What training computes of what was sampled: the importance weights of one step are exactly 1.
#[test]
fn log_probabilities_are_those_of_the_training_pass() {
    let mut worst = 0.0f32;
    let mut count = 0;
    for (name, temperature) in MODELS.into_iter().flat_map(|name| [(name, 1.0), (name, 0.7)]) {
        let model = model(name);
        let request = |id| Request {
            samples: 5,
            sampling: Sampling::at(temperature),
            entropy: true,
            ..Request::greedy(id, prompt(id, 7 + 50 * id as usize, VOCAB), 30, model.config())
        };
        let requests: Vec<Request> = (0..3).map(request).collect();
        let mut engine = Engine::new(&model, Options::default()).unwrap();
        let samples = engine.run(requests.clone()).unwrap();
        let mut builder = BatchBuilder::default();
        let prompts: Vec<_> = requests.iter().map(|r| builder.prompt(&r.prompt)).collect();
        let numbers: Vec<usize> = samples
            .iter()
            .map(|sample| builder.response(&prompts[sample.request as usize], &sample.tokens))
            .collect();
        let batch = builder.build(Device::Cpu).unwrap();
        let mut workspace = model.workspace(Keep::Everything).unwrap();
        model.forward(&batch, temperature, &mut workspace).unwrap();
        let (logp, entropy) = (workspace.logp().unwrap(), workspace.entropy().unwrap());
        for (sample, number) in samples.iter().zip(numbers) {
            let rows = batch.sequence(number);
            let trained = logp[rows.clone()].iter().chain(&entropy[rows]);
            for (rolled, trained) in sample.logprobs.iter().chain(&sample.entropies).zip(trained) {
                worst = worst.max((rolled - trained).abs());
                count += 1;
            }
        }
    }
    println!("largest difference between engine and training pass over {count} values: {worst:e}");
    assert!(count > 2000);
    assert_eq!(worst, 0.0);
}

#[test]
fn samples_of_one_prompt_compute_it_once() {
    let model = model("qwen3_tied");
    let request = Request {
        samples: 8,
        sampling: Sampling::at(1.0),
        stop_tokens: Vec::new(),
        ..Request::greedy(3, prompt(1, 203, VOCAB), 5, model.config())
    };
    let mut engine = Engine::new(&model, Options::default()).unwrap();
    let samples = engine.run(vec![request.clone()]).unwrap();
    let counters = engine.counters();
    assert_eq!((samples.len(), counters.prompt_tokens), (8, 203));
    // Each sample feeds four of its five tokens back.
    assert_eq!(counters.computed_tokens, 203 + 8 * 4);
    assert_eq!(counters.shared_tokens, 7 * 203);
    // The same head again: its six full blocks are still there.
    let again = Request { id: 4, samples: 1, ..request };
    engine.run(vec![again]).unwrap();
    assert_eq!(engine.counters().prompt_tokens - counters.prompt_tokens, 203 - 6 * 32);
}

#[test]
fn a_request_that_is_dropped_frees_its_blocks() {
    let model = model("qwen3_tied");
    let options = Options { max_sequences: 6, step_tokens: 40, ..Options::default() };
    let mut engine = Engine::new(&model, options).unwrap();
    let request = |id| Request {
        samples: 4,
        sampling: Sampling::at(1.0),
        stop_tokens: Vec::new(),
        ..Request::greedy(id, prompt(id, 50, VOCAB), 40, model.config())
    };
    for id in 0..3 {
        engine.submit(request(id)).unwrap();
    }
    for _ in 0..9 {
        assert!(engine.step().unwrap().is_empty());
    }
    assert!(engine.partial(1, 0).is_some());
    assert!(engine.counters().waiting > 0 && engine.counters().blocks_used > 0);
    assert!(engine.submit(request(1)).unwrap_err().to_string().contains("request 1 is at work"));
    assert!(engine.cancel(0) && engine.cancel(1) && !engine.cancel(1) && !engine.cancel(9));
    assert!(engine.partial(1, 0).is_none());
    let samples: Vec<Sample> = engine.finished().map(Result::unwrap).collect();
    assert_eq!(samples.len(), 4);
    assert!(samples.iter().all(|sample| sample.request == 2));
    assert!(!engine.cancel(2) && engine.counters().blocks_used == 0);
    // A cancelled id can be used again, and gets what it always gets.
    let mut again = engine.run(vec![request(0)]).unwrap();
    again.sort_by_key(|sample| sample.sample);
    assert_eq!(again, plainly(&model, &request(0)));
}

/// A request of `max_tokens` tokens that nothing ends before.
fn of_length(model: &Model, id: u64, samples: usize, max_tokens: usize) -> Request {
    Request {
        samples,
        sampling: Sampling::at(1.0),
        stop_tokens: Vec::new(),
        ..Request::greedy(id, prompt(id, 9, VOCAB), max_tokens, model.config())
    }
}

fn sorted(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.sort_by_key(|sample| (sample.request, sample.sample));
    samples
}

#[test]
fn what_ended_waits_until_it_is_taken() {
    let model = model("qwen3_tied");
    let request = |id| of_length(&model, id, 2, 4);
    let plain = |id| plainly(&model, &request(id));
    let mut engine = Engine::new(&model, Options::default()).unwrap();
    for id in 0..3 {
        engine.submit(request(id)).unwrap();
    }
    // All end in one step; one is taken, the iterator dropped, and something else asked for.
    let first = engine.finished().next().unwrap().unwrap();
    assert_eq!((first.request, engine.counters().finished), (0, 6));
    assert_eq!((engine.counters().running, engine.is_idle()), (0, false));
    let said = engine.submit(request(1)).unwrap_err().to_string();
    assert!(said.contains("request 1 is at work already, or not all taken"), "{said}");
    assert!(engine.cancel(2) && !engine.cancel(2));
    engine.submit(request(3)).unwrap();
    let second = engine.finished().next().unwrap().unwrap();
    // A step hands over what was ready before it, and computes.
    let steps = engine.counters().steps;
    let taken = [vec![first, second], engine.step().unwrap()].concat();
    assert_eq!(sorted(taken), [plain(0), plain(1)].concat());
    assert_eq!(engine.counters().steps, steps + 1);
    engine.submit(request(0)).unwrap();
    let rest: Vec<Sample> = engine.finished().map(Result::unwrap).collect();
    assert_eq!(sorted(rest), [plain(0), plain(3)].concat());
    assert!(engine.is_idle() && engine.step().unwrap().is_empty());
    assert_eq!(engine.counters().blocks_used, 0);
}

#[test]
fn a_run_returns_its_own_samples_and_leaves_those_of_others() {
    let model = model("qwen3_tied");
    let [long, short, own, other] = [(0, 40), (7, 3), (5, 9), (3, 6)]
        .map(|(id, max_tokens)| of_length(&model, id, 2, max_tokens));
    let options = Options { max_sequences: 7, ..Options::default() };
    let mut engine = Engine::new(&model, options).unwrap();
    engine.submit(long.clone()).unwrap();
    engine.submit(short.clone()).unwrap();
    let plain = |request| plainly(&model, request);
    let samples = engine.run(vec![own.clone(), other.clone()]).unwrap();
    assert_eq!(samples, [plain(&own), plain(&other)].concat());
    assert!(!engine.is_idle() && engine.partial(0, 0).is_some() && engine.partial(7, 0).is_none());
    // Those of the short one ended meanwhile: they are there before anything else is computed.
    let steps = engine.counters().steps;
    let taken = engine.finished().take(2).collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!((sorted(taken), engine.counters().steps), (plain(&short), steps));
    let rest = engine.finished().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(sorted(rest), plain(&long));
    assert!(engine.is_idle());
}

/// A token is a letter.
struct Letters;

impl Decode for Letters {
    fn decode(&self, tokens: &[u32]) -> Option<String> {
        Some(tokens.iter().map(|token| char::from(b'a' + (token % 26) as u8)).collect())
    }
}

#[test]
fn stop_strings_end_a_sample_before_them() {
    let model = model("qwen3_tied");
    let base = Request {
        sampling: Sampling::at(1.5),
        stop_tokens: Vec::new(),
        ..Request::greedy(0, prompt(1, 5, VOCAB), 60, model.config())
    };
    let run = |request: &Request| {
        let mut engine = Engine::new(&model, Options::default()).unwrap().with_text(&Letters);
        engine.run(vec![request.clone()]).unwrap().remove(0)
    };
    let whole = run(&base);
    let text = whole.text.unwrap();
    assert_eq!((text.len(), &whole.finish_reason), (60, &FinishReason::Length));
    let stop = text[20..23].to_owned();
    let at = text.find(&stop).unwrap();
    let stopped = run(&Request { stop_strings: vec!["12".into(), stop], ..base.clone() });
    assert_eq!(stopped.text.as_deref(), Some(&text[..at]));
    assert_eq!((stopped.tokens.len(), stopped.finish_reason), (at + 3, FinishReason::Stop));
    let mut engine = Engine::new(&model, Options::default()).unwrap();
    let error = engine.run(vec![Request { stop_strings: vec!["x".into()], ..base }]).unwrap_err();
    assert!(error.to_string().contains("stop strings need a tokenizer"));
    assert!(engine.is_idle());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let model = model("qwen3_tied");
    let good = Request::greedy(0, vec![1], 4, model.config());
    let positions = model.config().max_positions;
    let table = [
        (Request { prompt: vec![], ..good.clone() }, "without tokens"),
        (Request { prompt: vec![96], ..good.clone() }, "token 96 is outside"),
        (Request { prompt: vec![1; positions], ..good.clone() }, "leaves no room"),
        (Request { samples: 0, ..good.clone() }, "at least 1"),
        (Request { max_tokens: 0, ..good.clone() }, "at least 1"),
        (Request { sampling: Sampling::at(0.0), ..good.clone() }, "temperature 0 is not above 0"),
        (Request { repetition_penalty: Some(0.0), ..good.clone() }, "penalty 0"),
        (Request { stop_strings: vec![String::new()], ..good.clone() }, "empty stop string"),
    ];
    for (request, says) in table {
        let error = request.check(model.config()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    // The last position can still be drawn.
    let last = Request { prompt: vec![1; positions - 1], max_tokens: 9, ..good };
    let options = Options { cache_tokens: positions, ..Options::default() };
    let samples = Engine::new(&model, options).unwrap().run(vec![last]).unwrap();
    assert_eq!((samples[0].tokens.len(), &samples[0].finish_reason), (1, &FinishReason::Length));
    for options in [
        Options { step_tokens: 0, ..options },
        Options { max_sequences: 0, ..options },
        Options { block_tokens: 33, ..options },
        Options { block_tokens: 0, ..options },
    ] {
        assert!(Engine::new(&model, options).is_err());
    }
}
