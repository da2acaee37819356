//! A run that is saved, and continued by another process, gives the bits of one that never stopped.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use infuser_kernels::{Device, rng::Stream};
use infuser_model::{
    Accumulate, Batch, Keep, Model, OutputGradient, Tensors, checkpoint,
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
};

use crate::fixtures::fixture;

/// Where the second process finds the state to continue; unset in the first.
const CONTINUE: &str = "INFUSER_TEST_CONTINUE";

/// The fixture model, a fresh optimizer with every feature on.
fn start() -> (Model, Optimizer) {
    let model = checkpoint::load(&fixture("models/qwen3_tied"), Device::Cpu).unwrap();
    let settings = OptimizerSettings {
        adamw: AdamW {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
        },
        schedule: Schedule::Cosine {
            warmup_steps: 4,
            total_steps: 20,
            min_ratio: 0.1,
            cycles: 0.5,
        },
        max_norm: Some(0.5),
    };
    let optimizer = Optimizer::new(model.layout(), Device::Cpu, settings).unwrap();
    (model, optimizer)
}

/// Trains until `steps` steps have been taken; the data of a step depends on its number alone.
fn train(model: &mut Model, optimizer: &mut Optimizer, steps: u64) {
    let mut workspace = model.workspace(Keep::BlockInputs).unwrap();
    let mut gradients = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
    while optimizer.steps() < steps {
        let stream = Stream::new(5).child(optimizer.steps());
        let tokens: Vec<Vec<u32>> = (0..3u64)
            .map(|s| (0..9 + s).map(|t| (stream.child(s).uniform(t) * 96.0) as u32).collect())
            .collect();
        let batch = Batch::sequences(Device::Cpu, &tokens).unwrap();
        model.forward(&batch, 0.8, &mut workspace).unwrap();
        let dlogp = vec![-1.0 / batch.outputs() as f32; batch.outputs()];
        gradients.clear().unwrap();
        let gradient = OutputGradient { logp: &dlogp, entropy: None };
        let sink = &mut Accumulate::new(&mut gradients);
        model.backward(&batch, gradient, &mut workspace, sink).unwrap();
        assert!(!optimizer.step(model.weights_mut(), &gradients).unwrap().skipped);
    }
}

fn finished(state: &Path) -> PathBuf {
    state.with_file_name("finished.safetensors")
}

#[test]
fn ten_steps_and_ten_in_another_process_are_twenty() {
    if let Some(state) = env::var_os(CONTINUE) {
        // The second process: load, train on, save.
        let state = PathBuf::from(state);
        let (mut model, mut optimizer) = start();
        checkpoint::load_state(&state, &mut model, &mut optimizer).unwrap();
        assert_eq!(optimizer.steps(), 10);
        train(&mut model, &mut optimizer, 20);
        checkpoint::save_state(&finished(&state), &model, &optimizer).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let (mut model, mut optimizer) = start();
    train(&mut model, &mut optimizer, 10);
    checkpoint::save_state(&state, &model, &optimizer).unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "resume::ten_steps_and_ten_in_another_process_are_twenty"])
        .env(CONTINUE, &state)
        .status()
        .unwrap();
    assert!(status.success());

    train(&mut model, &mut optimizer, 20);
    let (mut other, mut other_optimizer) = start();
    checkpoint::load_state(&finished(&state), &mut other, &mut other_optimizer).unwrap();
    assert_eq!(other.weights(), model.weights());
    assert_eq!(other_optimizer.exp_avg(), optimizer.exp_avg());
    assert_eq!(other_optimizer.exp_avg_sq(), optimizer.exp_avg_sq());
    assert_eq!(other_optimizer.steps(), 20);
    let (untrained, _) = start();
    assert_ne!(untrained.weights(), model.weights(), "training changes weights");
}

#[test]
fn saving_a_state_replaces_the_older_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let (mut model, mut optimizer) = start();
    for steps in [1, 2] {
        train(&mut model, &mut optimizer, steps);
        checkpoint::save_state(&state, &model, &optimizer).unwrap();
    }
    let (mut other, mut other_optimizer) = start();
    checkpoint::load_state(&state, &mut other, &mut other_optimizer).unwrap();
    assert_eq!((other.weights(), other_optimizer.steps()), (model.weights(), 2));
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "nothing is left aside");
}
