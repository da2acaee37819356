//! Times whole models in the shapes of Qwen3 on a GPU, random weights, and prints a JSON line each.
//!
//! `gpu_step [train|decode] [--model 0.6B|1.7B|8B] [--sequences 8] [--length 1024] [--steps 8]
//! [--new 64]`: training steps (forward, backward, AdamW) with their share of the products' own rate, and
//! decoding of 1, 16, 64 and 256 sequences with its share of what memory allows. A model whose optimizer
//! finds no room is timed without it. With neither word both, with no name all three.

use std::{env, error::Error, process::ExitCode, time::Instant};

use infuser_benches::{
    gpu::{Card, median, values},
    model::{multiplied, pass_flops},
};
use infuser_kernels::{Arena, rng::Stream};
use infuser_model::{
    Accumulate, Batch, Keep, Layout, Model, ModelConfig, OutputGradient, Tensors,
    generate::{Counters, Engine, Options, Request},
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Name, width, feed-forward width, layers, heads, and whether the head shares the embedding table. All
/// have 8 key heads, heads of 128 lanes and 151936 tokens.
const SHAPES: [(&str, usize, usize, usize, usize, bool); 3] = [
    ("0.6B", 1024, 3072, 28, 16, true),
    ("1.7B", 2048, 6144, 28, 16, true),
    ("8B", 4096, 12288, 36, 32, false),
];
const BATCHES: [usize; 4] = [1, 16, 64, 256];
/// Tokens of a prompt before what is decoded.
const PROMPT: usize = 128;
/// Tokens of a pass, at most: the prompts of 256 sequences take five, in which the first decode already.
const STEP_TOKENS: usize = 8192;
/// New tokens of a run that is subtracted: after five passes a step of all sequences is recorded, and replayed.
const SHORT: usize = 8;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let Some(card) = Card::open()? else { return Ok(()) };
    let word = env::args().nth(1).filter(|word| !word.starts_with("--"));
    let wants = |name: &str| word.as_deref().is_none_or(|word| word == name);
    if !wants("train") && !wants("decode") {
        return Err("the first word is `train`, `decode` or left out".into());
    }
    let named = text("--model")?;
    if let Some(name) = named.as_ref().filter(|name| SHAPES.iter().all(|s| s.0 != **name)) {
        return Err(format!("--model {name}: expected 0.6B, 1.7B or 8B").into());
    }
    for shape in SHAPES.iter().filter(|shape| named.as_ref().is_none_or(|name| shape.0 == name)) {
        let config = config(shape)?;
        let params = Layout::new(&config).elements();
        let print = |line: Outcome<Value>, kind: &str| {
            // One that finds no room says so, and the others go on.
            let line = line.unwrap_or_else(|error| json!({"error": error.to_string()}));
            let mut whole = json!({
                "bench": kind, "model": shape.0, "params": params as u64, "gpu": card.name,
            });
            let fields = line.as_object().into_iter().flatten();
            fields.for_each(|(key, value)| whole[key] = value.clone());
            println!("{whole}");
        };
        if wants("train") {
            let full = train(&card, &config, true);
            let short = full.is_err();
            print(full, "gpu_train_step");
            if short {
                print(train(&card, &config, false), "gpu_train_step");
            }
        }
        if wants("decode") {
            let model = build(&card, &config)?;
            BATCHES.iter().for_each(|batch| print(decode(&card, &model, *batch), "gpu_decode"));
        }
    }
    Ok(())
}

fn text(name: &str) -> Outcome<Option<String>> {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().position(|argument| argument == name) {
        None => Ok(None),
        Some(at) => {
            Ok(Some(arguments.get(at + 1).ok_or(format!("{name} without a value"))?.clone()))
        }
    }
}

fn option(name: &str, default: usize) -> Outcome<usize> {
    text(name)?.map_or(Ok(default), |value| {
        value.parse().map_err(|_| format!("{name} {value}: expected a number").into())
    })
}

fn config(shape: &(&str, usize, usize, usize, usize, bool)) -> Outcome<ModelConfig> {
    let (name, width, ffn, layers, heads, tied) = *shape;
    let config = json!({
        "model_type": "qwen3", "vocab_size": 151_936, "hidden_size": width,
        "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40_960,
        "rope_theta": 1e6, "tie_word_embeddings": tied,
    });
    Ok(ModelConfig::parse(name.as_ref(), config.to_string().as_bytes())?)
}

/// Normal weights of the usual size, on the GPU.
fn build(card: &Card, config: &ModelConfig) -> Outcome<Model> {
    let layout = Layout::new(config);
    let mut weights = Tensors::zero_weights(&layout, card.device.clone())?;
    for (id, param) in layout.iter() {
        let elements = param.axes.iter().product();
        let values = match param.axes.len() {
            1 => vec![1.0; elements],
            _ => values(id.index() as u64, elements).iter().map(|x| 0.02 * x).collect(),
        };
        weights[id].copy_from_f32(&values)?;
    }
    Ok(Model::new(config.clone(), weights)?)
}

fn tokens(vocab: usize, seed: u64, count: usize) -> Vec<u32> {
    let stream = Stream::new(seed);
    (0..count as u64).map(|i| (stream.bits(i) % vocab as u64) as u32).collect()
}

/// The most bytes that each arena held since the peaks were reset, and all together.
fn peaks(card: &Card) -> Value {
    let memory = card.device.memory_use().unwrap_or_default();
    let arenas = Arena::ALL.map(|arena| (arena.name(), memory.of(arena)));
    let all = arenas.into_iter().chain([("total", memory.total())]);
    all.map(|(name, held)| (name.to_owned(), Value::from(held.peak_bytes))).collect()
}

fn train(card: &Card, config: &ModelConfig, with_optimizer: bool) -> Outcome<Value> {
    card.reset_memory_peaks();
    let (sequences, length) = (option("--sequences", 8)?, option("--length", 1024)?);
    let (steps, warmup) = (option("--steps", 8)?, 3);
    let mut model = build(card, config)?;
    let settings = OptimizerSettings {
        adamw: AdamW { learning_rate: 1e-5, ..OptimizerSettings::default().adamw },
        schedule: Schedule::Constant { warmup_steps: 0 },
        max_norm: Some(1.0),
    };
    let mut optimizer = match with_optimizer {
        true => Some(Optimizer::new(model.layout(), card.device.clone(), settings)?),
        false => None,
    };
    let mut gradients = Tensors::zeros(model.layout(), card.device.clone())?;
    let mut workspace = model.workspace(Keep::BlockInputs)?;
    let mut times = Vec::new();
    for step in 0..(warmup + steps.max(1)) as u64 {
        let rows: Vec<Vec<u32>> =
            (0..sequences as u64).map(|i| tokens(config.vocab, step * 1000 + i, length)).collect();
        let batch = Batch::sequences(card.device.clone(), &rows)?;
        let dlogp = vec![-1.0 / batch.outputs() as f32; batch.outputs()];
        times.push(card.gpu.seconds(|| -> infuser_model::Result<()> {
            model.forward(&batch, 1.0, &mut workspace)?;
            gradients.clear()?;
            let gradient = OutputGradient { logp: &dlogp, entropy: None };
            let sink = &mut Accumulate::new(&mut gradients);
            model.backward(&batch, gradient, &mut workspace, sink)?;
            if let Some(optimizer) = &mut optimizer {
                optimizer.step(model.weights_mut(), &gradients)?;
            }
            Ok(())
        })?);
    }
    let seconds = median(&times[warmup..]);
    let tflops = pass_flops(&model, sequences, length) / seconds / 1e12;
    Ok(json!({
        "optimizer": with_optimizer, "sequences": sequences, "length": length, "step_s": seconds,
        "tokens_per_s": (sequences * length) as f64 / seconds, "tflops": tflops,
        "gemm_tflops": card.gemm_tflops, "mfu_of_gemm": tflops / card.gemm_tflops,
        "recompute": true, "workspace_bytes": workspace.size_bytes(), "peak_bytes": peaks(card),
    }))
}

/// Seconds that a fresh engine takes for `new` tokens of each of `batch` prompts, and what it did.
fn generate(model: &Model, batch: usize, new: usize) -> Outcome<(f64, Counters)> {
    let config = model.config();
    let request = |id: u64| Request {
        stop_tokens: Vec::new(),
        ..Request::greedy(id, tokens(config.vocab, 7 + id, PROMPT), new, config)
    };
    let requests: Vec<Request> = (0..batch as u64).map(request).collect();
    let options = Options { step_tokens: STEP_TOKENS, max_sequences: batch, ..Options::default() };
    let mut engine = Engine::new(model, options.with_cache_for(&requests, model, 24 << 30))?;
    let start = Instant::now();
    engine.run(requests)?;
    Ok((start.elapsed().as_secs_f64(), engine.counters()))
}

/// Seconds of a decode step, host and all, how many steps that is the mean of, and how many of those were
/// replayed from a graph: what a long run has less what a short one has, so that neither the prompts nor the
/// recording of a step is counted. Only where `new` tokens lead to a larger shape is that recorded within.
fn decode_steps(model: &Model, batch: usize, new: usize) -> Outcome<(f64, u64, u64)> {
    let (long, all) = generate(model, batch, SHORT + new)?;
    let (short, before) = generate(model, batch, SHORT)?;
    let steps = all.steps - before.steps;
    Ok(((long - short) / steps as f64, steps, all.replayed_steps - before.replayed_steps))
}

/// Decoding of `batch` sequences, all of them at once.
fn decode(card: &Card, model: &Model, batch: usize) -> Outcome<Value> {
    let new = option("--new", 64)?.max(1);
    card.reset_memory_peaks();
    generate(model, batch, SHORT)?;
    let runs: Vec<_> = (0..3).map(|_| decode_steps(model, batch, new)).collect::<Outcome<_>>()?;
    let (_, steps, replayed) = runs[0];
    let times: Vec<f64> = runs.iter().map(|(seconds, ..)| *seconds).collect();
    let seconds = median(&times);
    let config = model.config();
    let per_token = 2.0 * 2.0 * (config.layers.len() * config.kv_heads * config.head_width) as f64;
    let seen = (PROMPT + SHORT + new / 2) as f64;
    // A step reads every weight once, and the keys and values of every sequence so far.
    let bytes = 2.0 * multiplied(model) + batch as f64 * seen * per_token;
    let rate = bytes / seconds / 1e9;
    Ok(json!({
        "batch": batch, "prompt": PROMPT, "new": new, "step_s": seconds, "steps": steps,
        "replayed_steps": replayed, "tokens_per_s": batch as f64 / seconds,
        "bytes_per_step": bytes, "gbytes_per_s": rate,
        "copy_gbytes_per_s": card.copy_gbytes, "share_of_copy": rate / card.copy_gbytes,
        "peak_bytes": peaks(card),
    }))
}

#[cfg(test)]
mod tests {
    use infuser_kernels::testing::emulated;

    use super::*;

    #[test]
    fn every_timed_step_is_replayed() {
        let config = json!({
            "model_type": "qwen3", "vocab_size": 67, "hidden_size": 16, "intermediate_size": 24,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
            "max_position_embeddings": 4096, "tie_word_embeddings": true,
        });
        let config = ModelConfig::parse("tiny".as_ref(), config.to_string().as_bytes()).unwrap();
        let weights = Tensors::zero_weights(&Layout::new(&config), emulated()).unwrap();
        let model = Model::new(config, weights).unwrap();
        let (_, steps, replayed) = decode_steps(&model, 3, 5).unwrap();
        assert_eq!((steps, replayed), (5, 5));
    }
}
