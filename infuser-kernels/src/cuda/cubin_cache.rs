//! Compiled kernels kept in a folder: compiling all of them takes seconds, reading them milliseconds.
//!
//! An entry's name is the hash of all that it was made of, so that none is ever out of date; it ends with
//! a checksum, so that half an entry, or another one's, is found out. The folder may be deleted at any time.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// Bytes of the checksum at an entry's end.
const CHECKSUM_BYTES: usize = 32;

/// What an entry is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; CHECKSUM_BYTES]);

impl Key {
    /// The key of something made of these parts, in this order.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length, so that what moves from one part to the next is another key.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    fn checksum(&self, cubin: &[u8]) -> [u8; CHECKSUM_BYTES] {
        Sha256::new().chain_update(self.0).chain_update(cubin).finalize().into()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A folder of compiled kernels. Several processes may share it.
#[derive(Debug, Clone)]
pub struct CubinCache {
    folder: PathBuf,
}

impl CubinCache {
    /// The cache in `folder`, which is made when there is something to keep.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The entry, or if there is no whole one, what `compile` returns, which is then kept. A folder that
    /// cannot be read or written is no error: it only keeps nothing.
    ///
    /// # Errors
    /// Those of `compile`.
    pub fn get_or_compile<E>(
        &self,
        key: &Key,
        compile: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        if let Some(cubin) = self.get(key) {
            return Ok(cubin);
        }
        let cubin = compile()?;
        // What cannot be kept is compiled again next time.
        let _ = self.put(key, &cubin);
        Ok(cubin)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{key}.cubin"))
    }

    fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let mut entry = fs::read(self.path(key)).ok()?;
        let checksum = entry.split_off(entry.len().checked_sub(CHECKSUM_BYTES)?);
        (checksum == key.checksum(&entry)).then_some(entry)
    }

    /// Written aside and renamed, so that nobody reads half of it.
    fn put(&self, key: &Key, cubin: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut aside = NamedTempFile::new_in(&self.folder)?;
        aside.write_all(cubin)?;
        aside.write_all(&key.checksum(cubin))?;
        aside.persist(self.path(key))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible};

    use super::*;

    /// What the cache gives for `key`, and whether it was compiled.
    fn get(cache: &CubinCache, key: &Key, cubin: &[u8]) -> (Vec<u8>, bool) {
        let compiled = Cell::new(false);
        let compile = || {
            compiled.set(true);
            Ok::<_, Infallible>(cubin.to_vec())
        };
        let Ok(got) = cache.get_or_compile(key, compile);
        (got, compiled.get())
    }

    #[test]
    fn an_entry_is_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CubinCache::new(&folder.path().join("not/yet/there"));
        let [key, other] = ["a", "b"].map(|part| Key::of([part]));
        assert_eq!(get(&cache, &key, b"first"), (b"first".to_vec(), true));
        assert_eq!(get(&cache, &key, b"second"), (b"first".to_vec(), false));
        assert_eq!(get(&cache, &other, b""), (vec![], true));
        assert_eq!(get(&cache, &other, b"x"), (vec![], false));
        // The next process finds it too, and nothing else lies there.
        let next = CubinCache::new(&cache.folder);
        assert_eq!(get(&next, &key, b"third"), (b"first".to_vec(), false));
        assert_eq!(fs::read_dir(&cache.folder).unwrap().count(), 2);
    }

    #[test]
    fn a_broken_entry_is_compiled_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CubinCache::new(folder.path());
        let key = Key::of(["a"]);
        get(&cache, &key, b"machine code");
        let whole = fs::read(cache.path(&key)).unwrap();
        let mut flipped = whole.clone();
        flipped[3] ^= 1;
        let others = CubinCache::new(folder.path());
        get(&others, &Key::of(["b"]), b"machine code");
        let foreign = fs::read(others.path(&Key::of(["b"]))).unwrap();
        let broken = [vec![], whole[..7].to_vec(), whole[..40].to_vec(), flipped, foreign];
        for entry in broken {
            fs::write(cache.path(&key), &entry).unwrap();
            assert_eq!(get(&cache, &key, b"machine code"), (b"machine code".to_vec(), true));
            assert_eq!(fs::read(cache.path(&key)).unwrap(), whole, "it was mended");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "in the way").unwrap();
        let cache = CubinCache::new(&file);
        let key = Key::of(["a"]);
        for _ in 0..2 {
            assert_eq!(get(&cache, &key, b"code"), (b"code".to_vec(), true));
        }
        // Nor is one in which an entry's place is taken.
        let cache = CubinCache::new(folder.path());
        fs::create_dir_all(cache.path(&key).join("x")).unwrap();
        assert_eq!(get(&cache, &key, b"code"), (b"code".to_vec(), true));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing aside is left");
    }

    #[test]
    fn what_fails_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CubinCache::new(folder.path());
        let key = Key::of(["a"]);
        assert_eq!(cache.get_or_compile(&key, || Err("broken")), Err("broken"));
        assert_eq!(get(&cache, &key, b"code"), (b"code".to_vec(), true));
    }

    #[test]
    fn every_part_and_its_borders_make_the_key() {
        let keys = [vec!["ab", "c"], vec!["a", "bc"], vec!["ab", "c", ""], vec!["c", "ab"], vec![]];
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                let same = Key::of(a.iter().copied()) == Key::of(b.iter().copied());
                assert_eq!(same, i == j, "{a:?} {b:?}");
            }
        }
    }
}
