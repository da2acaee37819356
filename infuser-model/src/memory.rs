//! How many bytes a model takes, from its config alone: for plans made before anything is allocated.

use infuser_kernels::{Device, Dtype, ops::paged::Blocks};

use crate::{
    config::{ModelConfig, QkNorm},
    layout::Layout,
    packed::PackedWeights,
    workspace::Keep,
};

/// Bytes of one f32.
const F32: u128 = 4;

/// Bytes of one weight or activation.
fn float(device: &Device) -> u128 {
    device.float().size_bytes() as u128
}

/// Bytes of the weights as the model holds them.
pub fn weights_bytes(config: &ModelConfig, device: &Device) -> u128 {
    float(device) * Layout::new(config).elements()
}

/// Bytes that generation holds besides weights and cache: on the CPU those of products once more, laid out for
/// them ([`PackedWeights`]).
pub fn packed_bytes(config: &ModelConfig, device: &Device) -> u128 {
    if *device == Device::Cpu { PackedWeights::bytes_of(&Layout::new(config)) } else { 0 }
}

/// Bytes of one set of f32 tensors in the shapes of the weights: a gradient, a moment.
pub fn tensors_bytes(config: &ModelConfig) -> u128 {
    F32 * Layout::new(config).elements()
}

/// Bytes of an optimizer: two moments, and the weights in f32 where the model's are not.
pub fn optimizer_bytes(config: &ModelConfig, device: &Device) -> u128 {
    let sets = if device.float() == Dtype::F32 { 2 } else { 3 };
    sets * tensors_bytes(config)
}

/// Bytes that training holds besides activations: weights, gradients and the optimizer's state.
pub fn training_state_bytes(config: &ModelConfig, device: &Device) -> u128 {
    weights_bytes(config, device) + tensors_bytes(config) + optimizer_bytes(config, device)
}

/// Bytes of keys and values for one token of a cache.
pub fn cache_bytes_per_token(config: &ModelConfig, device: &Device) -> u128 {
    let heads = [config.kv_heads, config.head_width];
    config.layers.len() as u128 * Blocks::bytes_per_token(device, heads)
}

/// Bytes of a [`crate::Workspace`] for a batch of so many tokens and outputs, without its rotation
/// tables; with the backward memory unless nothing is kept.
pub fn workspace_bytes(
    config: &ModelConfig,
    device: &Device,
    keep: Keep,
    [rows, outputs]: [usize; 2],
) -> u128 {
    let blocks = config.layers.len() as u128;
    let (streams, saved) = match keep {
        Keep::Nothing => (2, 1),
        Keep::BlockInputs => (blocks + 1, 1),
        Keep::Everything => (blocks + 1, blocks),
    };
    let width = config.width as u128;
    let backward = if keep == Keep::Nothing { 0 } else { backward_per_row(config) };
    let [floats, statistics] = saved_per_row(config);
    let floats = streams * width + saved * floats + backward;
    // Gathered, normed, 1/rms, and the three outputs.
    let backward_outputs = if keep == Keep::Nothing { 0 } else { 2 * width };
    let rows = rows as u128 * (float(device) * floats + F32 * saved * statistics);
    rows + outputs as u128 * (float(device) * (2 * width + backward_outputs) + F32 * 4)
}

/// Elements of queries, and of keys or values, of one token.
fn head_elements(config: &ModelConfig) -> [u128; 2] {
    [config.heads, config.kv_heads].map(|heads| heads as u128 * config.head_width as u128)
}

/// Elements that one block saves for one token: activations, and statistics in f32.
fn saved_per_row(config: &ModelConfig) -> [u128; 2] {
    let [q, k] = head_elements(config);
    let (normed, norms) = match config.qk_norm {
        QkNorm::None => (0, 0),
        QkNorm::PerHead => (q + k, (config.heads + config.kv_heads) as u128),
        QkNorm::FullWidth => (q + k, 2),
    };
    let (ffn, width) = (config.ffn as u128, config.width as u128);
    let activations = normed + 2 * q + 2 * k + 3 * ffn + 3 * width;
    [activations, norms + config.heads as u128 + 2]
}

/// Elements that the backward pass needs for one token.
fn backward_per_row(config: &ModelConfig) -> u128 {
    let [q, k] = head_elements(config);
    let raw = if config.qk_norm == QkNorm::None { 0 } else { q + k };
    2 * (q + k) + raw + 3 * config.ffn as u128 + 2 * config.width as u128
}
