//! The weights of all products, laid out for many forward passes at the same weights.

use infuser_kernels::{Device, ops::matmul::Packed};

use crate::{
    error::Result,
    layout::{Layout, ParamId, Tensors},
};

/// One layout of every weight that activations are multiplied by. It is of the weights as they were
/// when it was made, and takes about as much memory again. On CUDA products take weights as they are, so
/// it is empty.
#[derive(Debug)]
pub struct PackedWeights {
    weights: Vec<Option<Packed>>,
}

impl PackedWeights {
    pub(crate) fn new(layout: &Layout, tensors: &Tensors) -> Result<Self> {
        let mut weights: Vec<Option<Packed>> = layout.params().iter().map(|_| None).collect();
        if tensors[layout.head].device() != Device::Cpu {
            return Ok(Self { weights });
        }
        for id in products(layout) {
            weights[id.index()] = Some(Packed::new(tensors[id].view())?);
        }
        Ok(Self { weights })
    }

    /// Bytes that the layouts will hold on the CPU.
    pub(crate) fn bytes_of(layout: &Layout) -> u128 {
        let axes = products(layout).map(|id| &layout.params()[id.index()].axes);
        axes.map(|axes| match axes[..] {
            [n, k] => Packed::bytes_of([n, k]),
            _ => 0,
        })
        .sum()
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        self.weights.iter().flatten().map(Packed::size_bytes).sum()
    }

    pub(crate) fn get(&self, id: ParamId) -> Option<&Packed> {
        self.weights[id.index()].as_ref()
    }
}

/// The weights that activations are multiplied by.
fn products(layout: &Layout) -> impl Iterator<Item = ParamId> {
    let linears = layout
        .layers
        .iter()
        .flat_map(|layer| [layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down]);
    linears.map(|linear| linear.weight).chain([layout.head])
}
