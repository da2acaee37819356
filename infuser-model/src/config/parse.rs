//! From the bytes of `config.json` to a checked [`ModelConfig`].
//!
//! Keys are as transformers 4 and 5 write them: `rope_theta` with `rope_scaling`, or
//! `rope_parameters`, flat or by layer type. Defaults for absent keys are those of the family's
//! configuration class there.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;

use super::{LayerKind, ModelConfig, NormPlacement, QkNorm, Rope, rope::RawRope};
use crate::error::{Error, Result};

/// The values of `model_type` that this crate runs.
pub const KNOWN_MODEL_TYPES: [&str; 5] = ["llama", "olmo2", "olmo3", "qwen2", "qwen3"];

/// No real model comes near these; a file that does is damaged or hostile.
const MAX_LAYERS: usize = 4096;
const MAX_SIZE: usize = 1 << 31;

#[derive(Debug, Deserialize)]
struct Raw {
    model_type: Option<String>,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RawRope>,
    rope_parameters: Option<Value>,
    /// Absent means the family's default, null means none.
    #[serde(default, deserialize_with = "present")]
    sliding_window: Option<Option<usize>>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    eos_token_id: Option<Value>,
}

/// Keeps a null apart from an absent key.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<usize>>, D::Error> {
    Option::<usize>::deserialize(deserializer).map(Some)
}

/// The window of layers that slide, in the classes that have the key.
const DEFAULT_WINDOW: usize = 4096;

impl Raw {
    /// The window of layers that slide; `None` if the family has none or it is switched off.
    fn window(&self, family: &Family) -> Option<usize> {
        let on = match family.windows {
            Windows::Never => false,
            Windows::FromLayer => self.use_sliding_window.unwrap_or(false),
            Windows::ThreeOfFour => true,
        };
        self.sliding_window.unwrap_or(Some(DEFAULT_WINDOW)).filter(|_| on)
    }
}

/// What a family adds to the common keys.
struct Family {
    norm_placement: NormPlacement,
    qk_norm: QkNorm,
    norm_epsilon: f64,
    /// Used if `head_dim` is absent; `None` for hidden size over heads.
    head_width: Option<usize>,
    max_positions: usize,
    biases: Biases,
    windows: Windows,
}

/// Which projections have biases.
enum Biases {
    /// Query, key and value, always.
    Qkv,
    /// All four of attention if `attention_bias` says so.
    Attention,
    /// As `Attention`, and the feed-forward ones if `mlp_bias` says so.
    AttentionAndMlp,
}

/// Which layers slide if `layer_types` is absent.
enum Windows {
    Never,
    /// Layers from `max_window_layers` on, if `use_sliding_window` says so.
    FromLayer,
    /// All but every fourth layer.
    ThreeOfFour,
}

impl Family {
    fn of(model_type: &str) -> Option<Self> {
        let plain = |norm_epsilon, biases, windows| Self {
            norm_placement: NormPlacement::Before,
            qk_norm: QkNorm::None,
            norm_epsilon,
            head_width: None,
            max_positions: 2048,
            biases,
            windows,
        };
        let qwen =
            |biases| Self { max_positions: 32768, ..plain(1e-6, biases, Windows::FromLayer) };
        let olmo = |windows| Self {
            norm_placement: NormPlacement::After,
            qk_norm: QkNorm::FullWidth,
            ..plain(1e-5, Biases::Attention, windows)
        };
        Some(match model_type {
            "llama" => plain(1e-6, Biases::AttentionAndMlp, Windows::Never),
            "olmo2" => olmo(Windows::Never),
            "olmo3" => olmo(Windows::ThreeOfFour),
            "qwen2" => qwen(Biases::Qkv),
            "qwen3" => {
                Self { qk_norm: QkNorm::PerHead, head_width: Some(128), ..qwen(Biases::Attention) }
            }
            _ => return None,
        })
    }
}

pub(super) fn config(path: &Path, text: &[u8]) -> Result<ModelConfig> {
    let raw: Raw = serde_json::from_slice(text)
        .map_err(|error| Error::config(path, format!("not a valid model config: {error}")))?;
    resolve(raw).map_err(|problem| Error::config(path, problem))
}

/// Adds the tokens under `eos_token_id` of a `generation_config.json`.
pub(super) fn add_eos_tokens(config: &mut ModelConfig, path: &Path, text: &[u8]) -> Result<()> {
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| Error::config(path, format!("not valid JSON: {error}")))?;
    let more = tokens(value.get("eos_token_id"), config.vocab)
        .map_err(|problem| Error::config(path, problem))?;
    config.eos_tokens.extend(more);
    let mut seen = HashSet::new();
    config.eos_tokens.retain(|token| seen.insert(*token));
    Ok(())
}

/// An id outside the vocabulary is left out: a model with few tokens may have kept the id of its family, which
/// it can never draw.
fn tokens(value: Option<&Value>, vocab: usize) -> std::result::Result<Vec<u32>, String> {
    let one = |value: &Value| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| format!("`eos_token_id` holds {value}, expected token ids"))
    };
    let mut ids = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(one).collect::<std::result::Result<_, _>>()?,
        Some(value) => vec![one(value)?],
    };
    ids.retain(|id| (*id as usize) < vocab);
    Ok(ids)
}

fn resolve(raw: Raw) -> std::result::Result<ModelConfig, String> {
    let model_type = raw.model_type.clone().ok_or("`model_type` is missing")?;
    let Some(family) = Family::of(&model_type) else {
        let known = KNOWN_MODEL_TYPES.join(", ");
        return Err(format!("model_type `{model_type}` is not supported; known: {known}"));
    };
    let heads = size("num_attention_heads", raw.num_attention_heads)?;
    let kv_heads = size("num_key_value_heads", raw.num_key_value_heads.or(Some(heads)))?;
    let width = size("hidden_size", raw.hidden_size)?;
    if heads % kv_heads != 0 {
        return Err(format!(
            "`num_attention_heads` {heads} is not a multiple of `num_key_value_heads` {kv_heads}"
        ));
    }
    let head_width = match raw.head_dim.or(family.head_width) {
        Some(head_width) => size("head_dim", Some(head_width))?,
        None if width % heads == 0 => width / heads,
        None => {
            return Err(format!(
                "`hidden_size` {width} is not a multiple of `num_attention_heads` {heads}"
            ));
        }
    };
    if head_width % 2 != 0 {
        return Err(format!("`head_dim` {head_width} is odd; rotary embedding needs pairs"));
    }
    if let Some(other) = raw.hidden_act.as_deref().filter(|&act| act != "silu") {
        return Err(format!("`hidden_act` is `{other}`; only `silu` is supported"));
    }
    let epsilon = raw.rms_norm_eps.unwrap_or(family.norm_epsilon);
    if !(0.0..1.0).contains(&epsilon) {
        return Err(format!("`rms_norm_eps` is {epsilon}, expected a small positive number"));
    }
    let max_positions = size(
        "max_position_embeddings",
        raw.max_position_embeddings.or(Some(family.max_positions)),
    )?;
    let attention_bias = raw.attention_bias.unwrap_or(false);
    let (qkv_bias, output_bias, mlp_bias) = match family.biases {
        Biases::Qkv => (true, false, false),
        Biases::Attention => (attention_bias, attention_bias, false),
        Biases::AttentionAndMlp => (attention_bias, attention_bias, raw.mlp_bias.unwrap_or(false)),
    };
    let (layers, ropes) = layers(&raw, &family, &model_type, max_positions)?;
    let vocab = size("vocab_size", raw.vocab_size)?;
    Ok(ModelConfig {
        vocab,
        width,
        ffn: size("intermediate_size", raw.intermediate_size)?,
        heads,
        kv_heads,
        head_width,
        layers,
        ropes,
        norm_epsilon: epsilon as f32,
        norm_placement: family.norm_placement,
        qk_norm: family.qk_norm,
        qkv_bias,
        output_bias,
        mlp_bias,
        tied: raw.tie_word_embeddings.unwrap_or(false),
        max_positions,
        eos_tokens: tokens(raw.eos_token_id.as_ref(), vocab)?,
        model_type,
    })
}

fn size(name: &str, value: Option<usize>) -> std::result::Result<usize, String> {
    match value {
        None => Err(format!("`{name}` is missing")),
        Some(value) if (1..=MAX_SIZE).contains(&value) => Ok(value),
        Some(value) => Err(format!("`{name}` is {value}, expected 1 to {MAX_SIZE}")),
    }
}

/// Whether each layer slides.
fn sliding(raw: &Raw, family: &Family, count: usize) -> std::result::Result<Vec<bool>, String> {
    if let Some(types) = &raw.layer_types {
        if types.len() != count {
            let got = types.len();
            return Err(format!("`layer_types` has {got} entries for {count} layers"));
        }
        return types
            .iter()
            .map(|kind| match kind.as_str() {
                "full_attention" => Ok(false),
                "sliding_attention" => Ok(true),
                other => Err(format!(
                    "layer type `{other}` is not supported; known: full_attention, sliding_attention"
                )),
            })
            .collect();
    }
    Ok(match family.windows {
        Windows::Never => vec![false; count],
        Windows::FromLayer => {
            let from = raw.max_window_layers.unwrap_or(28);
            let on = raw.window(family).is_some();
            (0..count).map(|layer| on && layer >= from).collect()
        }
        Windows::ThreeOfFour => (0..count).map(|layer| (layer + 1) % 4 != 0).collect(),
    })
}

fn layers(
    raw: &Raw,
    family: &Family,
    model_type: &str,
    max_positions: usize,
) -> std::result::Result<(Vec<LayerKind>, Vec<Rope>), String> {
    let count = size("num_hidden_layers", raw.num_hidden_layers)?;
    if count > MAX_LAYERS {
        return Err(format!("`num_hidden_layers` is {count}, expected at most {MAX_LAYERS}"));
    }
    let sliding = sliding(raw, family, count)?;
    let used = [false, true].map(|slides| sliding.contains(&slides));
    let window = match (raw.window(family), used[1]) {
        (_, false) => None,
        (Some(window), true) => Some(size("sliding_window", Some(window))?),
        (None, true) => {
            return Err(format!(
                "`layer_types` slide, but `sliding_window` is null or switched off, or {model_type} \
                 models have none"
            ));
        }
    };
    let [full, slide] = ropes(raw, model_type, max_positions, used)?;
    let ropes = match used {
        [true, true] if full != slide => vec![full, slide],
        [false, true] => vec![slide],
        _ => vec![full],
    };
    let layers = sliding
        .into_iter()
        .map(|slides| LayerKind {
            window: if slides { window } else { None },
            rope: if slides { ropes.len() - 1 } else { 0 },
        })
        .collect();
    Ok((layers, ropes))
}

/// The rotary embeddings of full and of sliding layers.
///
/// OLMo 3 scales only its full layers; the others keep the plain base. Of the two kinds only those
/// that are `used` need an entry.
fn ropes(
    raw: &Raw,
    model_type: &str,
    max_positions: usize,
    used: [bool; 2],
) -> std::result::Result<[Rope; 2], String> {
    let theta = raw.rope_theta.unwrap_or(10_000.0);
    let entry = |value: &Value| -> std::result::Result<RawRope, String> {
        serde_json::from_value(value.clone()).map_err(|e| format!("`rope_parameters`: {e}"))
    };
    let both = |rope: RawRope| -> std::result::Result<[Rope; 2], String> {
        let full = rope.resolve(theta, max_positions)?;
        let plain = Rope { scaling: super::RopeScaling::None, ..full };
        Ok([full, if model_type == "olmo3" { plain } else { full }])
    };
    match &raw.rope_parameters {
        None | Some(Value::Null) => both(raw.rope_scaling.clone().unwrap_or_default()),
        Some(value) => {
            let by_type: BTreeMap<String, Value> = serde_json::from_value(value.clone())
                .map_err(|e| format!("`rope_parameters`: {e}"))?;
            let kinds = ["full_attention", "sliding_attention"];
            if !kinds.iter().any(|kind| by_type.contains_key(*kind)) {
                return both(entry(value)?);
            }
            let read = |kind: &str| match by_type.get(kind) {
                Some(value) => entry(value)?.resolve(theta, max_positions),
                None => Err(format!("`rope_parameters` has no `{kind}`")),
            };
            match used {
                [true, true] => Ok([read(kinds[0])?, read(kinds[1])?]),
                [_, slides] => read(kinds[usize::from(slides)]).map(|rope| [rope, rope]),
            }
        }
    }
}
