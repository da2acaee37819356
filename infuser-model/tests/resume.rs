//! A run that is saved, and continued by another process, gives the bits of one that never stopped.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use infuser_kernels::{Device, rng::Stream};
use infuser_model::{
    Accumulate, Batch, Error, Keep, Model, OutputGradient, Tensors, checkpoint,
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

/// Sets a value that no state can hold.
fn poisoned(name: &str, value: f32) -> (Model, Optimizer) {
    let (mut model, mut optimizer) = start();
    train(&mut model, &mut optimizer, 2);
    if name.starts_with("weight.") {
        let last = model.weights_mut().buffers_mut().last_mut().unwrap();
        let mut values = last.to_f32().unwrap();
        *values.last_mut().unwrap() = value;
        last.copy_from_f32(&values).unwrap();
    } else {
        // A gradient whose square is beyond f32.
        let settings = OptimizerSettings { max_norm: None, ..*optimizer.settings() };
        optimizer = optimizer.with_settings(settings);
        let mut gradients = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
        let last = gradients.buffers_mut().last_mut().unwrap();
        last.copy_from_f32(&vec![value; last.to_f32().unwrap().len()]).unwrap();
        optimizer.step(model.weights_mut(), &gradients).unwrap();
    }
    (model, optimizer)
}

#[test]
fn a_state_that_could_not_be_loaded_does_not_replace_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let (mut model, mut optimizer) = start();
    train(&mut model, &mut optimizer, 1);
    checkpoint::save_state(&state, &model, &optimizer).unwrap();
    let older = std::fs::read(&state).unwrap();
    let last = model.layout().params().last().unwrap().name.clone();
    for (part, value) in [("weight", f32::NAN), ("weight", f32::INFINITY), ("exp_avg_sq", 1e25)] {
        let name = format!("{part}.{last}");
        let (model, optimizer) = poisoned(&name, value);
        let error = checkpoint::save_state(&state, &model, &optimizer).unwrap_err();
        assert!(matches!(error, Error::State { .. }), "{name}: {error}");
        assert!(error.to_string().contains(&format!("`{name}` has ")), "{name}: {error}");
        assert!(std::fs::read(&state).unwrap() == older, "{name}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left aside");
    }
    let tensors = poisoned("weight.", f32::NAN).0.weights().copy().unwrap();
    let error = checkpoint::save_tensors(&state, model.layout(), &tensors).unwrap_err();
    assert!(error.to_string().contains(&format!("`tensor.{last}` has 1 ")), "{error}");
    assert!(std::fs::read(&state).unwrap() == older);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_older_state() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let (model, optimizer) = start();
    checkpoint::save_state(&state, &model, &optimizer).unwrap();
    let older = std::fs::read(&state).unwrap();
    let full = folder.path().join("state.safetensors.partial");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let error = checkpoint::save_state(&state, &model, &optimizer).unwrap_err();
    assert!(matches!(error, Error::Io { action: "write", .. }), "{error}");
    assert!(std::fs::read(&state).unwrap() == older);
}

#[test]
fn equal_states_are_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a", "b"].map(|name| folder.path().join(name));
    let (mut model, mut optimizer) = start();
    train(&mut model, &mut optimizer, 2);
    checkpoint::save_state(&first, &model, &optimizer).unwrap();
    let (mut other, mut other_optimizer) = start();
    checkpoint::load_state(&first, &mut other, &mut other_optimizer).unwrap();
    checkpoint::save_state(&second, &other, &other_optimizer).unwrap();
    assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap());
    // Tensors alone come back too.
    checkpoint::save_tensors(&first, model.layout(), optimizer.exp_avg()).unwrap();
    let again = checkpoint::load_tensors(&first, model.layout(), Device::Cpu).unwrap();
    assert_eq!(&again, optimizer.exp_avg());
}
