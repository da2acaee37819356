//! Times training steps (forward, backward, AdamW) of the benchmark model and prints one JSON line:
//! median seconds of each phase over `--steps` steps after `--warmup` ones, tokens a second, rates
//! and peak memory.

use std::{env, error::Error, time::Instant};

use infuser_benches::{machine::Machine, model};
use infuser_kernels::Device;
use infuser_model::{
    Accumulate, Batch, Keep, OutputGradient, Tensors,
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (threads, steps, warmup) =
        (option("--threads", 2)?, option("--steps", 12)?, option("--warmup", 3)?);
    let keep = match option("--recompute", 0)? {
        0 => Keep::Everything,
        _ => Keep::BlockInputs,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| run(threads, steps, warmup, keep))
}

fn option(name: &str, default: usize) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().position(|argument| argument == name) {
        None => Ok(default),
        Some(at) => Ok(arguments.get(at + 1).ok_or("a value is missing")?.parse()?),
    }
}

fn run(
    threads: usize,
    steps: usize,
    warmup: usize,
    keep: Keep,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut model = model::model()?;
    let settings = OptimizerSettings {
        adamw: AdamW { learning_rate: 1e-4, ..OptimizerSettings::default().adamw },
        schedule: Schedule::Constant { warmup_steps: 0 },
        max_norm: None,
    };
    let mut optimizer = Optimizer::new(model.layout(), Device::Cpu, settings)?;
    let mut gradients = Tensors::zeros(model.layout(), Device::Cpu)?;
    let mut workspace = model.workspace(keep)?;
    let mut phases: Vec<[f64; 3]> = Vec::new();
    for step in 0..(warmup + steps) as u64 {
        let batch = Batch::sequences(Device::Cpu, &model::tokens(&model, step))?;
        let dlogp = vec![-1.0 / batch.outputs() as f32; batch.outputs()];
        let start = Instant::now();
        model.forward(&batch, 1.0, &mut workspace)?;
        let forward = start.elapsed().as_secs_f64();
        let gradient = OutputGradient { logp: &dlogp, entropy: None };
        gradients.clear()?;
        let sink = &mut Accumulate::new(&mut gradients);
        model.backward(&batch, gradient, &mut workspace, sink)?;
        let backward = start.elapsed().as_secs_f64() - forward;
        optimizer.step(model.weights_mut(), &gradients)?;
        let adamw = start.elapsed().as_secs_f64() - forward - backward;
        phases.push([forward, backward, adamw]);
    }
    let phases = &phases[warmup..];
    let median = |f: &dyn Fn(&[f64; 3]) -> f64| {
        let mut values: Vec<f64> = phases.iter().map(f).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let total = median(&|phase| phase.iter().sum());
    let machine = Machine::measure();
    let gflops = model::step_flops(&model) / total / 1e9;
    println!(
        "{}",
        json!({
            "bench": "infuser_train_step", "threads": threads, "params": model.layout().elements() as u64,
            "step_s": total, "forward_s": median(&|p| p[0]), "backward_s": median(&|p| p[1]),
            "adamw_s": median(&|p| p[2]),
            "tokens_per_s": (model::SEQUENCES * model::LENGTH) as f64 / total,
            "gflops": gflops, "machine_gemm_gflops": machine.gemm_gflops,
            "share_of_gemm": gflops / machine.gemm_gflops,
            "workspace_bytes": workspace.size_bytes(), "peak_rss_bytes": peak_rss_bytes(),
        })
    );
    Ok(())
}

/// The largest resident size of this process so far; `None` where the system does not tell.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
