//! `--device`.

use clap::ValueEnum;

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub(crate) struct OnDevice {
    /// Where to compute.
    #[arg(long, value_name = "DEVICE", value_enum, default_value_t = Choice::Auto)]
    pub(crate) device: Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// A GPU if there is one that works, else the processor.
    Auto,
    /// The processor, in f32.
    Cpu,
    /// The first GPU, in bf16 with f32 sums; an error without one.
    Cuda,
}
