//! Reading the reference sets.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use infuser_kernels::Device;
use infuser_model::{Layout, Model, ModelConfig, Tensors, checkpoint};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// A folder of the shared set, or `None` (with a note) if it is not there.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("INFUSER_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let folder = root.join(path);
    if folder.exists() {
        return Some(folder);
    }
    let required = std::env::var_os("INFUSER_REQUIRE_SHARED").is_some_and(|value| value == "1");
    assert!(!required, "INFUSER_REQUIRE_SHARED=1, but {} is not there", folder.display());
    println!("skipped: no {}", folder.display());
    None
}

pub(crate) fn json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// Tensors by name: shapes, and values as f32 or i64.
pub(crate) struct Golden {
    shapes: BTreeMap<String, Vec<usize>>,
    floats: BTreeMap<String, Vec<f32>>,
    integers: BTreeMap<String, Vec<i64>>,
}

impl Golden {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let (mut shapes, mut floats, mut integers) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in tensors.tensors() {
            let data = tensor.data();
            shapes.insert(name.clone(), tensor.shape().to_vec());
            match tensor.dtype() {
                Dtype::F32 => {
                    let words = data.as_chunks::<4>().0.iter();
                    floats.insert(name, words.map(|word| f32::from_le_bytes(*word)).collect());
                }
                Dtype::I64 => {
                    let words = data.as_chunks::<8>().0.iter();
                    integers.insert(name, words.map(|word| i64::from_le_bytes(*word)).collect());
                }
                _ => {}
            }
        }
        Self { shapes, floats, integers }
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    pub(crate) fn floats(&self, name: &str) -> &[f32] {
        self.floats.get(name).unwrap_or_else(|| panic!("golden file has no {name}"))
    }

    /// The rows of a matrix.
    pub(crate) fn rows(&self, name: &str) -> Vec<&[f32]> {
        self.floats(name).chunks(self.shapes[name][1]).collect()
    }

    pub(crate) fn integer_rows(&self, name: &str) -> Vec<&[i64]> {
        let values = self.integers.get(name).unwrap_or_else(|| panic!("no {name}"));
        values.chunks(self.shapes[name][1]).collect()
    }

    /// One tensor a parameter, `PREFIX.NAME` each.
    pub(crate) fn tensors(&self, prefix: &str, layout: &Layout) -> Tensors {
        let mut tensors = Tensors::zeros(layout, Device::Cpu).unwrap();
        for (id, param) in layout.iter() {
            let values = self.floats(&format!("{prefix}.{}", param.name));
            tensors[id].copy_from_f32(values).unwrap();
        }
        tensors
    }
}

/// The reference model: with weights of a golden file, or as it was before any step.
pub(crate) fn model(folder: &Path, weights: Option<(&Golden, &str)>) -> Model {
    match weights {
        None => checkpoint::load(folder, Device::Cpu).unwrap(),
        Some((golden, prefix)) => {
            let config = ModelConfig::read(folder).unwrap();
            let weights = golden.tensors(prefix, &Layout::new(&config));
            Model::new(config, weights).unwrap()
        }
    }
}
