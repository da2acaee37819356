//! Saved folders: exact, whole, and as others write them.

use std::{collections::BTreeSet, fs, path::Path};

use infuser_kernels::Device;
use infuser_model::{
    Model,
    checkpoint::{SaveDtype, SaveOptions, load, save},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixtures::fixture;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn saved(model: &Model, source: &Path, dtype: SaveDtype, shard_bytes: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = SaveOptions { dtype, shard_bytes, source };
    save(model, &folder.path().join("model"), &options).unwrap();
    folder
}

#[test]
fn f32_comes_back_to_the_bit_and_bf16_rounded() {
    for name in ["qwen3_tied", "llama_bias", "olmo3"] {
        let source = fixture("models").join(name);
        let model = load(&source, Device::Cpu).unwrap();
        let folder = saved(&model, &source, SaveDtype::F32, usize::MAX);
        let again = load(&folder.path().join("model"), Device::Cpu).unwrap();
        assert_eq!((again.weights(), again.config()), (model.weights(), model.config()), "{name}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left aside");

        let folder = saved(&model, &source, SaveDtype::Bf16, usize::MAX);
        let again = load(&folder.path().join("model"), Device::Cpu).unwrap();
        for (got, exact) in again.weights().buffers().iter().zip(model.weights().buffers()) {
            for (got, exact) in got.to_f32().unwrap().iter().zip(exact.to_f32().unwrap()) {
                // Eight bits of significand, rounded to nearest.
                assert_eq!(got.to_bits() & 0xffff, 0);
                assert!((got - exact).abs() <= exact.abs() / 256.0, "{name}: {got} {exact}");
            }
        }
        let config = json(&folder.path().join("model/config.json"));
        assert_eq!(config["dtype"], "bfloat16", "{name}");
    }
}

#[test]
fn shards_hold_every_tensor_once() {
    let source = fixture("models/qwen3_untied");
    let model = load(&source, Device::Cpu).unwrap();
    let folder = saved(&model, &source, SaveDtype::F32, 20_000);
    let target = folder.path().join("model");
    let index = json(&target.join("model.safetensors.index.json"));
    let map = index["weight_map"].as_object().unwrap();
    assert_eq!(map.len(), model.layout().params().len());
    let files: BTreeSet<&str> = map.values().map(|file| file.as_str().unwrap()).collect();
    assert!(files.len() > 2, "{files:?}");
    assert_eq!(index["metadata"]["total_size"], model.weights().size_bytes());
    assert_eq!(load(&target, Device::Cpu).unwrap().weights(), model.weights());
}

#[test]
fn companions_come_along_and_nothing_is_overwritten() {
    let source = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("models/qwen2").join(file), source.path().join(file)).unwrap();
    }
    for file in ["tokenizer.json", "generation_config.json", "chat_template.jinja"] {
        fs::write(source.path().join(file), format!("{{\"from\": \"{file}\"}}")).unwrap();
    }
    let text = fs::read_to_string(source.path().join("config.json")).unwrap();
    fs::write(source.path().join("config.json"), text.replace("\"dtype\"", "\"torch_dtype\""))
        .unwrap();
    let model = load(&fixture("models/qwen2"), Device::Cpu).unwrap();
    let folder = saved(&model, source.path(), SaveDtype::Bf16, usize::MAX);
    let target = folder.path().join("model");
    for file in ["tokenizer.json", "generation_config.json", "chat_template.jinja"] {
        let [a, b] = [source.path(), &target].map(|folder| fs::read(folder.join(file)).unwrap());
        assert_eq!(a, b, "{file}");
    }
    let config = json(&target.join("config.json"));
    assert_eq!((&config["torch_dtype"], config.get("dtype")), (&"bfloat16".into(), None));
    let options =
        SaveOptions { dtype: SaveDtype::F32, shard_bytes: usize::MAX, source: source.path() };
    let error = save(&model, &target, &options).unwrap_err();
    assert!(error.to_string().contains("exists") && error.is_bad_input());
}
