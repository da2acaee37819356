//! NVIDIA's run-time compiler: embedded sources to machine code for one architecture.
//!
//! It needs its shared library and no GPU, so the same call compiles for the GPU that is there and,
//! in the compile gate, for those that are not.

use std::{
    ffi::{CString, c_char},
    fs,
    path::{Path, PathBuf},
};

use cudarc::nvrtc::{result, sys};

use super::{CubinCache, HEADERS, Source, cubin_cache::Key};
use crate::error::{Error, Result};

const ACTION: &str = "compiling CUDA kernels";
/// The compiler's file.
pub(super) const FILE: &str = "libnvrtc.so.13";
/// Its second half's, before the minor version.
const BUILTINS: &str = "libnvrtc-builtins.so.13.";
/// What to do without it.
pub(super) const MISSING: &str = "there is no libnvrtc; install the CUDA toolkit, or \
                                  `pip install nvidia-cuda-nvrtc` in the active Python environment";

/// A compiled source.
#[derive(Debug)]
pub struct Compiled {
    /// Machine code, as `cuModuleLoadData` takes it.
    pub cubin: Vec<u8>,
    /// What the compiler said; registers and spills of each kernel, and warnings.
    pub log: String,
}

/// Loads the compiler from `folder` if one is given; then says whether there is one, there or
/// wherever the system's loader looks.
///
/// # Errors
/// [`Error::Driver`] if `folder` is given and holds no compiler that loads.
pub fn find(folder: Option<&Path>) -> Result<bool> {
    for path in folder.map_or_else(Vec::new, halves) {
        // SAFETY: loading runs the library's initialisers; the caller names NVIDIA's own library,
        // and both handles are leaked, so nothing of it is ever unloaded while in use.
        let library = unsafe { libloading::Library::new(path) };
        std::mem::forget(library.map_err(|error| Error::driver(ACTION, error.to_string()))?);
    }
    // SAFETY: the probe only asks the loader whether the library is there; it calls nothing in it.
    Ok(unsafe { sys::is_culib_present() })
}

/// The compiler's files in `folder`, in the order in which they are loaded. It looks its second half up by a
/// name that ends with its version, and that half must be in memory first; where it is not in the folder, the
/// system's loader may find it.
fn halves(folder: &Path) -> Vec<PathBuf> {
    let is_minor =
        |minor: &str| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit());
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut second: Vec<PathBuf> = names
        .filter(|name| {
            name.to_str().and_then(|name| name.strip_prefix(BUILTINS)).is_some_and(is_minor)
        })
        .map(|name| folder.join(name))
        .collect();
    second.sort();
    second.into_iter().chain([folder.join(FILE)]).collect()
}

/// The compiler's version, as major and minor.
///
/// # Errors
/// [`Error::Driver`] without a compiler.
pub fn version() -> Result<(i32, i32)> {
    check_present()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is there, as just checked, and writes two integers that live here.
    let status = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    status.result().map_err(|error| Error::driver(ACTION, error.to_string()))?;
    Ok((major, minor))
}

fn check_present() -> Result<()> {
    if find(None)? {
        return Ok(());
    }
    Err(Error::driver(ACTION, MISSING))
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|error| Error::driver(ACTION, error.to_string()))
}

/// A program handle; destroyed when dropped.
struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the handle came from nvrtcCreateProgram and is destroyed here and nowhere else.
        let status = unsafe { sys::nvrtcDestroyProgram(&mut self.0) };
        debug_assert_eq!(status, sys::nvrtcResult::NVRTC_SUCCESS);
    }
}

impl Program {
    fn new(text: &str, name: &str) -> Result<Self> {
        let (text, name) = (c_string(text)?, c_string(name)?);
        let names: Vec<CString> =
            HEADERS.iter().map(|(name, _)| c_string(name)).collect::<Result<_>>()?;
        let texts: Vec<CString> =
            HEADERS.iter().map(|(_, text)| c_string(text)).collect::<Result<_>>()?;
        let pointers = |all: &[CString]| all.iter().map(|s| s.as_ptr()).collect::<Vec<_>>();
        let (names, texts) = (pointers(&names), pointers(&texts));
        let mut program = std::ptr::null_mut();
        // SAFETY: all strings end in a zero and outlive the call, which copies them; both header
        // lists have the length that is passed.
        let status = unsafe {
            sys::nvrtcCreateProgram(
                &mut program,
                text.as_ptr(),
                name.as_ptr(),
                HEADERS.len() as i32,
                texts.as_ptr(),
                names.as_ptr(),
            )
        };
        status.result().map_err(|error| Error::driver(ACTION, error.to_string()))?;
        Ok(Self(program))
    }

    fn log(&self) -> String {
        // SAFETY: the handle is alive as long as self is, and the call asks for the size first.
        let log: Vec<c_char> = unsafe { result::get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> = log.iter().map(|&c| c as u8).filter(|&c| c != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn cubin(&self) -> Result<Vec<u8>> {
        let fail = |error: result::NvrtcError| Error::driver(ACTION, error.to_string());
        let mut bytes = 0;
        // SAFETY: the handle is alive and the size is written to a local variable.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut bytes) }.result().map_err(fail)?;
        let mut cubin = vec![0u8; bytes];
        // SAFETY: the buffer has exactly the number of bytes that the compiler just asked for.
        let status = unsafe { sys::nvrtcGetCUBIN(self.0, cubin.as_mut_ptr().cast()) };
        status.result().map_err(fail)?;
        Ok(cubin)
    }
}

fn options(architecture: &str) -> [String; 5] {
    [
        format!("--gpu-architecture={architecture}"),
        "--std=c++17".into(),
        // Lambdas of a kernel carry no annotation.
        "--device-as-default-execution-space".into(),
        "--ptxas-options=-v".into(),
        "--ptxas-options=--warn-on-spills".into(),
    ]
}

/// Of all that a cubin is made of: the source, every header, the options with the architecture, and
/// the compiler.
fn key(source: Source, architecture: &str, (major, minor): (i32, i32)) -> Key {
    let version = format!("NVRTC {major}.{minor}");
    let options = options(architecture);
    let headers = HEADERS.iter().flat_map(|(name, text)| [*name, *text]);
    let parts = [version.as_str(), source.name(), source.text()].into_iter().chain(headers);
    Key::of(parts.chain(options.iter().map(String::as_str)))
}

/// Compiles `text` as `source` is compiled, for an architecture such as `sm_90`.
///
/// # Errors
/// [`Error::Driver`] with the compiler's own words, or without a compiler.
pub fn compile_text(source: Source, text: &str, architecture: &str) -> Result<Compiled> {
    check_present()?;
    let program = Program::new(text, source.name())?;
    let options = options(architecture);
    // SAFETY: the handle is alive, and cudarc turns the options into strings that outlive the call.
    let done = unsafe { result::compile_program(program.0, &options) };
    let log = program.log();
    if done.is_err() {
        let problem = format!("{} for {architecture}: {}", source.name(), log.trim());
        return Err(Error::driver(ACTION, problem));
    }
    Ok(Compiled { cubin: program.cubin()?, log })
}

/// Compiles an embedded source.
///
/// # Errors
/// As [`compile_text`].
pub fn compile(source: Source, architecture: &str) -> Result<Compiled> {
    compile_text(source, source.text(), architecture)
}

/// The machine code of an embedded source, from `cache` if it was compiled before.
///
/// # Errors
/// As [`compile_text`].
pub fn cubin(source: Source, architecture: &str, cache: Option<&CubinCache>) -> Result<Vec<u8>> {
    let compile = || Ok(compile(source, architecture)?.cubin);
    match cache {
        Some(cache) => cache.get_or_compile(&key(source, architecture, version()?), compile),
        None => compile(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_half_is_that_of_any_minor_version() {
        let folder = tempfile::tempdir().unwrap();
        let found = || -> Vec<String> {
            let name = |path: PathBuf| path.strip_prefix(&folder).unwrap().display().to_string();
            halves(folder.path()).into_iter().map(name).collect()
        };
        // Nothing there is for the loader to say.
        assert_eq!(found(), [FILE]);
        for name in [
            FILE,
            "libnvrtc-builtins.so.12.9",
            "libnvrtc-builtins.so.13",
            "libnvrtc-builtins.so.13.",
            "libnvrtc-builtins.so.13.1.80",
            "libnvrtc-builtins.alt.so.13.1",
            "libnvrtc.alt.so.13",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(found(), [FILE]);
        for minor in ["1", "0", "12"] {
            fs::write(folder.path().join(format!("{BUILTINS}{minor}")), "").unwrap();
        }
        let second = ["0", "1", "12"].map(|minor| format!("{BUILTINS}{minor}"));
        assert_eq!(found(), [&second[..], &[FILE.into()]].concat());
        assert_eq!(halves(&folder.path().join("none")).len(), 1);
    }

    #[test]
    fn source_architecture_and_compiler_make_the_key() {
        let one = key(Source::Add, "sm_90", (13, 0));
        assert_eq!(one, key(Source::Add, "sm_90", (13, 0)));
        for other in [
            key(Source::Fill, "sm_90", (13, 0)),
            key(Source::Add, "sm_80", (13, 0)),
            key(Source::Add, "sm_90", (13, 1)),
        ] {
            assert_ne!(one, other);
        }
    }
}
