//! One safetensors file, mapped into memory and checked.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::Path,
};

use half::{bf16, f16, slice::HalfFloatSliceExt};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use crate::error::{Error, Result};

/// A file whose bytes are mapped; its header is checked by [`MappedFile::tensors`].
pub(super) struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let size = file.metadata().map_err(Error::io("read", path))?.len();
        if size == 0 {
            return Err(Error::weights(path, "the file is empty"));
        }
        // SAFETY: a map is undefined behaviour only if the file is truncated or written while it is
        // mapped. Checkpoints are never written in place (writers write aside and rename), and the
        // map lives no longer than one load.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
        Ok(Self { map })
    }

    /// The tensors, after all checks of the format: header size, JSON, dtypes, shapes times sizes
    /// without overflow, offsets without gaps or overlaps that cover the file to its end.
    pub(super) fn tensors(&self, path: &Path) -> Result<SafeTensors<'_>> {
        self.check_header(path)?;
        SafeTensors::deserialize(&self.map).map_err(|error| {
            let problem = format!("not a valid safetensors file ({error}); it may be cut off");
            Error::weights(path, problem)
        })
    }

    /// Refuses two things that the safetensors crate lets through: a tensor named twice, of which it
    /// keeps one, and offsets so large that its own sum of them overflows. What is not a header at all
    /// is left to its error messages.
    fn check_header(&self, path: &Path) -> Result<()> {
        let Some((length, rest)) = self.map.split_first_chunk::<8>() else { return Ok(()) };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some(header) = rest.get(..length) else { return Ok(()) };
        let Ok(Entries(entries)) = serde_json::from_slice(header) else { return Ok(()) };
        let mut seen = HashSet::new();
        for (name, entry) in &entries {
            if !seen.insert(name) {
                return Err(Error::weights(path, format!("tensor `{name}` is named twice")));
            }
            let end = entry.get("data_offsets").and_then(|offsets| offsets.get(1)?.as_u64());
            if end.is_some_and(|end| end > rest.len() as u64) {
                let problem =
                    format!("tensor `{name}` ends past the end of the file; it may be cut off");
                return Err(Error::weights(path, problem));
            }
        }
        Ok(())
    }

    /// The header's `__metadata__`, empty if there is none.
    pub(super) fn metadata(&self, path: &Path) -> Result<HashMap<String, String>> {
        let (_, metadata) = SafeTensors::read_metadata(&self.map).map_err(|error| {
            Error::weights(path, format!("not a valid safetensors file ({error})"))
        })?;
        Ok(metadata.metadata().clone().unwrap_or_default())
    }
}

/// A JSON object as a list, in which a key that stands twice shows.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(List)
    }
}

/// The element types that weights come in.
pub(super) fn dtype_name(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::F32 => Some("f32"),
        Dtype::BF16 => Some("bf16"),
        Dtype::F16 => Some("f16"),
        _ => None,
    }
}

/// The values of a tensor, widened to f32; `None` for other element types.
pub(super) fn widened(tensor: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => {
            let (words, _) = bytes.as_chunks::<4>();
            Some(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
        }
        Dtype::BF16 => {
            let (words, _) = bytes.as_chunks::<2>();
            Some(words.iter().map(|word| bf16::from_le_bytes(*word).to_f32()).collect())
        }
        Dtype::F16 => {
            let (words, _) = bytes.as_chunks::<2>();
            let halves: Vec<f16> = words.iter().map(|word| f16::from_le_bytes(*word)).collect();
            let mut values = vec![0.0; halves.len()];
            halves.convert_to_f32_slice(&mut values);
            Some(values)
        }
        _ => None,
    }
}
