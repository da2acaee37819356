//! What a model is made of: the sizes and choices that `config.json` settles, checked once.

mod parse;
mod rope;

use std::path::Path;

use crate::error::{Error, Result};

pub use infuser_kernels::ops::rope::Scaling as RopeScaling;
pub use parse::KNOWN_MODEL_TYPES;
pub use rope::Rope;

/// Where a block normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// The input of attention and of the feed-forward part (Llama, Qwen).
    Before,
    /// Their output, before it joins the residual stream (OLMo 2 and 3).
    After,
}

/// Normalisation of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNorm {
    /// None (Llama, Qwen2).
    None,
    /// Each head by itself, one weight vector for all heads (Qwen3).
    PerHead,
    /// All heads of a token together (OLMo 2 and 3).
    FullWidth,
}

/// One layer's attention pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerKind {
    /// Sliding window; `None` sees everything before.
    pub window: Option<usize>,
    /// Index into [`ModelConfig::ropes`].
    pub rope: usize,
}

/// A checked model description. Every field is what the arithmetic uses; spelling variants of the
/// file are gone.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// `model_type` of the file, for example `qwen3`.
    pub model_type: String,
    /// Vocabulary V.
    pub vocab: usize,
    /// Width D of the residual stream.
    pub width: usize,
    /// Width F of the feed-forward part.
    pub ffn: usize,
    /// Query heads H.
    pub heads: usize,
    /// Key and value heads K; divides H.
    pub kv_heads: usize,
    /// Head width E.
    pub head_width: usize,
    /// One entry a layer.
    pub layers: Vec<LayerKind>,
    /// The rotary embeddings that layers name; at least one.
    pub ropes: Vec<Rope>,
    /// ε of every norm.
    pub norm_epsilon: f32,
    /// Where blocks normalise.
    pub norm_placement: NormPlacement,
    /// Normalisation of queries and keys.
    pub qk_norm: QkNorm,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Whether the attention output projection has a bias.
    pub output_bias: bool,
    /// Whether the feed-forward projections have biases.
    pub mlp_bias: bool,
    /// Whether the head's weight is the embedding table.
    pub tied: bool,
    /// The longest sequence the model was made for.
    pub max_positions: usize,
    /// Tokens that end a generation, of `config.json` and `generation_config.json`.
    pub eos_tokens: Vec<u32>,
}

impl ModelConfig {
    /// Reads `config.json` (and the end-of-sequence tokens of `generation_config.json`, if there)
    /// of a model folder.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Config`] naming the key that is missing, out of
    /// range or not supported.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = read_small(&path)?;
        let mut config = Self::parse(&path, &text)?;
        let path = folder.join("generation_config.json");
        if path.is_file() {
            parse::add_eos_tokens(&mut config, &path, &read_small(&path)?)?;
        }
        Ok(config)
    }

    /// Parses the bytes of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key that is missing, out of range or not supported.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        parse::config(path, text)
    }

    /// Query heads that share one key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Factor on attention scores, `1/√E`.
    pub fn attention_scale(&self) -> f32 {
        (1.0 / (self.head_width as f64).sqrt()) as f32
    }
}

/// The largest JSON file that is read whole; real ones are kilobytes.
const JSON_LIMIT_BYTES: u64 = 64 << 20;

/// Reads a file that is expected to be small.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
    if size > JSON_LIMIT_BYTES {
        let problem = format!("{size} bytes is too large for this file; is it the right one?");
        return Err(Error::config(path, problem));
    }
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    // The JSON parser does not look inside values that nobody asks for.
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Error::config(path, format!("not UTF-8 text: {error}"))),
    }
}
