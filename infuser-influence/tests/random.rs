//! Random models of every family, and random questions.

use std::path::Path;

use infuser_influence::{Question, Response, Weights};
use infuser_kernels::{Device, rng::Stream};
use infuser_model::{Layout, Model, ModelConfig, Tensors};
use serde_json::{Value, json};

/// What makes each family: tied or not, biases, norms, windows.
pub(crate) const FAMILIES: [&str; 9] = [
    "qwen3",
    "qwen3_tied",
    "qwen3_swa",
    "qwen2",
    "llama",
    "llama_tied_bias",
    "olmo2",
    "olmo2_tied",
    "olmo3",
];

/// A model of a family with sizes and weights drawn from `seed`. Sizes are those that nothing
/// divides.
pub(crate) fn model(family: &str, seed: u64) -> Model {
    let stream = Stream::new(seed);
    let pick = |i: u64, from: &[usize]| from[stream.bits(i) as usize % from.len()];
    let (heads, kv) = [(4, 2), (3, 1), (2, 2)][stream.bits(0) as usize % 3];
    let head_dim = pick(1, &[6, 8, 10]);
    let own_width = !family.starts_with("qwen3");
    let width = if own_width { heads * head_dim } else { pick(2, &[20, 28, 36]) };
    let mut config = json!({
        "model_type": family.split('_').next().unwrap(),
        "vocab_size": pick(3, &[41, 67, 300]), "hidden_size": width,
        "intermediate_size": pick(4, &[30, 50]), "num_hidden_layers": pick(5, &[1, 2, 3]),
        "num_attention_heads": heads, "num_key_value_heads": kv,
        "max_position_embeddings": 128, "rope_theta": 10000.0, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": family.contains("tied") || family == "qwen2",
    });
    let mut set = |key: &str, value: Value| config[key] = value;
    match family {
        "qwen3" | "qwen3_tied" => set("head_dim", json!(head_dim)),
        "qwen3_swa" => {
            set("head_dim", json!(head_dim));
            set("use_sliding_window", json!(true));
            set("sliding_window", json!(5));
            set("max_window_layers", json!(1));
        }
        "llama_tied_bias" => {
            set("attention_bias", json!(true));
            set("mlp_bias", json!(true));
        }
        "olmo3" => set("sliding_window", json!(4)),
        _ => {}
    }
    let bytes = config.to_string();
    let config = ModelConfig::parse(Path::new(family), bytes.as_bytes()).unwrap();
    let layout = Layout::new(&config);
    let mut weights = Tensors::zeros(&layout, Device::Cpu).unwrap();
    for (id, param) in layout.iter() {
        let stream = stream.child(id.index() as u64);
        let norm = param.axes.len() == 1 && !param.name.ends_with("bias");
        let value = |i| match norm {
            true => 1.0 + 0.2 * stream.normal(i) as f32,
            false => 0.3 * stream.normal(i) as f32,
        };
        let count = param.axes.iter().product::<usize>() as u64;
        weights[id].copy_from_f32(&(0..count).map(value).collect::<Vec<f32>>()).unwrap();
    }
    Model::new(config, weights).unwrap()
}

/// Tensors in the shapes of the model: squares of normal values, as an optimizer's mean square is.
pub(crate) fn mean_squares(model: &Model, seed: u64) -> Tensors {
    let mut tensors = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
    for (id, param) in model.layout().iter() {
        let stream = Stream::new(seed).child(id.index() as u64);
        let count = param.axes.iter().product::<usize>() as u64;
        let value = |i| (1e-3 * stream.normal(i)).powi(2) as f32;
        tensors[id].copy_from_f32(&(0..count).map(value).collect::<Vec<f32>>()).unwrap();
    }
    tensors
}

/// So many questions: prompts of 0 to 9 tokens, groups of 1 to 5 responses of 1 to 12, rewards centred
/// within the group, every kind of weights. Every sixth question is silent.
pub(crate) fn questions(model: &Model, count: usize, seed: u64) -> Vec<Question> {
    let vocab = model.config().vocab as u64;
    let question = |q: usize| {
        let stream = Stream::new(seed).child(q as u64);
        let below = |i: u64, n: u64| stream.bits(i) % n;
        let tokens = |stream: Stream, n: u64| -> Vec<u32> {
            (0..n).map(|t| (stream.bits(t) % vocab) as u32).collect()
        };
        let group = 1 + below(1, 5);
        let response = |r: u64| {
            let stream = stream.child(r);
            let tokens = tokens(stream.child(0), 1 + stream.bits(0) % 12);
            let values = |offset: f64| -> Vec<f32> {
                (0..tokens.len() as u64).map(|t| (offset + stream.normal(t)) as f32).collect()
            };
            let weights = match stream.bits(1) % 3 {
                0 => Weights::One,
                1 => Weights::Truncated { rollout_logp: values(-4.0), at_most: 2.0 },
                _ => Weights::Fixed(values(1.0)),
            };
            let advantage = if q % 6 == 5 { 0.0 } else { stream.normal(99) as f32 };
            Response { tokens, advantage, weights }
        };
        Question {
            prompt: tokens(stream.child(1000), below(0, 10)),
            responses: (0..group).map(response).collect(),
        }
    };
    (0..count).map(question).collect()
}

/// A tied model with a vocabulary of 60,000 and weights of several tiles.
pub(crate) fn wide_model() -> Model {
    const VOCAB: usize = 60_000;
    let config = json!({
        "model_type": "qwen3", "vocab_size": VOCAB, "hidden_size": 48, "intermediate_size": 300,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 70,
        "max_position_embeddings": 256, "tie_word_embeddings": true,
    });
    let config = ModelConfig::parse(Path::new("wide"), config.to_string().as_bytes()).unwrap();
    let layout = Layout::new(&config);
    let mut weights = Tensors::zeros(&layout, Device::Cpu).unwrap();
    for (id, param) in layout.iter() {
        let stream = Stream::new(3).child(id.index() as u64);
        let value = |i| if param.axes.len() == 1 { 1.0 } else { 0.3 * stream.normal(i) as f32 };
        let count = param.axes.iter().product::<usize>() as u64;
        weights[id].copy_from_f32(&(0..count).map(value).collect::<Vec<f32>>()).unwrap();
    }
    Model::new(config, weights).unwrap()
}
