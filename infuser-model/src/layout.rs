//! Every parameter of a model: its name in a checkpoint, its shape, and a small id. The order here is
//! the order everywhere: weights, gradients, optimizer moments, files, sums.

use infuser_kernels::{Arena, Buffer, Device};

use crate::{
    config::{ModelConfig, NormPlacement, QkNorm},
    error::Result,
};

/// Names one parameter; an index into [`Layout::params`] and every [`Tensors`] of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(usize);

impl ParamId {
    /// The position in the layout.
    pub fn index(self) -> usize {
        self.0
    }
}

/// One parameter's checkpoint name and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// As Hugging Face checkpoints spell it.
    pub name: String,
    /// Outermost axis first.
    pub axes: Vec<usize>,
}

impl Param {
    /// Number of elements. Sizes are bounded by the config's checks, so this does not overflow u128.
    pub fn elements(&self) -> u128 {
        self.axes.iter().map(|&axis| axis as u128).product()
    }
}

/// A linear layer's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: ParamId,
    /// `[out]`.
    pub bias: Option<ParamId>,
}

/// One block's parameters.
#[derive(Debug, Clone, Copy)]
pub struct LayerParams {
    /// The norm before attention, or after it, as [`NormPlacement`] says.
    pub attention_norm: ParamId,
    /// Query projection `[H·E, D]`.
    pub q: Linear,
    /// Key projection `[K·E, D]`.
    pub k: Linear,
    /// Value projection `[K·E, D]`.
    pub v: Linear,
    /// Query norm: `[E]`, `[H·E]` or none.
    pub q_norm: Option<ParamId>,
    /// Key norm: `[E]`, `[K·E]` or none.
    pub k_norm: Option<ParamId>,
    /// Output projection `[D, H·E]`.
    pub o: Linear,
    /// The norm before or after the feed-forward part.
    pub mlp_norm: ParamId,
    /// `[F, D]`.
    pub gate: Linear,
    /// `[F, D]`.
    pub up: Linear,
    /// `[D, F]`.
    pub down: Linear,
}

/// All parameters of one model.
#[derive(Debug, Clone)]
pub struct Layout {
    params: Vec<Param>,
    /// Token embeddings `[V, D]`.
    pub embedding: ParamId,
    /// One entry a layer.
    pub layers: Vec<LayerParams>,
    /// The last norm `[D]`.
    pub final_norm: ParamId,
    /// The head `[V, D]`; the embedding's id if tied.
    pub head: ParamId,
}

impl Layout {
    /// The parameters that `config` implies.
    pub fn new(config: &ModelConfig) -> Self {
        let mut params = Vec::new();
        let embedding =
            add(&mut params, "model.embed_tokens.weight", &[config.vocab, config.width]);
        let layers = (0..config.layers.len()).map(|i| layer(&mut params, config, i)).collect();
        let final_norm = add(&mut params, "model.norm.weight", &[config.width]);
        let head = if config.tied {
            embedding
        } else {
            add(&mut params, "lm_head.weight", &[config.vocab, config.width])
        };
        Self { params, embedding, layers, final_norm, head }
    }

    /// All parameters in order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Ids and parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (ParamId, &Param)> {
        self.params.iter().enumerate().map(|(i, param)| (ParamId(i), param))
    }

    /// Number of weights of the model.
    pub fn elements(&self) -> u128 {
        self.params.iter().map(Param::elements).sum()
    }
}

fn add(params: &mut Vec<Param>, name: impl Into<String>, axes: &[usize]) -> ParamId {
    params.push(Param { name: name.into(), axes: axes.to_vec() });
    ParamId(params.len() - 1)
}

fn layer(params: &mut Vec<Param>, config: &ModelConfig, index: usize) -> LayerParams {
    let prefix = format!("model.layers.{index}");
    let (width, ffn) = (config.width, config.ffn);
    let (q_width, kv_width) =
        (config.heads * config.head_width, config.kv_heads * config.head_width);
    let (first_norm, second_norm) = match config.norm_placement {
        NormPlacement::Before => ("input_layernorm", "post_attention_layernorm"),
        NormPlacement::After => ("post_attention_layernorm", "post_feedforward_layernorm"),
    };
    let mut vector =
        |name: &str, len: usize| add(params, format!("{prefix}.{name}.weight"), &[len]);
    let attention_norm = vector(first_norm, width);
    let mlp_norm = vector(second_norm, width);
    let (q_norm, k_norm) = match config.qk_norm {
        QkNorm::None => (None, None),
        QkNorm::PerHead => (Some(config.head_width), Some(config.head_width)),
        QkNorm::FullWidth => (Some(q_width), Some(kv_width)),
    };
    let q_norm = q_norm.map(|len| vector("self_attn.q_norm", len));
    let k_norm = k_norm.map(|len| vector("self_attn.k_norm", len));
    let mut linear = |name: &str, [out, input]: [usize; 2], bias: bool| Linear {
        weight: add(params, format!("{prefix}.{name}.weight"), &[out, input]),
        bias: bias.then(|| add(params, format!("{prefix}.{name}.bias"), &[out])),
    };
    LayerParams {
        attention_norm,
        q: linear("self_attn.q_proj", [q_width, width], config.qkv_bias),
        k: linear("self_attn.k_proj", [kv_width, width], config.qkv_bias),
        v: linear("self_attn.v_proj", [kv_width, width], config.qkv_bias),
        q_norm,
        k_norm,
        o: linear("self_attn.o_proj", [width, q_width], config.output_bias),
        mlp_norm,
        gate: linear("mlp.gate_proj", [ffn, width], config.mlp_bias),
        up: linear("mlp.up_proj", [ffn, width], config.mlp_bias),
        down: linear("mlp.down_proj", [width, ffn], config.mlp_bias),
    }
}

/// One buffer a parameter: weights, gradients, or an optimizer moment.
#[derive(Debug, PartialEq)]
pub struct Tensors {
    buffers: Vec<Buffer>,
}

impl Tensors {
    /// Zeros in the shapes of `layout`, in f32: gradients.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn zeros(layout: &Layout, device: Device) -> Result<Self> {
        let device = device.in_arena(Arena::Gradients);
        Self::filled(layout, |axes| device.zeros_f32(axes))
    }

    /// Zeros in the shapes of `layout`, in f32: moments, master weights.
    pub(crate) fn optimizer_zeros(layout: &Layout, device: &Device) -> Result<Self> {
        let device = device.in_arena(Arena::Optimizer);
        Self::filled(layout, |axes| device.zeros_f32(axes))
    }

    /// Zeros in the shapes of `layout`, in the device's float: weights.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn zero_weights(layout: &Layout, device: Device) -> Result<Self> {
        let device = device.in_arena(Arena::Weights);
        Self::filled(layout, |axes| device.zeros_float(axes))
    }

    fn filled(
        layout: &Layout,
        zeros: impl Fn(&[usize]) -> infuser_kernels::Result<Buffer>,
    ) -> Result<Self> {
        let buffers = layout.params().iter().map(|param| zeros(&param.axes));
        Ok(Self { buffers: buffers.collect::<infuser_kernels::Result<_>>()? })
    }

    /// A second set with the same values.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn copy(&self) -> Result<Self> {
        let buffers = self.buffers.iter().map(Buffer::copy);
        Ok(Self { buffers: buffers.collect::<infuser_kernels::Result<_>>()? })
    }

    /// The same values in f32, whatever the device's float, as an optimizer holds them.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn widened(&self) -> Result<Self> {
        let widen = |buffer: &Buffer| {
            let device = buffer.device().in_arena(Arena::Optimizer);
            let mut wide = device.zeros_f32(buffer.dims().axes())?;
            wide.view_mut().copy_from(buffer.view())?;
            Ok(wide)
        };
        let buffers = self.buffers.iter().map(widen);
        Ok(Self { buffers: buffers.collect::<infuser_kernels::Result<_>>()? })
    }

    /// One buffer a parameter, in layout order; shapes are the caller's promise.
    pub(crate) fn from_buffers(buffers: Vec<Buffer>) -> Self {
        Self { buffers }
    }

    /// The buffers in layout order.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// The buffers in layout order, to write.
    pub fn buffers_mut(&mut self) -> &mut [Buffer] {
        &mut self.buffers
    }

    /// Overwrites everything with zero.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device refuses.
    pub fn clear(&mut self) -> Result<()> {
        Ok(self.buffers.iter_mut().try_for_each(Buffer::clear)?)
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        self.buffers.iter().map(Buffer::size_bytes).sum()
    }
}

impl std::ops::Index<ParamId> for Tensors {
    type Output = Buffer;

    fn index(&self, id: ParamId) -> &Buffer {
        &self.buffers[id.0]
    }
}

impl std::ops::IndexMut<ParamId> for Tensors {
    fn index_mut(&mut self, id: ParamId) -> &mut Buffer {
        &mut self.buffers[id.0]
    }
}
