//! The same tests on kernels built with AddressSanitizer, in a process of its own: the sanitizer's
//! library must be the first one loaded.

use std::process::{Command, Output};

use super::*;
use crate::cuda::rmsnorm::{self as cuda, Outputs, Shape};

const INSIDE: &str = "INFUSER_SIMT_SANITIZER";
const PLANT: &str = "INFUSER_SIMT_OVERRUN";

/// Runs a test of this binary under the sanitizer; `None`, with a line, where the compiler has none.
fn rerun(test: &str, plant: bool) -> Option<Output> {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    let library = Command::new(compiler).arg("-print-file-name=libasan.so").output().ok()?;
    let library = String::from_utf8(library.stdout).ok()?;
    if !library.trim().contains('/') {
        eprintln!("skipped: the compiler has no AddressSanitizer");
        return None;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--test-threads=1"]);
    command.env("LD_PRELOAD", library.trim()).env(INSIDE, "address");
    // Loaded kernels are kept for good on purpose.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    if plant {
        command.env(PLANT, "1");
    }
    Some(command.output().unwrap())
}

#[test]
fn no_kernel_leaves_its_memory() {
    if env::var_os(INSIDE).is_some() {
        return;
    }
    for tests in [
        "cuda::tests::head",
        "cuda::tests::paged",
        "cuda::tests::rmsnorm",
        "cuda::tests::rope",
        "cuda::tests::swiglu",
    ] {
        let Some(output) = rerun(tests, false) else { return };
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let ran = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !ran.contains("running 0 tests"), "{text}{ran}");
    }
}

#[test]
fn an_overrun_is_reported() {
    if env::var_os(INSIDE).is_some() {
        return;
    }
    let Some(output) = rerun("cuda::tests::sanitized::overruns_if_asked", true) else { return };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "no fault");
    assert!(text.contains("heap-buffer-overflow") && text.contains("kernels.so"), "{text}");
}

/// One row too many, in the process that [`an_overrun_is_reported`] starts.
#[test]
fn overruns_if_asked() {
    if env::var_os(PLANT).is_none() {
        return;
    }
    let from = "if (row >= rows) return;\n    u64 at = u64(row) * width;\n    if (width % 8 == 0) forward_row<8>(x + at, nullptr";
    let to = "if (row > rows) return;\n    u64 at = u64(row) * width;\n    if (width % 8 == 0) forward_row<8>(x + at, nullptr";
    let planted = Some((from, to));
    let emulator = build("overrun", &Build { sanitizer: Some("address"), planted }).unwrap();
    let driver = Driver::Simt(Arc::new(emulator));
    let (x, w) = (up(&driver, &[bf16::ONE; 16]), up(&driver, &[bf16::ONE; 8]));
    let mut y = up(&driver, &[bf16::ONE; 16]);
    let mut rstd = up(&driver, &[0.0f32; 2]);
    let outputs = Outputs { y: y.slice_mut(), rstd: rstd.slice_mut() };
    let shape = Shape { rows: 2, width: 8 };
    cuda::forward(&driver, shape, x.slice(), w.slice(), 1e-6, outputs).unwrap();
}
