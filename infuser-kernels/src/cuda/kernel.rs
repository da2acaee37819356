//! The list of kernels: entry symbol, source file and parameter letters. A test holds it against what
//! the sources export, both ways.

/// A `.cu` file, embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `attention_bwd.cu`
    AttentionBackward,
    /// `attention_fwd.cu`
    AttentionForward,
    /// `columns.cu`
    Columns,
    /// `head.cu`
    Head,
    /// `paged.cu`
    Paged,
    /// `rmsnorm.cu`
    RmsNorm,
    /// `rope.cu`
    Rope,
    /// `swiglu.cu`
    Swiglu,
}

/// What the sources include: name as written in `#include`, text.
pub const HEADERS: [(&str, &str); 8] = [
    ("device/matrix.cuh", include_str!("../../../kernels-cu/device/matrix.cuh")),
    ("device/moment.cuh", include_str!("../../../kernels-cu/device/moment.cuh")),
    ("device/reduce.cuh", include_str!("../../../kernels-cu/device/reduce.cuh")),
    ("device/segment.cuh", include_str!("../../../kernels-cu/device/segment.cuh")),
    ("device/softmax.cuh", include_str!("../../../kernels-cu/device/softmax.cuh")),
    ("device/tile.cuh", include_str!("../../../kernels-cu/device/tile.cuh")),
    ("device/types.cuh", include_str!("../../../kernels-cu/device/types.cuh")),
    ("device/vec.cuh", include_str!("../../../kernels-cu/device/vec.cuh")),
];

impl Source {
    /// Every source.
    pub const ALL: [Self; 8] = [
        Self::AttentionBackward,
        Self::AttentionForward,
        Self::Columns,
        Self::Head,
        Self::Paged,
        Self::RmsNorm,
        Self::Rope,
        Self::Swiglu,
    ];

    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttentionBackward => "attention_bwd.cu",
            Self::AttentionForward => "attention_fwd.cu",
            Self::Columns => "columns.cu",
            Self::Head => "head.cu",
            Self::Paged => "paged.cu",
            Self::RmsNorm => "rmsnorm.cu",
            Self::Rope => "rope.cu",
            Self::Swiglu => "swiglu.cu",
        }
    }

    /// The file's text.
    pub fn text(self) -> &'static str {
        match self {
            Self::AttentionBackward => include_str!("../../../kernels-cu/attention_bwd.cu"),
            Self::AttentionForward => include_str!("../../../kernels-cu/attention_fwd.cu"),
            Self::Columns => include_str!("../../../kernels-cu/columns.cu"),
            Self::Head => include_str!("../../../kernels-cu/head.cu"),
            Self::Paged => include_str!("../../../kernels-cu/paged.cu"),
            Self::RmsNorm => include_str!("../../../kernels-cu/rmsnorm.cu"),
            Self::Rope => include_str!("../../../kernels-cu/rope.cu"),
            Self::Swiglu => include_str!("../../../kernels-cu/swiglu.cu"),
        }
    }
}

/// An entry of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Rows' products of output and gradient.
    AttentionBackwardDot,
    /// Key and value gradients of attention, heads of up to 64.
    AttentionBackwardKv64,
    /// Key and value gradients of attention, heads of up to 128.
    AttentionBackwardKv128,
    /// Query gradient of attention, heads of up to 64.
    AttentionBackwardQ64,
    /// Query gradient of attention, heads of up to 128.
    AttentionBackwardQ128,
    /// Attention over packed segments, heads of up to 64.
    AttentionForward64,
    /// Attention over packed segments, heads of up to 128.
    AttentionForward128,
    /// Second stage of a sum over rows.
    ColumnsAdd,
    /// Gradient of a tile of logits.
    HeadBackwardTile,
    /// Log-probability and entropy of rows whose tiles are summed.
    HeadForwardFinish,
    /// Sums of a tile of logits.
    HeadForwardTile,
    /// Keys and values of rows to their places in a cache.
    KvAppend,
    /// One block of a cache to another.
    KvCopy,
    /// Attention over a cache, heads of up to 64.
    PagedAttention64,
    /// Attention over a cache, heads of up to 128.
    PagedAttention128,
    /// Second stage of attention over a cache, for long rows.
    PagedCombine,
    /// Norm of rows.
    RmsNormForward,
    /// Residual add and norm of rows.
    RmsNormForwardAdd,
    /// Input gradient of the norm.
    RmsNormBackward,
    /// First stage of the weight gradient of the norm.
    RmsNormBackwardWeight,
    /// Rotary position embedding, or its transpose.
    Rope,
    /// The gated activation.
    SwigluForward,
    /// Gradients of both of its inputs.
    SwigluBackward,
}

impl Kernel {
    /// Every kernel.
    pub const ALL: [Self; 23] = [
        Self::AttentionBackwardDot,
        Self::AttentionBackwardKv64,
        Self::AttentionBackwardKv128,
        Self::AttentionBackwardQ64,
        Self::AttentionBackwardQ128,
        Self::AttentionForward64,
        Self::AttentionForward128,
        Self::ColumnsAdd,
        Self::HeadBackwardTile,
        Self::HeadForwardFinish,
        Self::HeadForwardTile,
        Self::KvAppend,
        Self::KvCopy,
        Self::PagedAttention64,
        Self::PagedAttention128,
        Self::PagedCombine,
        Self::RmsNormForward,
        Self::RmsNormForwardAdd,
        Self::RmsNormBackward,
        Self::RmsNormBackwardWeight,
        Self::Rope,
        Self::SwigluForward,
        Self::SwigluBackward,
    ];

    const fn row(self) -> (Source, &'static str, &'static str) {
        match self {
            Self::AttentionBackwardDot => {
                (Source::AttentionBackward, "attention_bwd_dot_bf16", "bbFii")
            }
            Self::AttentionBackwardKv64 => {
                (Source::AttentionBackward, "attention_bwd_kv_64_bf16", "bbbbffBBuuiiiix")
            }
            Self::AttentionBackwardKv128 => {
                (Source::AttentionBackward, "attention_bwd_kv_128_bf16", "bbbbffBBuuiiiix")
            }
            Self::AttentionBackwardQ64 => {
                (Source::AttentionBackward, "attention_bwd_q_64_bf16", "bbbbffBuiiix")
            }
            Self::AttentionBackwardQ128 => {
                (Source::AttentionBackward, "attention_bwd_q_128_bf16", "bbbbffBuiiix")
            }
            Self::AttentionForward64 => {
                (Source::AttentionForward, "attention_fwd_64_bf16", "bbbBFuiiix")
            }
            Self::AttentionForward128 => {
                (Source::AttentionForward, "attention_fwd_128_bf16", "bbbBFuiiix")
            }
            Self::ColumnsAdd => (Source::Columns, "columns_add_f32", "fFii"),
            Self::HeadBackwardTile => (Source::Head, "head_bwd_tile_bf16", "fuffffBiiix"),
            Self::HeadForwardFinish => (Source::Head, "head_fwd_finish_f32", "fFFFi"),
            Self::HeadForwardTile => (Source::Head, "head_fwd_tile_f32", "fuFiix"),
            Self::KvAppend => (Source::Paged, "kv_append_bf16", "bbuBBi"),
            Self::KvCopy => (Source::Paged, "kv_copy_bf16", "BBiii"),
            Self::PagedAttention64 => (Source::Paged, "paged_attention_64_bf16", "bbbBFFuuiiiiiix"),
            Self::PagedAttention128 => {
                (Source::Paged, "paged_attention_128_bf16", "bbbBFFuuiiiiiix")
            }
            Self::PagedCombine => (Source::Paged, "paged_combine_bf16", "fuBFiii"),
            Self::RmsNormForward => (Source::RmsNorm, "rmsnorm_fwd_bf16", "bbBFiix"),
            Self::RmsNormForwardAdd => (Source::RmsNorm, "rmsnorm_fwd_add_bf16", "bbbBBFiix"),
            Self::RmsNormBackward => (Source::RmsNorm, "rmsnorm_bwd_bf16", "bbbfBiii"),
            Self::RmsNormBackwardWeight => (Source::RmsNorm, "rmsnorm_bwd_weight_bf16", "bbfFiii"),
            Self::Rope => (Source::Rope, "rope_bf16", "Buffiii"),
            Self::SwigluForward => (Source::Swiglu, "swiglu_fwd_bf16", "bbBi"),
            Self::SwigluBackward => (Source::Swiglu, "swiglu_bwd_bf16", "bbbBBi"),
        }
    }

    /// Where it stands.
    pub fn source(self) -> Source {
        self.row().0
    }

    /// The entry symbol.
    pub fn symbol(self) -> &'static str {
        self.row().1
    }

    /// One letter a parameter: `b`, `f`, `u` memory of bf16, f32, u32, a capital where the kernel may
    /// write; `i` a u32, `x` an f32.
    pub fn signature(self) -> &'static str {
        self.row().2
    }
}
