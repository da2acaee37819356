//! Reading the fixtures.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors};

/// A folder under the crate's `fixtures`. Cargo says where the crate lies when it runs a test, and whoever
/// carries the binary to another machine can say so too.
pub(crate) fn fixture(path: &str) -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    here.join("fixtures").join(path)
}

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

/// The folders below `folder` that hold `file`, by name.
pub(crate) fn folders_with(folder: &Path, file: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join(file).is_file())
        .collect();
    found.sort();
    found
}

/// Tensors of a golden file: f32 values by name, and integers as u32.
pub(crate) struct Golden {
    floats: BTreeMap<String, Vec<f32>>,
    integers: BTreeMap<String, Vec<u32>>,
}

impl Golden {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let (mut floats, mut integers) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in tensors.tensors() {
            let data = tensor.data();
            match tensor.dtype() {
                Dtype::F32 => {
                    let words = data.as_chunks::<4>().0.iter();
                    floats.insert(name, words.map(|word| f32::from_le_bytes(*word)).collect());
                }
                Dtype::I64 => {
                    let words = data.as_chunks::<8>().0.iter();
                    let values = words.map(|word| i64::from_le_bytes(*word) as u32).collect();
                    integers.insert(name, values);
                }
                _ => {}
            }
        }
        Self { floats, integers }
    }

    pub(crate) fn floats(&self, name: &str) -> &[f32] {
        self.floats.get(name).unwrap_or_else(|| panic!("golden file has no {name}"))
    }

    pub(crate) fn integers(&self, name: &str) -> &[u32] {
        self.integers.get(name).unwrap_or_else(|| panic!("golden file has no {name}"))
    }
}

/// The largest absolute difference.
#[track_caller]
pub(crate) fn distance(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len(), "lengths differ");
    let differences = got.iter().zip(want).map(|(g, w)| (g - w).abs());
    differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}
