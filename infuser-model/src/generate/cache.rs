//! Keys and values of tokens already seen, one pair of tensors a layer.

use infuser_kernels::{Buffer, Device, View, ops::attention::Segment};

use crate::{config::ModelConfig, error::Result};

/// The cache of all layers. Who owns which rows is the caller's business.
#[derive(Debug)]
pub struct Cache {
    layers: Vec<LayerCache>,
}

/// The cache of one layer.
#[derive(Debug)]
pub struct LayerCache {
    /// `[rows, K, E]`, rotated.
    k: Buffer,
    /// `[rows, K, E]`.
    v: Buffer,
}

impl Cache {
    /// An empty cache of `rows` tokens.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the device has no room.
    pub fn new(config: &ModelConfig, device: Device, rows: usize) -> Result<Self> {
        let tensor = || device.zeros_f32(&[rows, config.kv_heads, config.head_width]);
        let layer = |_| Ok(LayerCache { k: tensor()?, v: tensor()? });
        Ok(Self { layers: (0..config.layers.len()).map(layer).collect::<Result<_>>()? })
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.k.size_bytes() + layer.v.size_bytes()).sum()
    }

    pub(crate) fn layer(&mut self, index: usize) -> &mut LayerCache {
        &mut self.layers[index]
    }
}

impl LayerCache {
    /// Stores the rows of each segment's queries as the last rows of its keys.
    pub(crate) fn store(&mut self, segments: &[Segment], k: View<'_>, v: View<'_>) -> Result<()> {
        for Segment { q, kv, .. } in segments {
            let rows = kv.end - q.len()..kv.end;
            self.k.rows_mut(rows.clone())?.copy_from(k.rows(q.clone())?)?;
            self.v.rows_mut(rows)?.copy_from(v.rows(q.clone())?)?;
        }
        Ok(())
    }

    pub(crate) fn views(&self) -> [View<'_>; 2] {
        [self.k.view(), self.v.view()]
    }
}
