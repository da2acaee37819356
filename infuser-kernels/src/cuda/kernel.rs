//! The list of kernels: entry symbol, source file and parameter letters. A test holds it against what
//! the sources export, both ways.

/// A `.cu` file, embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `columns.cu`
    Columns,
    /// `rmsnorm.cu`
    RmsNorm,
    /// `rope.cu`
    Rope,
    /// `swiglu.cu`
    Swiglu,
}

/// What the sources include: name as written in `#include`, text.
pub const HEADERS: [(&str, &str); 3] = [
    ("device/reduce.cuh", include_str!("../../../kernels-cu/device/reduce.cuh")),
    ("device/types.cuh", include_str!("../../../kernels-cu/device/types.cuh")),
    ("device/vec.cuh", include_str!("../../../kernels-cu/device/vec.cuh")),
];

impl Source {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Columns, Self::RmsNorm, Self::Rope, Self::Swiglu];

    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns.cu",
            Self::RmsNorm => "rmsnorm.cu",
            Self::Rope => "rope.cu",
            Self::Swiglu => "swiglu.cu",
        }
    }

    /// The file's text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Columns => include_str!("../../../kernels-cu/columns.cu"),
            Self::RmsNorm => include_str!("../../../kernels-cu/rmsnorm.cu"),
            Self::Rope => include_str!("../../../kernels-cu/rope.cu"),
            Self::Swiglu => include_str!("../../../kernels-cu/swiglu.cu"),
        }
    }
}

/// An entry of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Second stage of a sum over rows.
    ColumnsAdd,
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
    pub const ALL: [Self; 8] = [
        Self::ColumnsAdd,
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
            Self::ColumnsAdd => (Source::Columns, "columns_add_f32", "fFii"),
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
