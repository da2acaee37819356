//! AdamW and schedules against PyTorch and the published code.

use infuser_kernels::{
    Buffer, Device,
    ops::{adamw, grad_norm},
    testing::buffer,
};
use infuser_model::{
    Layout, ModelConfig, Tensors,
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
};
use serde_json::Value;

use crate::fixtures::{Golden, distance, fixture};

const PARAMS: [&str; 5] = ["w", "b", "t", "s", "nodecay"];

fn json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(path)).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// One tensor with its moments.
struct State([Buffer; 3]);

impl State {
    fn new(values: &[f32]) -> Self {
        let zeros = vec![0.0; values.len()];
        Self([values, &zeros, &zeros].map(|values| buffer(values, &[values.len()])))
    }

    fn step(&mut self, hyper: &AdamW, t: u64, scale: f32, gradient: &[f32]) {
        let gradient = buffer(gradient, &[gradient.len()]);
        let [weight, exp_avg, exp_avg_sq] = self.0.each_mut().map(|b| b.view_mut());
        let state = adamw::State { weight, exp_avg, exp_avg_sq, rounded: None };
        adamw::step(hyper, t, scale, gradient.view(), state).unwrap();
    }

    fn values(&self, which: usize) -> Vec<f32> {
        self.0[which].to_f32().unwrap()
    }
}

#[test]
fn adamw_matches_pytorch_step_by_step() {
    let meta = json("adamw/meta.json");
    for name in ["plain", "clip_mixed", "paper_lr", "lr_schedule"] {
        let golden = Golden::read(&fixture(&format!("adamw/{name}.safetensors")));
        let settings = &meta[name];
        let number = |key: &str| settings[key].as_f64().unwrap();
        let [betas, rates] = ["betas", "lr_used"].map(|key| numbers(&settings[key]));
        let norms = numbers(&settings["grad_norm_before_clip"]);
        let start = |p| State::new(golden.floats(&format!("init.{p}")));
        let mut states: Vec<State> = PARAMS.iter().map(start).collect();
        for t in 1..=5usize {
            let gradients: Vec<&[f32]> =
                PARAMS.iter().map(|p| golden.floats(&format!("grad.{t}.{p}"))).collect();
            let squares = gradients
                .iter()
                .map(|g| grad_norm::sum_of_squares(&[buffer(g, &[g.len()]).view()]).unwrap());
            let norm = squares.sum::<f64>().sqrt();
            assert!((norm - norms[t - 1]).abs() < 1e-5 * norm, "{name}: norm {norm}");
            let scale =
                settings["max_norm"].as_f64().map_or(1.0, |m| grad_norm::clip_factor(norm, m));
            for ((p, state), gradient) in PARAMS.iter().zip(&mut states).zip(gradients) {
                let decay = if *p == "nodecay" { 0.0 } else { number("weight_decay") };
                let hyper = AdamW {
                    learning_rate: rates[t - 1],
                    beta1: betas[0],
                    beta2: betas[1],
                    epsilon: number("eps"),
                    weight_decay: decay,
                };
                state.step(&hyper, t as u64, scale, gradient);
                let off = distance(&state.values(0), golden.floats(&format!("param.{t}.{p}")));
                assert!(off < 1e-6, "{name}: step {t}: {p} is off by {off:e}");
            }
        }
        for (p, state) in PARAMS.iter().zip(&states) {
            for (which, key) in [(1, "exp_avg"), (2, "exp_avg_sq")] {
                let want = golden.floats(&format!("{key}.{p}"));
                let size = want.iter().fold(0.0f32, |size, x| size.max(x.abs()));
                let off = distance(&state.values(which), want);
                assert!(off <= 1e-6 * size, "{name}: {key}.{p} is off by {off:e}");
            }
        }
    }
}

/// The published schedules; past the end of a cosine ours stays down while theirs rises again.
#[test]
fn schedules_match_the_published_ones_up_to_their_end() {
    let cases = json("adamw/lr_schedule.json");
    for case in cases["cases"].as_array().unwrap() {
        let inputs = &case["inputs"];
        let warmup_steps = inputs["num_warmup_steps"].as_u64().unwrap();
        let total_steps = inputs["num_training_steps"].as_u64();
        let min_ratio = inputs["min_lr_ratio"].as_f64().unwrap_or(0.0);
        let schedule = match total_steps {
            None => Schedule::Constant { warmup_steps },
            Some(total_steps) => {
                let cycles = inputs["num_cycles"].as_f64().unwrap_or(0.5);
                Schedule::Cosine { warmup_steps, total_steps, min_ratio, cycles }
            }
        };
        for (step, want) in numbers(&case["outputs"]["lr_factor_at_step"]).iter().enumerate() {
            let step = step as u64;
            let past_end = total_steps.is_some_and(|total| step > total);
            let want = if past_end { min_ratio } else { *want };
            let got = schedule.factor(step);
            assert!((got - want).abs() < 1e-6, "{inputs}: step {step}: {got} against {want}");
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let config = ModelConfig::read(&fixture("models/qwen3_tied")).unwrap();
    let layout = Layout::new(&config);
    let mut weights = Tensors::zeros(&layout, Device::Cpu).unwrap();
    let mut gradients = Tensors::zeros(&layout, Device::Cpu).unwrap();
    let settings = OptimizerSettings::default();
    let mut optimizer = Optimizer::new(&layout, Device::Cpu, settings).unwrap();
    let mut first = vec![1.0; gradients.buffers()[0].dims().len()];
    gradients.buffers_mut()[0].copy_from_f32(&first).unwrap();
    let report = optimizer.step(&mut weights, &gradients).unwrap();
    assert!(!report.skipped && report.clip_factor < 1.0);
    let before = (weights.copy().unwrap(), optimizer.exp_avg().copy().unwrap(), optimizer.steps());
    first[3] = f32::NAN;
    gradients.buffers_mut()[0].copy_from_f32(&first).unwrap();
    let report = optimizer.step(&mut weights, &gradients).unwrap();
    assert!(report.skipped && report.gradient_norm.is_nan());
    assert_eq!(before, (weights, optimizer.exp_avg().copy().unwrap(), optimizer.steps()));
}
