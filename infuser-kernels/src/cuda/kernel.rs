//! The list of kernels: entry symbol, source file and parameter letters. A test holds it against what
//! the sources export, both ways.

/// A `.cu` file, embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `adamw.cu`
    AdamW,
    /// `add.cu`
    Add,
    /// `advantage.cu`
    Advantage,
    /// `bias.cu`
    Bias,
    /// `cast.cu`
    Cast,
    /// `columns.cu`
    Columns,
    /// `embedding.cu`
    Embedding,
    /// `fill.cu`
    Fill,
    /// `grad_norm.cu`
    GradNorm,
    /// `influence.cu`
    Influence,
    /// `rmsnorm.cu`
    RmsNorm,
    /// `rope.cu`
    Rope,
    /// `sample.cu`
    Sample,
    /// `swiglu.cu`
    Swiglu,
}

/// What the sources include: name as written in `#include`, text.
pub const HEADERS: [(&str, &str); 5] = [
    ("device/exp.cuh", include_str!("../../../kernels-cu/device/exp.cuh")),
    ("device/philox.cuh", include_str!("../../../kernels-cu/device/philox.cuh")),
    ("device/reduce.cuh", include_str!("../../../kernels-cu/device/reduce.cuh")),
    ("device/types.cuh", include_str!("../../../kernels-cu/device/types.cuh")),
    ("device/vec.cuh", include_str!("../../../kernels-cu/device/vec.cuh")),
];

impl Source {
    /// Every source.
    pub const ALL: [Self; 14] = [
        Self::AdamW,
        Self::Add,
        Self::Advantage,
        Self::Bias,
        Self::Cast,
        Self::Columns,
        Self::Embedding,
        Self::Fill,
        Self::GradNorm,
        Self::Influence,
        Self::RmsNorm,
        Self::Rope,
        Self::Sample,
        Self::Swiglu,
    ];

    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AdamW => "adamw.cu",
            Self::Add => "add.cu",
            Self::Advantage => "advantage.cu",
            Self::Bias => "bias.cu",
            Self::Cast => "cast.cu",
            Self::Columns => "columns.cu",
            Self::Embedding => "embedding.cu",
            Self::Fill => "fill.cu",
            Self::GradNorm => "grad_norm.cu",
            Self::Influence => "influence.cu",
            Self::RmsNorm => "rmsnorm.cu",
            Self::Rope => "rope.cu",
            Self::Sample => "sample.cu",
            Self::Swiglu => "swiglu.cu",
        }
    }

    /// The file's text.
    pub fn text(self) -> &'static str {
        match self {
            Self::AdamW => include_str!("../../../kernels-cu/adamw.cu"),
            Self::Add => include_str!("../../../kernels-cu/add.cu"),
            Self::Advantage => include_str!("../../../kernels-cu/advantage.cu"),
            Self::Bias => include_str!("../../../kernels-cu/bias.cu"),
            Self::Cast => include_str!("../../../kernels-cu/cast.cu"),
            Self::Columns => include_str!("../../../kernels-cu/columns.cu"),
            Self::Embedding => include_str!("../../../kernels-cu/embedding.cu"),
            Self::Fill => include_str!("../../../kernels-cu/fill.cu"),
            Self::GradNorm => include_str!("../../../kernels-cu/grad_norm.cu"),
            Self::Influence => include_str!("../../../kernels-cu/influence.cu"),
            Self::RmsNorm => include_str!("../../../kernels-cu/rmsnorm.cu"),
            Self::Rope => include_str!("../../../kernels-cu/rope.cu"),
            Self::Sample => include_str!("../../../kernels-cu/sample.cu"),
            Self::Swiglu => include_str!("../../../kernels-cu/swiglu.cu"),
        }
    }
}

/// An entry of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// An optimizer step, and the weights in bf16.
    AdamWBf16,
    /// An optimizer step.
    AdamWF32,
    /// Sum of two tensors, in bf16.
    AddBf16,
    /// Sum of two tensors.
    AddF32,
    /// Advantages from the moments of groups.
    AdvantageApply,
    /// Mean and deviation of each group of rewards.
    AdvantageMoments,
    /// What all groups share in their divisors.
    AdvantageShared,
    /// A vector added to every row.
    BiasForward,
    /// To bf16.
    CastNarrow,
    /// To f32.
    CastWiden,
    /// Second stage of a sum over rows.
    ColumnsAdd,
    /// Second stage of a sum over rows, in f64.
    ColumnsAddF64,
    /// First stage of a sum over rows.
    ColumnsSum,
    /// Gradient of a table, from tokens sorted by id.
    EmbeddingBackward,
    /// Rows of a table.
    EmbeddingForward,
    /// One value everywhere, in bf16.
    FillBf16,
    /// One value everywhere.
    FillF32,
    /// First stage of a sum of squares.
    GradNorm,
    /// The sums behind the scores of questions, tile by tile.
    InfluenceSums,
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
    /// Tokens from rows of logits.
    Sample,
    /// A tensor times a number.
    Scale,
    /// The gated activation.
    SwigluForward,
    /// Gradients of both of its inputs.
    SwigluBackward,
}

impl Kernel {
    /// Every kernel.
    pub const ALL: [Self; 28] = [
        Self::AdamWBf16,
        Self::AdamWF32,
        Self::AddBf16,
        Self::AddF32,
        Self::AdvantageApply,
        Self::AdvantageMoments,
        Self::AdvantageShared,
        Self::BiasForward,
        Self::CastNarrow,
        Self::CastWiden,
        Self::ColumnsAdd,
        Self::ColumnsAddF64,
        Self::ColumnsSum,
        Self::EmbeddingBackward,
        Self::EmbeddingForward,
        Self::FillBf16,
        Self::FillF32,
        Self::GradNorm,
        Self::InfluenceSums,
        Self::RmsNormForward,
        Self::RmsNormForwardAdd,
        Self::RmsNormBackward,
        Self::RmsNormBackwardWeight,
        Self::Rope,
        Self::Sample,
        Self::Scale,
        Self::SwigluForward,
        Self::SwigluBackward,
    ];

    const fn row(self) -> (Source, &'static str, &'static str) {
        match self {
            Self::AdamWBf16 => (Source::AdamW, "adamw_bf16", "fFFFBixxxxxxxxx"),
            Self::AdamWF32 => (Source::AdamW, "adamw_f32", "fFFFixxxxxxxxx"),
            Self::AddBf16 => (Source::Add, "add_bf16", "bBi"),
            Self::AddF32 => (Source::Add, "add_f32", "fFi"),
            Self::AdvantageApply => (Source::Advantage, "advantage_apply_f32", "fuuddFi"),
            Self::AdvantageMoments => (Source::Advantage, "advantage_moments_f32", "fuuDi"),
            Self::AdvantageShared => (Source::Advantage, "advantage_shared_f32", "fuudDii"),
            Self::BiasForward => (Source::Bias, "bias_fwd_bf16", "bBii"),
            Self::CastNarrow => (Source::Cast, "cast_f32_bf16", "fBi"),
            Self::CastWiden => (Source::Cast, "cast_bf16_f32", "bFi"),
            Self::ColumnsAdd => (Source::Columns, "columns_add_f32", "fFii"),
            Self::ColumnsAddF64 => (Source::Columns, "columns_add_f64", "dDii"),
            Self::ColumnsSum => (Source::Columns, "columns_sum_bf16", "bFiii"),
            Self::EmbeddingBackward => (Source::Embedding, "embedding_bwd_bf16", "buuuFi"),
            Self::EmbeddingForward => (Source::Embedding, "embedding_fwd_bf16", "buBii"),
            Self::FillBf16 => (Source::Fill, "fill_bf16", "Bix"),
            Self::FillF32 => (Source::Fill, "fill_f32", "Fix"),
            Self::GradNorm => (Source::GradNorm, "sum_of_squares_f32", "fDi"),
            Self::InfluenceSums => (Source::Influence, "influence_sums_f32", "fffDiiiixxx"),
            Self::RmsNormForward => (Source::RmsNorm, "rmsnorm_fwd_bf16", "bbBFiix"),
            Self::RmsNormForwardAdd => (Source::RmsNorm, "rmsnorm_fwd_add_bf16", "bbbBBFiix"),
            Self::RmsNormBackward => (Source::RmsNorm, "rmsnorm_bwd_bf16", "bbbfBiii"),
            Self::RmsNormBackwardWeight => (Source::RmsNorm, "rmsnorm_bwd_weight_bf16", "bbfFiii"),
            Self::Rope => (Source::Rope, "rope_bf16", "Buffiii"),
            Self::Sample => (Source::Sample, "sample_f32", "fuuFUFi"),
            Self::Scale => (Source::Add, "scale_f32", "Fix"),
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

    /// One letter a parameter: `b`, `f`, `d`, `u` memory of bf16, f32, f64, u32, a capital where the kernel may
    /// write; `i` a u32, `x` an f32.
    pub fn signature(self) -> &'static str {
        self.row().2
    }
}
