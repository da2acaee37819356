//! `infuser generate`.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use infuser_data::order::digest;
use infuser_model::{
    ModelConfig, checkpoint,
    generate::{Engine, FinishReason, Options, Request, Sample},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    args::Generate,
    device,
    encoder::{Decoder, Encoder},
    failure::Failure,
    jsonl::{Output, Sequence, read_sequences},
    report::progress,
    say::say,
};

#[derive(Serialize)]
struct Line<'a> {
    id: &'a Value,
    sample: usize,
    tokens: &'a [u32],
    logprobs: &'a [f32],
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_logprobs: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entropy: Option<&'a [f32]>,
    finish_reason: &'static str,
    /// Why a sample could not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
    /// If the model has a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

pub(crate) fn run(args: &Generate) -> Result<(), Failure> {
    let config = ModelConfig::read(&args.model)?;
    let request = args.decoding.request(&config, args.max_tokens)?;
    let encoder = Encoder::open(&args.model, args.chat)?;
    let sequences = read_sequences(&args.input, &config, &encoder, 1)?;
    let (names, requests) = requests(sequences, &request, args);
    let model = checkpoint::load(&args.model, device::open(args.on)?)?;
    let options = Options::default().with_cache_for(&requests, &model, args.decoding.cache_bytes());
    let mut engine = Engine::new(&model, options)?;
    let decoder = encoder.tokenizer().map(Decoder);
    if let Some(decoder) = &decoder {
        engine = engine.with_text(decoder);
    }
    let order: Vec<u64> = requests.iter().map(|request| request.id).collect();
    for request in requests {
        engine.submit(request)?;
    }
    let mut output = Output::open(args.output.as_deref())?;
    let failed = write(&mut engine, &order, &names, args, &mut output)?;
    output.finish()?;
    if let Some(note) = device::graph_note(&model.device()) {
        say(&note);
    }
    match failed {
        0 => Ok(()),
        _ => {
            Err(Failure::stopped(format!("{failed} samples could not go on; see their `problem`")))
        }
    }
}

/// The lines' ids, and a request for each line. The engine's id, which keys the draws, comes from the
/// line's own: the order of the lines changes nothing.
fn requests(
    sequences: Vec<Sequence>,
    settings: &Request,
    args: &Generate,
) -> (HashMap<u64, Value>, Vec<Request>) {
    let (mut names, mut requests) = (HashMap::new(), Vec::new());
    let mut seen: HashMap<String, u64> = HashMap::new();
    for Sequence { id, tokens } in sequences {
        let times = seen.entry(id.to_string()).or_default();
        let key = digest(&[b"generate", id.to_string().as_bytes(), &times.to_le_bytes()]);
        *times += 1;
        requests.push(Request {
            id: key,
            prompt: tokens,
            samples: args.samples,
            entropy: args.details,
            ..settings.clone()
        });
        names.insert(key, id);
    }
    (names, requests)
}

/// Writes the samples in the order of the lines; how many of them failed.
fn write(
    engine: &mut Engine<'_>,
    order: &[u64],
    names: &HashMap<u64, Value>,
    args: &Generate,
    output: &mut Output,
) -> Result<usize, Failure> {
    let bar = progress(order.len() * args.samples, "samples");
    let started = Instant::now();
    let mut early: HashMap<u64, Vec<Sample>> = HashMap::new();
    let mut next: VecDeque<u64> = order.iter().copied().collect();
    let mut failed = 0;
    while !engine.is_idle() {
        for sample in engine.step()? {
            bar.inc(1);
            failed += usize::from(matches!(sample.finish_reason, FinishReason::Error(_)));
            early.entry(sample.request).or_default().push(sample);
        }
        let counters = engine.counters();
        let rate = counters.new_tokens as f64 / started.elapsed().as_secs_f64().max(1e-9);
        let cache = 100 * counters.blocks_used / counters.blocks.max(1);
        let (running, waiting) = (counters.running, counters.waiting);
        bar.set_message(format!(
            "{rate:.0} tokens/s, {running} running, {waiting} waiting, cache {cache} %"
        ));
        while let Some(id) = next.front()
            && early.get(id).is_some_and(|samples| samples.len() == args.samples)
        {
            let mut samples = early.remove(id).unwrap_or_default();
            samples.sort_by_key(|sample| sample.sample);
            for sample in &samples {
                output.line(&line(sample, &names[id], args))?;
            }
            next.pop_front();
        }
    }
    bar.finish_and_clear();
    Ok(failed)
}

fn line<'a>(sample: &'a Sample, id: &'a Value, args: &Generate) -> Line<'a> {
    let problem = match &sample.finish_reason {
        FinishReason::Error(problem) => Some(problem.as_str()),
        _ => None,
    };
    Line {
        id,
        sample: sample.sample,
        tokens: &sample.tokens,
        logprobs: &sample.logprobs,
        raw_logprobs: args.details.then_some(&sample.raw_logprobs),
        entropy: args.details.then_some(&sample.entropies),
        finish_reason: sample.finish_reason.name(),
        problem,
        text: sample.text.as_deref(),
    }
}
