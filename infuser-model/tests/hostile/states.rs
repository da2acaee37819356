use std::{
    fs,
    path::{Path, PathBuf},
};

use infuser_kernels::Device;
use infuser_model::{
    Model, Tensors, checkpoint,
    optim::{Optimizer, OptimizerSettings},
};
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A model and an optimizer that has taken a step.
fn trained(model: &str) -> (Model, Optimizer) {
    let mut model = checkpoint::load(&fixture("models").join(model), Device::Cpu).unwrap();
    let settings = OptimizerSettings::default();
    let mut optimizer = Optimizer::new(model.layout(), Device::Cpu, settings).unwrap();
    let gradients: Tensors = model.weights().copy().unwrap();
    optimizer.step(model.weights_mut(), &gradients).unwrap();
    (model, optimizer)
}

fn saved_state(model: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.safetensors");
    let (model, optimizer) = trained(model);
    checkpoint::save_state(&path, &model, &optimizer).unwrap();
    (folder, path)
}

fn edit_metadata(path: &Path, key: &str, value: Option<&str>) {
    edit_tensors(path, |header, _| {
        let metadata = header["__metadata__"].as_object_mut().unwrap();
        match value {
            Some(value) => metadata.insert(key.into(), value.into()),
            None => metadata.remove(key),
        };
    });
}

#[test]
fn damaged_resume_states_change_nothing() {
    const MOMENT: &str = "exp_avg.model.norm.weight";
    const SECOND: &str = "exp_avg_sq.model.norm.weight";
    let cases: [Case; 16] = [
        ("missing", |p| fs::remove_file(p).unwrap(), &["cannot read"]),
        ("empty", |p| edit_bytes(p, Vec::clear), &["empty"]),
        ("cut in the header", |p| edit_bytes(p, |b| b.truncate(500)), &["cut off"]),
        ("cut in the data", |p| edit_bytes(p, |b| b.truncate(100_000)), &["cut off"]),
        (
            "other version",
            |p| edit_metadata(p, "infuser-train-state", Some("2, step 1")),
            &["version 2", "reads 1"],
        ),
        ("no version", |p| edit_metadata(p, "infuser-train-state", Some(", step 1")), &["version"]),
        (
            "other format",
            |p| edit_metadata(p, "infuser-train-state", None),
            &["not a training state"],
        ),
        ("no metadata", |p| edit_tensors(p, |h, _| drop(h.remove("__metadata__"))), &["not a"]),
        ("no step", |p| edit_metadata(p, "infuser-train-state", Some("1")), &["step"]),
        (
            "negative step",
            |p| edit_metadata(p, "infuser-train-state", Some("1, step -1")),
            &["step"],
        ),
        (
            "other model",
            |p| assert!(fs::copy(saved_state("qwen3_untied").1, p).is_ok()),
            &["tensors"],
        ),
        ("other sizes", |p| edit_tensors(p, |h, _| h[MOMENT]["shape"] = json!([2, 16])), &[MOMENT]),
        ("a name less", |p| rename_moment(p, MOMENT), &[MOMENT, "missing"]),
        (
            "NaN weight",
            |p| set_value(p, "weight.model.norm.weight", 5, f32::NAN),
            &["weight.", "NaN"],
        ),
        ("infinite moment", |p| set_value(p, MOMENT, 5, f32::INFINITY), &[MOMENT, "infinite"]),
        ("NaN in the last part", |p| set_value(p, SECOND, 0, f32::NAN), &[SECOND, "NaN"]),
    ];
    let (mut model, mut optimizer) = trained("qwen3_tied");
    let (weights, before) = (model.weights().copy().unwrap(), optimizer.copy().unwrap());
    for (name, damage, expected) in cases {
        let (_folder, path) = saved_state("qwen3_tied");
        // Other values than those held, so that a partial load would show.
        set_value(&path, "weight.model.embed_tokens.weight", 0, 77.0);
        set_value(&path, "exp_avg.model.embed_tokens.weight", 0, 77.0);
        damage(&path);
        let result = checkpoint::load_state(&path, &mut model, &mut optimizer);
        let Err(error) = result else { panic!("{name}: accepted") };
        let message = error.to_string();
        assert!(message.contains("state.safetensors"), "{name}: {message}");
        for part in expected {
            assert!(message.contains(part), "{name}: {message:?} without {part:?}");
        }
        assert!(error.is_bad_input(), "{name}: {message}");
        assert_eq!(model.weights(), &weights, "{name}: weights have changed");
        assert_eq!(optimizer.exp_avg(), before.exp_avg(), "{name}: moments have changed");
        assert_eq!(optimizer.exp_avg_sq(), before.exp_avg_sq(), "{name}: moments have changed");
        assert_eq!(optimizer.steps(), before.steps(), "{name}: steps have changed");
    }
}

fn rename_moment(path: &Path, name: &str) {
    edit_tensors(path, |header, _| {
        let entry = header.remove(name).unwrap();
        header.insert("exp_avg.other".into(), entry);
    });
}
