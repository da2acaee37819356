//! How many bytes a model takes, from its config alone: for plans made before anything is allocated.

use infuser_kernels::{Device, ops::paged::Blocks};

use crate::{
    config::{ModelConfig, QkNorm},
    layout::Layout,
    workspace::Keep,
};

/// Bytes of one f32.
const F32: u128 = 4;

/// Bytes of one set of tensors in the shapes of the weights, as held (f32).
pub fn weights_bytes(config: &ModelConfig) -> u128 {
    F32 * Layout::new(config).elements()
}

/// Bytes that training holds besides activations: weights, gradients and two moments.
pub fn training_state_bytes(config: &ModelConfig) -> u128 {
    4 * weights_bytes(config)
}

/// Bytes of keys and values for one token of a cache.
pub fn cache_bytes_per_token(config: &ModelConfig, device: &Device) -> u128 {
    let heads = [config.kv_heads, config.head_width];
    (config.layers.len() * Blocks::bytes_per_token(device, heads)) as u128
}

/// Bytes of a [`crate::Workspace`] for a batch of `rows` tokens with `outputs` outputs, without its
/// rotation tables; with the backward memory unless nothing is kept.
pub fn workspace_bytes(config: &ModelConfig, keep: Keep, rows: usize, outputs: usize) -> u128 {
    let blocks = config.layers.len() as u128;
    let (streams, saved) = match keep {
        Keep::Nothing => (2, 1),
        Keep::BlockInputs => (blocks + 1, 1),
        Keep::Everything => (blocks + 1, blocks),
    };
    let width = config.width as u128;
    let backward = if keep == Keep::Nothing { 0 } else { backward_per_row(config) };
    let per_row = streams * width + saved * saved_per_row(config) + backward;
    // Gathered, normed, 1/rms, and the three outputs.
    let backward_outputs = if keep == Keep::Nothing { 0 } else { 2 * width };
    F32 * (rows as u128 * per_row + outputs as u128 * (2 * width + 4 + backward_outputs))
}

/// Elements of queries, and of keys or values, of one token.
fn head_elements(config: &ModelConfig) -> [u128; 2] {
    [config.heads, config.kv_heads].map(|heads| (heads * config.head_width) as u128)
}

/// Elements that one block saves for one token.
fn saved_per_row(config: &ModelConfig) -> u128 {
    let [q, k] = head_elements(config);
    let norms = match config.qk_norm {
        QkNorm::None => 0,
        QkNorm::PerHead => q + k + (config.heads + config.kv_heads) as u128,
        QkNorm::FullWidth => q + k + 2,
    };
    let attention = norms + 2 * q + 2 * k + config.heads as u128;
    let (ffn, width) = (config.ffn as u128, config.width as u128);
    attention + 3 * ffn + 3 * width + 2
}

/// Elements that the backward pass needs for one token.
fn backward_per_row(config: &ModelConfig) -> u128 {
    let [q, k] = head_elements(config);
    let raw = if config.qk_norm == QkNorm::None { 0 } else { q + k };
    2 * (q + k) + raw + 3 * config.ffn as u128 + 2 * config.width as u128
}
