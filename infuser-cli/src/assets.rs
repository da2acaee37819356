//! The base model that comes with the program.

use std::path::{Path, PathBuf};

use crate::{failure::Failure, run::write_whole};

macro_rules! asset {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../assets/tiny-base/", $name)) as &[u8])
    };
}

/// The files of `embedded:tiny`.
const TINY: [(&str, &[u8]); 4] = [
    asset!("config.json"),
    asset!("model.safetensors"),
    asset!("tokenizer.json"),
    asset!("tokenizer_config.json"),
];

/// The folder of a model: its own, or for `embedded:tiny` the folder `base` of `run`, where its files are
/// put.
pub(crate) fn model_folder(model: &Path, run: &Path) -> Result<PathBuf, Failure> {
    match model.to_str().and_then(|name| name.strip_prefix("embedded:")) {
        None => Ok(model.to_path_buf()),
        Some("tiny") => {
            let folder = run.join("base");
            for (name, bytes) in TINY {
                let path = folder.join(name);
                if std::fs::read(&path).ok().as_deref() != Some(bytes) {
                    write_whole(&path, bytes)?;
                }
            }
            Ok(folder)
        }
        Some(other) => Err(Failure::bad_input(format!(
            "models: no model embedded:{other} comes with the program; there is embedded:tiny"
        ))),
    }
}
