//! Memory of one pass: what forward saves, what backward needs, and the outputs. It grows to the
//! largest batch it has seen and is used again, so a training loop allocates once.

use infuser_kernels::{Buffer, Device, ops::rope};

use crate::{block, config::ModelConfig, error::Result};

/// What a forward pass keeps for a backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: there will be no backward pass.
    Nothing,
    /// The input of every block; backward runs each block forward again (activation checkpointing).
    BlockInputs,
    /// All that backward reads.
    Everything,
}

/// Activations, scratch and outputs for batches of one model.
#[derive(Debug)]
pub struct Workspace {
    device: Device,
    keep: Keep,
    /// Rotation tables, one for each entry of [`ModelConfig::ropes`], and how many positions they
    /// cover.
    pub(crate) tables: Vec<rope::Tables>,
    positions: usize,
    /// The stream before each block and after the last, `[T, D]`; two in turn with [`Keep::Nothing`].
    pub(crate) streams: Vec<Buffer>,
    /// One for each block with [`Keep::Everything`], else one for all.
    pub(crate) saved: Vec<block::Saved>,
    pub(crate) last: Last,
    /// Allocated by the first backward pass.
    pub(crate) backward: Option<Backward>,
    rows: usize,
    outputs: usize,
    /// Of the last forward pass.
    pub(crate) temperature: f32,
}

/// What follows the last block, for the N output rows.
#[derive(Debug)]
pub(crate) struct Last {
    /// The stream's rows, gathered, `[N, D]`.
    pub(crate) x: Buffer,
    /// Their norm, `[N, D]`, and `[N]`.
    pub(crate) normed: Buffer,
    pub(crate) rstd: Buffer,
    /// `[N]` each.
    pub(crate) logp: Buffer,
    pub(crate) entropy: Buffer,
    pub(crate) lse: Buffer,
}

/// Memory of the backward pass.
#[derive(Debug)]
pub(crate) struct Backward {
    pub(crate) scratch: block::Scratch,
    /// Gradient of the stream, `[T, D]`.
    pub(crate) dstream: Buffer,
    /// Gradients of [`Last`]'s tensors, `[N, D]`.
    pub(crate) dnormed: Buffer,
    pub(crate) dx: Buffer,
}

impl Workspace {
    /// An empty workspace for models of this shape.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn new(config: &ModelConfig, device: Device, keep: Keep) -> Result<Self> {
        let blocks = config.layers.len();
        let (streams, saved) = match keep {
            Keep::Nothing => (2, 1),
            Keep::BlockInputs => (blocks + 1, 1),
            Keep::Everything => (blocks + 1, blocks),
        };
        let stream = |_| device.zeros_float(&[0, config.width]);
        Ok(Self {
            keep,
            tables: Vec::new(),
            positions: 0,
            streams: (0..streams).map(stream).collect::<infuser_kernels::Result<_>>()?,
            saved: (0..saved).map(|_| block::Saved::new(config, &device)).collect::<Result<_>>()?,
            last: Last {
                x: device.zeros_float(&[0, config.width])?,
                normed: device.zeros_float(&[0, config.width])?,
                rstd: device.zeros_f32(&[0])?,
                logp: device.zeros_f32(&[0])?,
                entropy: device.zeros_f32(&[0])?,
                lse: device.zeros_f32(&[0])?,
            },
            backward: None,
            rows: 0,
            outputs: 0,
            temperature: 1.0,
            device,
        })
    }

    /// What forward passes keep.
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// The log-probability of each output of the last forward pass.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device cannot be read.
    pub fn logp(&self) -> Result<Vec<f32>> {
        Ok(self.last.logp.to_f32()?)
    }

    /// The entropy at each output of the last forward pass.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device cannot be read.
    pub fn entropy(&self) -> Result<Vec<f32>> {
        Ok(self.last.entropy.to_f32()?)
    }

    /// Bytes held on the device.
    pub fn size_bytes(&mut self) -> usize {
        let tables = self.table_bytes();
        let saved = self.saved.iter_mut().flat_map(block::Saved::buffers);
        let backward = self.backward.iter_mut().flat_map(Backward::buffers);
        let buffers =
            self.streams.iter_mut().chain(saved).chain(self.last.buffers()).chain(backward);
        tables + buffers.map(|buffer| buffer.size_bytes()).sum::<usize>()
    }

    /// Bytes of the rotation tables, which grow with the longest sequence and not with the batch.
    pub fn table_bytes(&self) -> usize {
        self.tables.iter().map(|t| t.cos.size_bytes() + t.sin.size_bytes()).sum()
    }

    /// Index of the stream before block `layer` (or after the last).
    pub(crate) fn stream(&self, layer: usize) -> usize {
        layer % self.streams.len()
    }

    /// Index of the saved tensors of block `layer`.
    pub(crate) fn block(&self, layer: usize) -> usize {
        layer % self.saved.len()
    }

    /// Sizes everything for a batch.
    pub(crate) fn fit(
        &mut self,
        config: &ModelConfig,
        rows: usize,
        outputs: usize,
        positions: usize,
    ) -> Result<()> {
        let row_buffers = self.saved.iter_mut().flat_map(block::Saved::buffers);
        for buffer in row_buffers.chain(&mut self.streams) {
            buffer.resize_rows(rows)?;
        }
        for buffer in self.last.buffers() {
            buffer.resize_rows(outputs)?;
        }
        (self.rows, self.outputs) = (rows, outputs);
        if positions > self.positions {
            let positions = positions.next_power_of_two().min(config.max_positions.max(positions));
            self.tables = config
                .ropes
                .iter()
                .map(|rope| {
                    let frequencies =
                        rope::inverse_frequencies(rope.theta, config.head_width, &rope.scaling);
                    rope::tables(&self.device, &frequencies, rope.attention_factor(), positions)
                })
                .collect::<infuser_kernels::Result<_>>()?;
            self.positions = positions;
        }
        Ok(())
    }

    /// Sizes the backward memory for the batch of the last forward pass.
    pub(crate) fn fit_backward(&mut self, config: &ModelConfig) -> Result<()> {
        let backward = match &mut self.backward {
            Some(backward) => backward,
            none => none.insert(Backward {
                scratch: block::Scratch::new(config, &self.device)?,
                dstream: self.device.zeros_float(&[0, config.width])?,
                dnormed: self.device.zeros_float(&[0, config.width])?,
                dx: self.device.zeros_float(&[0, config.width])?,
            }),
        };
        for buffer in backward.scratch.buffers().chain([&mut backward.dstream]) {
            buffer.resize_rows(self.rows)?;
        }
        for buffer in [&mut backward.dnormed, &mut backward.dx] {
            buffer.resize_rows(self.outputs)?;
        }
        Ok(())
    }
}

impl Last {
    fn buffers(&mut self) -> [&mut Buffer; 6] {
        let Self { x, normed, rstd, logp, entropy, lse } = self;
        [x, normed, rstd, logp, entropy, lse]
    }
}

impl Backward {
    fn buffers(&mut self) -> impl Iterator<Item = &mut Buffer> {
        let Self { scratch, dstream, dnormed, dx } = self;
        scratch.buffers().chain([dstream, dnormed, dx])
    }
}
