//! The model of the training-step benchmark: 10.4 million parameters in Qwen3's shape.

use std::path::Path;

use infuser_kernels::{Device, rng::Stream};
use infuser_model::{Layout, Model, ModelConfig, Result, Tensors};

/// Sequences of one step.
pub const SEQUENCES: usize = 16;
/// Tokens of one sequence.
pub const LENGTH: usize = 256;

/// As a checkpoint's `config.json` would say it.
const CONFIG: &str = r#"{
    "model_type": "qwen3", "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 1536,
    "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
    "max_position_embeddings": 1024, "rope_theta": 1000000.0, "tie_word_embeddings": false
}"#;

/// The model with normal weights of the usual size.
///
/// # Errors
/// If there is no memory.
pub fn model() -> Result<Model> {
    build(CONFIG)
}

/// A model of any config with such weights.
///
/// # Errors
/// If the config is not valid, or there is no memory.
pub fn build(config: &str) -> Result<Model> {
    let config = ModelConfig::parse(Path::new("benchmark"), config.as_bytes())?;
    let layout = Layout::new(&config);
    let mut weights = Tensors::zeros(&layout, Device::Cpu)?;
    for (id, param) in layout.iter() {
        let stream = Stream::new(0).child(id.index() as u64);
        let norm = param.axes.len() == 1;
        let elements = param.axes.iter().product::<usize>() as u64;
        let value = |i| if norm { 1.0 } else { 0.02 * stream.normal(i) as f32 };
        weights[id].copy_from_f32(&(0..elements).map(value).collect::<Vec<f32>>())?;
    }
    Model::new(config, weights)
}

/// Random token sequences of one step.
pub fn tokens(model: &Model, step: u64) -> Vec<Vec<u32>> {
    let stream = Stream::new(1).child(step);
    let vocab = model.config().vocab as f64;
    let token = |i: usize| (stream.uniform(i as u64) * vocab) as u32;
    (0..SEQUENCES).map(|s| (0..LENGTH).map(|t| token(s * LENGTH + t)).collect()).collect()
}

/// [`pass_flops`] of one step of the benchmark model.
pub fn step_flops(model: &Model) -> f64 {
    pass_flops(model, SEQUENCES, LENGTH)
}

/// Floating-point operations, forward and backward, on so many sequences of so many tokens, that any
/// implementation must do: two for each weight and token forward, four backward (the embedding table is
/// not multiplied, but by a head that shares it), and causal attention's four and ten for each pair of
/// tokens, head and lane. The head is counted once, though the backward pass here computes its logits a
/// second time.
pub fn pass_flops(model: &Model, sequences: usize, length: usize) -> f64 {
    let config = model.config();
    let tokens = (sequences * length) as f64;
    let pairs = sequences as f64 * (length * (length + 1) / 2) as f64;
    let attention = pairs * (config.layers.len() * config.heads * config.head_width) as f64;
    6.0 * multiplied(model) * tokens + 14.0 * attention
}

/// How many weights a token is multiplied by, those of the head included.
pub fn multiplied(model: &Model) -> f64 {
    let config = model.config();
    let params = model.layout().params().iter();
    params
        .filter(|param| param.axes.len() == 2)
        .filter(|param| config.tied || !param.name.contains("embed_tokens"))
        .map(|param| param.axes.iter().product::<usize>() as f64)
        .sum()
}
