//! The shared set of larger files.

use std::path::{Path, PathBuf};

/// A file or folder of the shared set, or `None` (with a note) if it is not there.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("INFUSER_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let place = root.join(path);
    if place.exists() {
        return Some(place);
    }
    let required = std::env::var_os("INFUSER_REQUIRE_SHARED").is_some_and(|value| value == "1");
    assert!(!required, "INFUSER_REQUIRE_SHARED=1, but {} is not there", place.display());
    println!("skipped: no {}", place.display());
    None
}
