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
    /// `attention_bwd.cu`
    AttentionBackward,
    /// `attention_fwd.cu`
    AttentionForward,
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
    /// `head.cu`
    Head,
    /// `influence.cu`
    Influence,
    /// `paged.cu`
    Paged,
    /// `question_rows.cu`
    QuestionRows,
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
pub const HEADERS: [(&str, &str); 10] = [
    ("device/exp.cuh", include_str!("../../../kernels-cu/device/exp.cuh")),
    ("device/matrix.cuh", include_str!("../../../kernels-cu/device/matrix.cuh")),
    ("device/moment.cuh", include_str!("../../../kernels-cu/device/moment.cuh")),
    ("device/philox.cuh", include_str!("../../../kernels-cu/device/philox.cuh")),
    ("device/reduce.cuh", include_str!("../../../kernels-cu/device/reduce.cuh")),
    ("device/segment.cuh", include_str!("../../../kernels-cu/device/segment.cuh")),
    ("device/softmax.cuh", include_str!("../../../kernels-cu/device/softmax.cuh")),
    ("device/tile.cuh", include_str!("../../../kernels-cu/device/tile.cuh")),
    ("device/types.cuh", include_str!("../../../kernels-cu/device/types.cuh")),
    ("device/vec.cuh", include_str!("../../../kernels-cu/device/vec.cuh")),
];

impl Source {
    /// Every source.
    pub const ALL: [Self; 19] = [
        Self::AdamW,
        Self::Add,
        Self::Advantage,
        Self::AttentionBackward,
        Self::AttentionForward,
        Self::Bias,
        Self::Cast,
        Self::Columns,
        Self::Embedding,
        Self::Fill,
        Self::GradNorm,
        Self::Head,
        Self::Influence,
        Self::Paged,
        Self::QuestionRows,
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
            Self::AttentionBackward => "attention_bwd.cu",
            Self::AttentionForward => "attention_fwd.cu",
            Self::Bias => "bias.cu",
            Self::Cast => "cast.cu",
            Self::Columns => "columns.cu",
            Self::Embedding => "embedding.cu",
            Self::Fill => "fill.cu",
            Self::GradNorm => "grad_norm.cu",
            Self::Head => "head.cu",
            Self::Influence => "influence.cu",
            Self::Paged => "paged.cu",
            Self::QuestionRows => "question_rows.cu",
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
            Self::AttentionBackward => include_str!("../../../kernels-cu/attention_bwd.cu"),
            Self::AttentionForward => include_str!("../../../kernels-cu/attention_fwd.cu"),
            Self::Bias => include_str!("../../../kernels-cu/bias.cu"),
            Self::Cast => include_str!("../../../kernels-cu/cast.cu"),
            Self::Columns => include_str!("../../../kernels-cu/columns.cu"),
            Self::Embedding => include_str!("../../../kernels-cu/embedding.cu"),
            Self::Fill => include_str!("../../../kernels-cu/fill.cu"),
            Self::GradNorm => include_str!("../../../kernels-cu/grad_norm.cu"),
            Self::Head => include_str!("../../../kernels-cu/head.cu"),
            Self::Influence => include_str!("../../../kernels-cu/influence.cu"),
            Self::Paged => include_str!("../../../kernels-cu/paged.cu"),
            Self::QuestionRows => include_str!("../../../kernels-cu/question_rows.cu"),
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
    /// Gradient of a tile of logits.
    HeadBackwardTile,
    /// Log-probability and entropy of rows whose tiles are summed.
    HeadForwardFinish,
    /// Sums of a tile of logits.
    HeadForwardTile,
    /// The sums behind the scores of questions, of single rows.
    InfluenceRows,
    /// The sums behind the scores of questions, tile by tile.
    InfluenceSums,
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
    /// Factors of a table's gradient, cleared.
    QuestionRowsClear,
    /// Rows of a table's gradient by question.
    QuestionRowsTake,
    /// Input gradient of the norm.
    RmsNormBackward,
    /// First stage of the weight gradient of the norm.
    RmsNormBackwardWeight,
    /// Norm of rows.
    RmsNormForward,
    /// Residual add and norm of rows.
    RmsNormForwardAdd,
    /// Rotary position embedding, or its transpose.
    Rope,
    /// Tokens from rows of logits.
    Sample,
    /// A tensor times a number.
    Scale,
    /// Gradients of both of its inputs.
    SwigluBackward,
    /// The gated activation.
    SwigluForward,
}

impl Kernel {
    /// Every kernel.
    pub const ALL: [Self; 46] = [
        Self::AdamWBf16,
        Self::AdamWF32,
        Self::AddBf16,
        Self::AddF32,
        Self::AdvantageApply,
        Self::AdvantageMoments,
        Self::AdvantageShared,
        Self::AttentionBackwardDot,
        Self::AttentionBackwardKv64,
        Self::AttentionBackwardKv128,
        Self::AttentionBackwardQ64,
        Self::AttentionBackwardQ128,
        Self::AttentionForward64,
        Self::AttentionForward128,
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
        Self::HeadBackwardTile,
        Self::HeadForwardFinish,
        Self::HeadForwardTile,
        Self::InfluenceRows,
        Self::InfluenceSums,
        Self::KvAppend,
        Self::KvCopy,
        Self::PagedAttention64,
        Self::PagedAttention128,
        Self::PagedCombine,
        Self::QuestionRowsClear,
        Self::QuestionRowsTake,
        Self::RmsNormBackward,
        Self::RmsNormBackwardWeight,
        Self::RmsNormForward,
        Self::RmsNormForwardAdd,
        Self::Rope,
        Self::Sample,
        Self::Scale,
        Self::SwigluBackward,
        Self::SwigluForward,
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
            Self::HeadBackwardTile => (Source::Head, "head_bwd_tile_bf16", "fuffffBiiix"),
            Self::HeadForwardFinish => (Source::Head, "head_fwd_finish_f32", "fFFFi"),
            Self::HeadForwardTile => (Source::Head, "head_fwd_tile_f32", "fuFiix"),
            Self::InfluenceRows => (Source::Influence, "influence_rows_f32", "fffuDiixxx"),
            Self::InfluenceSums => (Source::Influence, "influence_sums_f32", "fffDiiiixxx"),
            Self::KvAppend => (Source::Paged, "kv_append_bf16", "bbuBBi"),
            Self::KvCopy => (Source::Paged, "kv_copy_bf16", "BBiii"),
            Self::PagedAttention64 => (Source::Paged, "paged_attention_64_bf16", "bbbBFFuuiiiiiix"),
            Self::PagedAttention128 => {
                (Source::Paged, "paged_attention_128_bf16", "bbbBFFuuiiiiiix")
            }
            Self::PagedCombine => (Source::Paged, "paged_combine_bf16", "fuBFiii"),
            Self::QuestionRowsClear => (Source::QuestionRows, "question_rows_clear_bf16", "Buuui"),
            Self::QuestionRowsTake => (Source::QuestionRows, "question_rows_take_bf16", "bbuuuFii"),
            Self::RmsNormBackward => (Source::RmsNorm, "rmsnorm_bwd_bf16", "bbbfBiii"),
            Self::RmsNormBackwardWeight => (Source::RmsNorm, "rmsnorm_bwd_weight_bf16", "bbfFiii"),
            Self::RmsNormForward => (Source::RmsNorm, "rmsnorm_fwd_bf16", "bbBFiix"),
            Self::RmsNormForwardAdd => (Source::RmsNorm, "rmsnorm_fwd_add_bf16", "bbbBBFiix"),
            Self::Rope => (Source::Rope, "rope_bf16", "Buffiii"),
            Self::Sample => (Source::Sample, "sample_f32", "fuuFUFi"),
            Self::Scale => (Source::Add, "scale_f32", "Fix"),
            Self::SwigluBackward => (Source::Swiglu, "swiglu_bwd_bf16", "bbbBBi"),
            Self::SwigluForward => (Source::Swiglu, "swiglu_fwd_bf16", "bbBi"),
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
