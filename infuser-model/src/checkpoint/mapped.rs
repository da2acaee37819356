//! One safetensors file, mapped into memory and checked.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::Path,
};

use half::{bf16, f16, slice::HalfFloatSliceExt};
use memmap2::Mmap;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorInfo, TensorView},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

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
    /// keeps one, and offsets so large that its own sum of them overflows. What it refuses without
    /// naming the tensor is refused here too; what is not a header at all is left to it.
    fn check_header(&self, path: &Path) -> Result<()> {
        let Some((length, rest)) = self.map.split_first_chunk::<8>() else { return Ok(()) };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_HEADER_BYTES {
            return Ok(());
        }
        let Some((header, data)) = rest.split_at_checked(length) else { return Ok(()) };
        let entries: Entries = serde_json::from_slice(header)
            .map_err(|error| Error::weights(path, format!("not a valid header: {error}")))?;
        for (name, TensorInfo { dtype, shape, data_offsets: (start, end) }) in &entries.0 {
            let refuse = |problem| Err(Error::weights(path, format!("tensor `{name}` {problem}")));
            if *end > data.len() {
                return refuse("ends past the end of the file; it may be cut off".to_string());
            }
            let bits = shape.iter().try_fold(dtype.bitsize(), |bits, &axis| bits.checked_mul(axis));
            let bytes = end.checked_sub(*start);
            if bits.is_none() || bits != bytes.and_then(|bytes| bytes.checked_mul(8)) {
                let problem = format!("is {dtype:?} {shape:?}, but lies at bytes {start} to {end}");
                return refuse(problem);
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

/// The format's limit.
const MAX_HEADER_BYTES: usize = 100_000_000;

/// The tensors of a header, each named once.
struct Entries(BTreeMap<String, TensorInfo>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let refuse = |problem: String| A::Error::custom(format!("tensor `{name}`: {problem}"));
            let entry = map.next_value().map_err(|error| refuse(error.to_string()))?;
            if entries.contains_key(&name) {
                return Err(refuse("named twice".into()));
            }
            entries.insert(name, entry);
        }
        Ok(Entries(entries))
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
