//! Damaged folders: each gives one error that names the file, quickly, and changes nothing.

mod containers;
mod mutations;
mod settings;
mod states;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use infuser_kernels::Device;
use infuser_model::checkpoint;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::fixtures::fixture;

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const CONFIG: &str = "config.json";
const SHARDS: [&str; 3] = [
    "model-00001-of-00003.safetensors",
    "model-00002-of-00003.safetensors",
    "model-00003-of-00003.safetensors",
];
const EMBEDDING: &str = "model.embed_tokens.weight";
const NORM: &str = "model.norm.weight";
const GATE: &str = "model.layers.0.mlp.gate_proj.weight";
const UP: &str = "model.layers.0.mlp.up_proj.weight";

/// Nothing here is large, so whoever takes longer has believed a number in the file. Milliseconds
/// in truth; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// A name, what is done to the folder, what the message must contain.
type Case = (&'static str, fn(&Path), &'static [&'static str]);

/// The model files of a fixture in a folder of their own.
fn copy_of(model: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(fixture("models").join(model)).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_string_lossy().into_owned();
        let wanted = [CONFIG, "generation_config.json", INDEX].contains(&name.as_str());
        if wanted || name.starts_with("model") {
            fs::copy(&from, folder.path().join(name)).unwrap();
        }
    }
    folder
}

/// Both ways to read the folder must refuse it quickly, with all of `expected` in the message.
fn assert_refused(name: &str, folder: &Path, expected: &[&str]) {
    let started = Instant::now();
    let errors = [
        ("load", checkpoint::load(folder, Device::Cpu).err()),
        ("inventory", checkpoint::inventory(folder).err()),
    ];
    let took = started.elapsed();
    for (call, error) in errors {
        let Some(error) = error else { panic!("{name}: {call} accepts it") };
        let message = error.to_string();
        for part in expected {
            assert!(message.contains(part), "{name}: {call} says {message:?}, without {part:?}");
        }
        assert!(error.is_bad_input(), "{name}: {call} blames the run: {message}");
    }
    assert!(took < PATIENCE, "{name}: took {took:?}");
}

fn check_all(model: &str, cases: &[Case]) {
    checkpoint::load(copy_of(model).path(), Device::Cpu).expect("the undamaged copy loads");
    for (name, damage, expected) in cases {
        let folder = copy_of(model);
        damage(folder.path());
        assert_refused(name, folder.path(), expected);
    }
}

/// Header and data of a safetensors file.
fn split(file: &[u8]) -> (Map<String, Value>, Vec<u8>) {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&file[8..8 + length]).unwrap(), file[8 + length..].to_vec())
}

fn joined(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, data].concat()
}

fn edit_bytes(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Changes header and data of a safetensors file; the length field follows.
fn edit_tensors(path: &Path, edit: impl FnOnce(&mut Map<String, Value>, &mut Vec<u8>)) {
    edit_bytes(path, |bytes| {
        let (mut header, mut data) = split(bytes);
        edit(&mut header, &mut data);
        *bytes = joined(&serde_json::to_vec(&header).unwrap(), &data);
    });
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

fn set_length(folder: &Path, length: u64) {
    edit_bytes(&folder.join(WEIGHTS), |bytes| bytes[..8].copy_from_slice(&length.to_le_bytes()));
}

/// The header becomes this text; the data stays.
fn set_header(folder: &Path, header: &[u8]) {
    edit_bytes(&folder.join(WEIGHTS), |bytes| *bytes = joined(header, &split(bytes).1));
}

/// One field of one tensor's header entry.
fn set_field(folder: &Path, tensor: &str, field: &str, value: Value) {
    edit_tensors(&folder.join(WEIGHTS), |header, _| header[tensor][field] = value);
}

/// Adds text behind the header's opening brace.
fn prepend_header(folder: &Path, text: &str) {
    let (header, _) = split(&fs::read(folder.join(WEIGHTS)).unwrap());
    let header = serde_json::to_string(&header).unwrap();
    set_header(folder, format!("{{{text},{}", &header[1..]).as_bytes());
}

/// Moves one end of a tensor's place in the data.
fn move_offset(folder: &Path, tensor: &str, end: usize, by: i64) {
    edit_tensors(&folder.join(WEIGHTS), |header, _| {
        let offset = &mut header[tensor]["data_offsets"][end];
        *offset = (offset.as_i64().unwrap() + by).into();
    });
}

/// The f32 value at `index` of a tensor.
fn set_value(path: &Path, tensor: &str, index: usize, value: f32) {
    edit_tensors(path, |header, data| {
        let start = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize + 4 * index;
        data[start..start + 4].copy_from_slice(&value.to_le_bytes());
    });
}

/// A file of many zeros that takes no space.
fn sparse(path: &Path, bytes: u64) {
    fs::File::create(path).unwrap().set_len(bytes).unwrap();
}
