//! Times the rollout engine on the benchmark model and prints one JSON line.
//!
//! `rollout [--threads 2] [--batch 32] [--prompt 32] [--new 128] [--runs 3] [--vectors 1]`: greedy decoding of
//! so many prompts at once, prefill included; with `--vectors 1` without AMX. `rollout --shared 1`: eight samples
//! of one prompt of 512 tokens and eight new tokens each, against eight prompts that share nothing.

use std::{env, error::Error, time::Instant};

use infuser_benches::{
    machine::{Machine, median_secs},
    model,
};
use infuser_kernels::{ops::matmul, rng::Stream};
use infuser_model::{
    Model,
    generate::{Counters, Engine, Options, Request, Sampling},
};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let threads = option("--threads", 2)?;
    let runs = option("--runs", 3)?;
    if option("--vectors", 0)? == 1 {
        matmul::without_tiles();
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let line = pool.install(|| match option("--shared", 0)? {
        0 => decode(
            [option("--batch", 32)?, option("--prompt", 32)?, option("--new", 128)?],
            runs,
            threads,
        ),
        _ => shared(runs),
    })?;
    println!("{line}");
    Ok(())
}

fn option(name: &str, default: usize) -> Outcome<usize> {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().position(|argument| argument == name) {
        None => Ok(default),
        Some(at) => Ok(arguments.get(at + 1).ok_or("a value is missing")?.parse()?),
    }
}

fn request(model: &Model, id: u64, prompt: usize, new: usize) -> Request {
    let stream = Stream::new(3).child(id);
    let vocab = model.config().vocab as u64;
    let prompt = (0..prompt as u64).map(|i| (stream.bits(i) % vocab) as u32).collect();
    Request { stop_tokens: Vec::new(), ..Request::greedy(id, prompt, new, model.config()) }
}

/// Seconds of a fresh engine that knows nothing of earlier runs, and what it did.
fn run(model: &Model, requests: &[Request]) -> Outcome<(f64, Counters)> {
    let options = Options::default().with_cache_for(requests, model, 1 << 30);
    let mut engine = Engine::new(model, options)?;
    let start = Instant::now();
    engine.run(requests.to_vec())?;
    Ok((start.elapsed().as_secs_f64(), engine.counters()))
}

fn median(model: &Model, requests: &[Request], runs: usize) -> Outcome<(f64, Counters)> {
    run(model, requests)?;
    let mut all = (0..runs).map(|_| run(model, requests)).collect::<Outcome<Vec<_>>>()?;
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(all[all.len() / 2])
}

fn decode([batch, prompt, new]: [usize; 3], runs: usize, threads: usize) -> Outcome<Value> {
    let model = model::model()?;
    let requests: Vec<Request> =
        (0..batch as u64).map(|id| request(&model, id, prompt, new)).collect();
    let (seconds, counters) = median(&model, &requests, runs)?;
    let machine = Machine::measure();
    let read_gbytes = machine.read_gbytes;
    let matrices = model
        .layout()
        .params()
        .iter()
        .filter(|param| param.axes.len() == 2 && !param.name.contains("embed_tokens"));
    let weights: f64 = matrices.map(|param| param.axes.iter().product::<usize>() as f64).sum();
    let tokens_per_s = (batch * new) as f64 / seconds;
    // A token of a batch of one reads every weight; a large batch is bound by its products.
    let by_memory = read_gbytes * 1e9 / (4.0 * weights) * batch as f64;
    let by_products = machine.gemm_gflops * 1e9 / (2.0 * weights);
    Ok(json!({
        "bench": "infuser_rollout", "amx": matmul::tiles_in_use(),
        "threads": threads, "batch": batch, "prompt": prompt, "new": new,
        "seconds": seconds, "tokens_per_s": tokens_per_s, "steps": counters.steps,
        "memory_limit_tokens_per_s": by_memory, "share_of_memory_limit": tokens_per_s / by_memory,
        "gemm_limit_tokens_per_s": by_products, "share_of_gemm_limit": tokens_per_s / by_products,
        "machine_gemm_gflops": machine.gemm_gflops, "machine_read_gbytes": read_gbytes,
    }))
}

/// One prompt with eight samples, and eight prompts of the same length.
fn shared(runs: usize) -> Outcome<Value> {
    const PROMPT: usize = 512;
    const NEW: usize = 8;
    const SAMPLES: usize = 8;
    let model = model::model()?;
    let once = [Request {
        samples: SAMPLES,
        sampling: Sampling::at(1.0),
        ..request(&model, 0, PROMPT, NEW)
    }];
    let single = [Request { samples: 1, ..once[0].clone() }];
    let apart: Vec<Request> = (0..SAMPLES as u64)
        .map(|id| Request { samples: 1, ..request(&model, id, PROMPT, NEW) })
        .collect();
    let (together_s, together) = median(&model, &once, runs)?;
    let (single_s, _) = median(&model, &single, runs)?;
    let (apart_s, separate) = median(&model, &apart, runs)?;
    let prefill = median_secs(runs, || {
        let one = [Request { max_tokens: 1, ..single[0].clone() }];
        run(&model, &one).expect("ran before");
    });
    Ok(json!({
        "bench": "infuser_shared_prompt", "prompt": PROMPT, "samples": SAMPLES, "new": NEW,
        "one_prompt_s": together_s, "one_sample_s": single_s, "eight_prompts_s": apart_s,
        "one_prefill_with_setup_s": prefill,
        "one_prompt_computed": together.prompt_tokens, "eight_prompts_computed": separate.prompt_tokens,
    }))
}
