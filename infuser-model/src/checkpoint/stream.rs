//! Writing one safetensors file tensor by tensor, so that no more than one is in memory beside the model.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    path::Path,
};

use half::bf16;
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};

use super::write::SaveDtype;
use crate::error::{Error, Result};

/// A tensor's name and axes.
pub(super) type Entry<'a> = (String, &'a [usize]);

/// Values that are encoded at a time.
const CHUNK: usize = 1 << 18;

/// Writes `entries` to `path` and waits until they are on the disk. The values of entry `i` are asked for
/// when their turn has come; the order is that of the names.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written, and what `values` says. A part of the file is left then.
pub(super) fn write_tensors(
    path: &Path,
    dtype: SaveDtype,
    metadata: Option<HashMap<String, String>>,
    entries: &[Entry<'_>],
    mut values: impl FnMut(usize) -> Result<Vec<f32>>,
) -> Result<()> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&index| &entries[index].0);
    let header = header(path, dtype, metadata, order.iter().map(|&index| &entries[index]))?;
    let mut file = File::create(path).map_err(Error::io("write", path))?;
    file.write_all(&header).map_err(Error::io("write", path))?;
    for index in order {
        let (name, axes) = &entries[index];
        let values = values(index)?;
        if values.len() != axes.iter().product::<usize>() {
            let problem = format!("tensor `{name}` is {axes:?}, but has {} values", values.len());
            return Err(Error::weights(path, problem));
        }
        write_values(&mut file, dtype, &values).map_err(Error::io("write", path))?;
    }
    file.sync_all().map_err(Error::io("write", path))
}

/// The length of the header and the header.
fn header<'a>(
    path: &Path,
    dtype: SaveDtype,
    metadata: Option<HashMap<String, String>>,
    entries: impl Iterator<Item = &'a Entry<'a>>,
) -> Result<Vec<u8>> {
    let mut end = 0;
    let infos = entries.map(|(name, axes)| {
        let start = end;
        end += axes.iter().product::<usize>() * dtype.bytes();
        let dtype = match dtype {
            SaveDtype::F32 => Dtype::F32,
            SaveDtype::Bf16 => Dtype::BF16,
        };
        (name.clone(), TensorInfo { dtype, shape: axes.to_vec(), data_offsets: (start, end) })
    });
    let broken = |error: String| Error::weights(path, format!("cannot serialise: {error}"));
    let metadata =
        Metadata::new(metadata, infos.collect()).map_err(|error| broken(error.to_string()))?;
    let mut text = serde_json::to_vec(&metadata).map_err(|error| broken(error.to_string()))?;
    // The format wants the data at a multiple of 8.
    text.resize(text.len().next_multiple_of(8), b' ');
    let length = (text.len() as u64).to_le_bytes();
    Ok([&length[..], &text].concat())
}

fn write_values(file: &mut File, dtype: SaveDtype, values: &[f32]) -> io::Result<()> {
    for chunk in values.chunks(CHUNK) {
        let bytes: Vec<u8> = match dtype {
            SaveDtype::F32 => chunk.iter().flat_map(|x| x.to_le_bytes()).collect(),
            SaveDtype::Bf16 => {
                chunk.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect()
            }
        };
        file.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    const AXES: [&[usize]; 3] = [&[3, 70_001], &[7], &[2, 2, 2]];

    fn entries() -> Vec<Entry<'static>> {
        ["b", "a.z", "a"].map(String::from).into_iter().zip(AXES).collect()
    }

    fn values(index: usize) -> Vec<f32> {
        let len = AXES[index].iter().product::<usize>();
        (0..len).map(|i| (i as f32 + 0.1).sin() * 10f32.powi(index as i32)).collect()
    }

    #[test]
    fn the_file_is_what_the_format_s_own_crate_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let metadata = || Some(HashMap::from([("format".to_string(), "pt \u{E9}".to_string())]));
        for (dtype, name) in [(SaveDtype::F32, Dtype::F32), (SaveDtype::Bf16, Dtype::BF16)] {
            write_tensors(&path, dtype, metadata(), &entries(), |i| Ok(values(i))).unwrap();
            let encode = |x: &f32| match dtype {
                SaveDtype::F32 => x.to_le_bytes().to_vec(),
                SaveDtype::Bf16 => bf16::from_f32(*x).to_le_bytes().to_vec(),
            };
            let bytes: Vec<Vec<u8>> =
                (0..3).map(|i| values(i).iter().flat_map(encode).collect()).collect();
            let views = entries().into_iter().zip(&bytes).map(|((tensor, axes), bytes)| {
                (tensor, TensorView::new(name, axes.to_vec(), bytes).unwrap())
            });
            let whole = safetensors::serialize(views, metadata()).unwrap();
            assert!(std::fs::read(&path).unwrap() == whole, "{dtype:?}");
        }
    }

    #[test]
    fn a_tensor_is_asked_for_when_those_before_it_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut seen = Vec::new();
        let written = write_tensors(&path, SaveDtype::F32, None, &entries(), |i| {
            seen.push((i, std::fs::metadata(&path).unwrap().len()));
            Ok(values(i))
        });
        written.unwrap();
        let start = seen[0].1;
        assert_eq!(seen, [(2, start), (1, start + 4 * 8), (0, start + 4 * (8 + 7))]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let failing = |i| match i {
            0 => Err(Error::Setting("the device is gone".into())),
            _ => Ok(values(i)),
        };
        let said = write_tensors(&path, SaveDtype::F32, None, &entries(), failing).unwrap_err();
        assert!(said.to_string().contains("the device is gone"), "{said}");
        let short = |i| Ok(values(i)[1..].to_vec());
        let said = write_tensors(&path, SaveDtype::F32, None, &entries(), short).unwrap_err();
        assert!(said.to_string().contains("`a` is [2, 2, 2], but has 7 values"), "{said}");
    }
}
