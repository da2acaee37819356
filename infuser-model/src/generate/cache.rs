//! Keys and values of tokens already seen, in blocks, of all layers.

use infuser_kernels::{Arena, Device, ops::paged::Blocks};

use crate::{config::ModelConfig, error::Result};

/// The cache of all layers: block `b` of every layer belongs to the same tokens. Who owns which
/// blocks is the caller's business.
#[derive(Debug)]
pub struct Cache {
    layers: Vec<Blocks>,
}

impl Cache {
    /// `blocks` empty blocks of `tokens` tokens.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room, or no such blocks.
    pub fn new(
        config: &ModelConfig,
        device: &Device,
        blocks: usize,
        tokens: usize,
    ) -> Result<Self> {
        let heads = [config.kv_heads, config.head_width];
        let device = device.in_arena(Arena::Cache);
        let layer = |_| Ok(Blocks::new(&device, blocks, tokens, heads)?);
        Ok(Self { layers: (0..config.layers.len()).map(layer).collect::<Result<_>>()? })
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        self.layers.iter().map(Blocks::size_bytes).sum()
    }

    /// Copies what block `from` holds into block `to`, in every layer.
    pub(crate) fn copy(&mut self, from: u32, to: u32) -> Result<()> {
        for layer in &mut self.layers {
            layer.copy(from, to)?;
        }
        Ok(())
    }

    pub(crate) fn layer(&mut self, index: usize) -> &mut Blocks {
        &mut self.layers[index]
    }
}
