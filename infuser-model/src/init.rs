//! Fresh weights, for models that are trained from nothing.

use infuser_kernels::{Device, rng::Stream};

use crate::{Model, ModelConfig, error::Result, layout::Layout, layout::Tensors};

/// Deviation of fresh embeddings.
const EMBEDDING: f64 = 0.05;

impl Model {
    /// A model with fresh weights that depend on config and seed alone.
    ///
    /// Norms are 1 and biases 0. A linear layer of `n` inputs has deviation `1/√n`; those that write to
    /// the residual stream are smaller by `√(2L)`, so that the stream's scale does not grow with depth
    /// (Radford et al. 2019).
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn fresh(config: ModelConfig, seed: u64, device: Device) -> Result<Self> {
        let layout = Layout::new(&config);
        let mut weights = Tensors::zero_weights(&layout, device)?;
        let root = Stream::new(seed);
        let residual = 1.0 / (2.0 * config.layers.len() as f64).sqrt();
        for (id, param) in layout.iter() {
            let stream = root.child(id.index() as u64);
            let count = param.axes.iter().product::<usize>();
            let writes = |name: &str| param.name.ends_with(name);
            let deviation = match param.axes[..] {
                [_, _] if id == layout.embedding || id == layout.head => EMBEDDING,
                [_, inputs] => {
                    let scale = 1.0 / (inputs as f64).sqrt();
                    if writes("o_proj.weight") || writes("down_proj.weight") {
                        scale * residual
                    } else {
                        scale
                    }
                }
                _ => 0.0,
            };
            let constant = if writes("bias") { 0.0 } else { 1.0 };
            let value = |i: usize| match deviation {
                0.0 => constant,
                _ => (deviation * stream.normal(i as u64)) as f32,
            };
            weights[id].copy_from_f32(&(0..count).map(value).collect::<Vec<_>>())?;
        }
        Self::new(config, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_weights_have_their_scales() {
        let text = br#"{"model_type": "qwen3", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 64, "hidden_act": "silu",
            "attention_bias": false, "tie_word_embeddings": true}"#;
        let config = ModelConfig::parse("config.json".as_ref(), text).unwrap();
        let model = Model::fresh(config.clone(), 3, Device::Cpu).unwrap();
        for (id, param) in model.layout().iter() {
            let values = model.weights()[id].to_f32().unwrap();
            let square = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            let deviation = (square / values.len() as f64).sqrt();
            let expected = match &param.name[..] {
                "model.embed_tokens.weight" => 0.05,
                name if name.ends_with("o_proj.weight") => 1.0 / 64f64.sqrt() / 2.0,
                name if name.ends_with("down_proj.weight") => 1.0 / 96f64.sqrt() / 2.0,
                name if name.ends_with("norm.weight") => 1.0,
                _ => 1.0 / 64f64.sqrt(),
            };
            assert!((deviation / expected - 1.0).abs() < 0.05, "{}: {deviation}", param.name);
        }
        let again = Model::fresh(config.clone(), 3, Device::Cpu).unwrap();
        let other = Model::fresh(config, 4, Device::Cpu).unwrap();
        let first = |model: &Model| model.weights().buffers()[0].to_f32().unwrap();
        assert_eq!(first(&model), first(&again));
        assert_ne!(first(&model), first(&other));
    }
}
