//! Scoring questions through the sink against storing each gradient: seconds a question, and the
//! largest memory beside weights, moments and target, as questions and model grow.
//!
//! Times: one warm-up, then both ways in turn, the best of each: others use the machine too. Memory: each
//! way in a process of its own, so that none of the other is counted. Run with `cargo bench -p infuser-benches --bench influence`; after `--`,
//! `small` leaves out the largest model.

use std::{env, error::Error, process::Command, time::Instant};

use infuser_benches::model;
use infuser_influence::{
    AdamState, Fingerprint, Objective, Origin, Preconditioner, Question, Response, Scorer,
    Settings, Target, Weights,
};
use infuser_kernels::{Device, rng::Stream};
use infuser_model::{Keep, Model, Tensors, Unwatched};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const THREADS: usize = 2;

/// Tokens of a prompt, responses, tokens of one.
const SHAPE: [usize; 3] = [64, 8, 64];

/// Four questions a batch.
const BATCH_TOKENS: usize = 4 * (SHAPE[0] + SHAPE[1] * SHAPE[2]);

/// Widths, layers and numbers of questions.
const MODELS: [(usize, usize, &[usize]); 3] =
    [(128, 4, &[1, 4, 16, 64]), (256, 6, &[1, 4, 16, 64]), (512, 8, &[1, 4, 16])];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--cell") {
        return cell(&arguments[at + 1..]);
    }
    let small = arguments.iter().any(|argument| argument == "small");
    println!(
        "{} rows a question, {BATCH_TOKENS} rows a batch, {THREADS} threads, blocks recomputed",
        BATCH_TOKENS / 4
    );
    println!(
        "{:>12} {:>9} {:>12} {:>12} {:>7} {:>12} {:>12}",
        "parameters", "questions", "sink s/q", "stored s/q", "ratio", "sink MiB", "stored MiB"
    );
    let models = if small { &MODELS[..2] } else { &MODELS[..] };
    for (width, layers, counts) in models {
        for count in *counts {
            let run = |what: &str| {
                one([what, &width.to_string(), &layers.to_string(), &count.to_string()])
            };
            let ([_, sink_bytes, _], [_, stored_bytes, _]) = (run("sink")?, run("stored")?);
            let [parameters, sink, stored] = run("both")?;
            let mib = |bytes: f64| bytes / f64::from(1 << 20);
            println!(
                "{parameters:>12} {count:>9} {sink:>12.4} {stored:>12.4} {:>7.2} {:>12.1} {:>12.1}",
                stored / sink,
                mib(sink_bytes),
                mib(stored_bytes)
            );
        }
    }
    Ok(())
}

/// One cell in a process of its own: parameters, and bytes or the seconds of a question both ways.
fn one(cell: [&str; 4]) -> Outcome<[f64; 3]> {
    let output = Command::new(env::current_exe()?).arg("--cell").args(cell).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok([numbers[0], numbers[1], numbers[2]])
}

fn cell(arguments: &[String]) -> Outcome<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build()?;
    pool.install(|| {
        let number = |i: usize| arguments[i].parse::<usize>();
        let (width, layers, count) = (number(1)?, number(2)?, number(3)?);
        let model = model::build(&config(width, layers))?;
        let [target, exp_avg_sq] = [3, 4].map(|seed| tensors(&model, seed));
        let origin = Origin {
            weights: Fingerprint::of_tensors(model.weights())?,
            data: Fingerprint::of_questions(&[]),
            gradients: 1,
        };
        let target = Target::new(target?, origin)?;
        let exp_avg_sq = exp_avg_sq?;
        let preconditioner = Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 100 };
        let state = AdamState { exp_avg_sq: Some(&exp_avg_sq), preconditioner };
        let settings = Settings { batch_tokens: BATCH_TOKENS, keep: Keep::BlockInputs };
        let questions = questions(&model, count);
        let objective = Objective::over(&questions, 1.0);

        let before = resident("VmRSS:").unwrap_or(0);
        reset_peak();
        let mut scorer = Scorer::new(&model, &target, state, settings, &Unwatched)?;
        let mut tiles = || scorer.score(&questions, &objective).map(|_| ());
        let parameters = model.layout().elements();
        let peak = || resident("VmHWM:").unwrap_or(0).saturating_sub(before);
        match arguments[0].as_str() {
            "sink" => {
                tiles()?;
                println!("{parameters} {} 0", peak());
            }
            "stored" => {
                scorer.score_by_storing(&questions, &objective)?;
                println!("{parameters} {} 0", peak());
            }
            _ => {
                let mut other = Scorer::new(&model, &target, state, settings, &Unwatched)?;
                let mut stored = || other.score_by_storing(&questions, &objective).map(|_| ());
                tiles()?;
                stored()?;
                let mut times = [Vec::new(), Vec::new()];
                for _ in 0..(24 / count).clamp(3, 15) {
                    times[0].push(secs(&mut tiles)?);
                    times[1].push(secs(&mut stored)?);
                }
                let best = |times: Vec<f64>| times.into_iter().fold(f64::INFINITY, f64::min);
                let [sink, stored] = times.map(|times| best(times) / count as f64);
                println!("{parameters} {sink} {stored}");
            }
        }
        Ok(())
    })
}

fn secs(f: &mut impl FnMut() -> infuser_influence::Result<()>) -> Outcome<f64> {
    let start = Instant::now();
    f()?;
    Ok(start.elapsed().as_secs_f64())
}

fn config(width: usize, layers: usize) -> String {
    format!(
        r#"{{
            "model_type": "qwen3", "vocab_size": 8192, "hidden_size": {width},
            "intermediate_size": {}, "num_hidden_layers": {layers}, "num_attention_heads": {},
            "num_key_value_heads": {}, "head_dim": 64, "max_position_embeddings": 1024,
            "tie_word_embeddings": true
        }}"#,
        3 * width,
        width / 32,
        width / 64
    )
}

/// Small values in the shapes of the model.
fn tensors(model: &Model, seed: u64) -> infuser_model::Result<Tensors> {
    let mut tensors = Tensors::zeros(model.layout(), Device::Cpu)?;
    for (id, param) in model.layout().iter() {
        let stream = Stream::new(seed).child(id.index() as u64);
        let elements = param.axes.iter().product::<usize>() as u64;
        let value = |i| 1e-4 * stream.uniform(i) as f32;
        tensors[id].copy_from_f32(&(0..elements).map(value).collect::<Vec<f32>>())?;
    }
    Ok(tensors)
}

fn questions(model: &Model, count: usize) -> Vec<Question> {
    let [prompt, responses, tokens] = SHAPE;
    let vocab = model.config().vocab as u64;
    let draw = |stream: Stream, n: usize| -> Vec<u32> {
        (0..n as u64).map(|t| (stream.bits(t) % vocab) as u32).collect()
    };
    let question = |q: usize| {
        let stream = Stream::new(9).child(q as u64);
        let response = |r: usize| Response {
            tokens: draw(stream.child(r as u64), tokens),
            advantage: if r.is_multiple_of(2) { 0.5 } else { -0.5 },
            weights: Weights::One,
        };
        Question {
            prompt: draw(stream.child(99), prompt),
            responses: (0..responses).map(response).collect(),
        }
    };
    (0..count).map(question).collect()
}

/// Bytes of this process, by a line of its status; `None` where the system does not tell.
fn resident(line: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|found| found.starts_with(line))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// From now on the largest size counts anew, where the system can do that.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
