//! The same tests on kernels built with a sanitizer, in a process of its own: the sanitizer's library must
//! be the first one loaded. AddressSanitizer sees an access one byte too far, ThreadSanitizer two threads
//! of a block at one byte without a barrier between them, whatever order they happened to run in.

use std::process::{Command, Output};

use super::*;
use crate::cuda::{
    Source,
    rmsnorm::{self as cuda, Outputs, Shape},
};

const INSIDE: &str = "INFUSER_SIMT_SANITIZER";
const PLANT: &str = "INFUSER_SIMT_OVERRUN";

/// Modules of tests.
const KERNELS: [&str; 15] = [
    "advantage::",
    "attention::",
    "bias::",
    "elementwise::",
    "embedding::",
    "graph::what_is_replayed",
    "head::",
    "influence::",
    "optimizer::",
    "paged::",
    "question_rows::",
    "rmsnorm::",
    "rope::",
    "sample::",
    "swiglu::",
];
/// A test of each kernel that has shared memory: there is nothing else that threads could race for, and
/// all tests would take minutes.
const WITH_BARRIERS: [&str; 11] = [
    "advantage::a_result_does_not_depend",
    "attention::a_shared_prefix",
    "attention::gradients_do_not_depend",
    "bias::backward_equals",
    "head::a_row_does_not_know",
    "influence::tiles_add_up",
    "optimizer::the_norm_does_not_depend",
    "paged::a_row_has_the_same_bits",
    "question_rows::rows_and_their_sums",
    "rmsnorm::the_weight_gradient",
    "sample::one_token_of_each_setting",
];

/// Runs tests of this binary under a sanitizer; `None`, with a line, where it cannot.
fn rerun(sanitizer: &str, tests: &[&str], plant: Option<&str>) -> Option<Output> {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    let name = format!("-print-file-name=lib{}san.so", &sanitizer[..1]);
    let library = Command::new(compiler).arg(name).output().ok()?;
    let library = String::from_utf8(library.stdout).ok()?;
    if !library.trim().contains('/') {
        eprintln!("skipped: the compiler has no sanitizer of kind {sanitizer}");
        return None;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(tests).arg("--test-threads=1");
    command.env("LD_PRELOAD", library.trim()).env(INSIDE, sanitizer);
    // Loaded kernels are kept for good on purpose.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    // Only the kernels are watched: it does not know the locks of Rust.
    command.env("TSAN_OPTIONS", "ignore_noninstrumented_modules=1");
    if let Some(plant) = plant {
        command.env(PLANT, plant);
    }
    let output = command.output().unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("unexpected memory mapping") {
        eprintln!(
            "skipped: the sanitizer of kind {sanitizer} cannot live with this kernel's addresses"
        );
        return None;
    }
    Some(output)
}

/// Each of these tests, or tests of these modules, passes under a sanitizer, which has nothing to report.
fn assert_clean(sanitizer: &str, tests: &[&str]) {
    if env::var_os(INSIDE).is_some() {
        return;
    }
    let tests: Vec<String> = tests.iter().map(|test| format!("cuda::tests::{test}")).collect();
    let names: Vec<&str> = tests.iter().map(String::as_str).collect();
    let Some(output) = rerun(sanitizer, &names, None) else { return };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let ran = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{ran}");
    for test in tests {
        assert!(ran.contains(&format!("test {test}")), "no tests of {test}: {ran}");
    }
}

/// What the sanitizer says of the planted bug of a test.
fn report(sanitizer: &str, test: &str, plant: &str) -> Option<String> {
    if env::var_os(INSIDE).is_some() {
        return None;
    }
    let test = format!("cuda::tests::sanitized::{test}");
    let output = rerun(sanitizer, &[&test], Some(plant))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let ran = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "no fault: {text}{ran}");
    assert!(text.contains("kernels.so"), "{text}{ran}");
    Some(text + &ran)
}

#[test]
fn no_kernel_leaves_its_memory() {
    assert_clean("address", &KERNELS);
}

#[test]
fn no_two_threads_of_a_block_race() {
    assert_clean("thread", &WITH_BARRIERS);
}

#[test]
fn an_overrun_is_reported() {
    let Some(text) = report("address", "overruns_if_asked", "1") else { return };
    assert!(text.contains("heap-buffer-overflow"), "{text}");
}

#[test]
fn a_race_is_reported() {
    // A sum over rows, in the order in which its barrier is not missed: the result is right, and nothing
    // but the sanitizer finds it.
    let barrier = "the sums of all stripes";
    let Some(text) = report("thread", "races_if_asked", barrier) else { return };
    assert!(text.contains("data race") && text.contains("test result: ok. 1 passed"), "{text}");
    // The sampler's, of which tokens show nothing.
    for barrier in ["the logits are complete", "the answer is there", "the total has been read"] {
        let Some(text) = report("thread", "races_if_asked", barrier) else { return };
        assert!(text.contains("data race"), "{barrier}: {text}");
    }
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
    let build_with = Build { sanitizer: Some("address"), planted, only: vec![Source::RmsNorm] };
    let emulator = build("overrun", &build_with).unwrap();
    let driver = Driver::simt(emulator);
    let (x, w) = (up(&driver, &[bf16::ONE; 16]), up(&driver, &[bf16::ONE; 8]));
    let mut y = up(&driver, &[bf16::ONE; 16]);
    let mut rstd = up(&driver, &[0.0f32; 2]);
    let outputs = Outputs { y: y.slice_mut(), rstd: rstd.slice_mut() };
    let shape = Shape { rows: 2, width: 8 };
    cuda::forward(&driver, shape, x.slice(), w.slice(), 1e-6, outputs).unwrap();
}

/// A barrier too few, in the process that [`a_race_is_reported`] starts.
#[test]
fn races_if_asked() {
    if env::var(INSIDE).ok().as_deref() != Some("thread") {
        return;
    }
    let Ok(barrier) = env::var(PLANT) else { return };
    let from: &str = format!("__syncthreads();  // {barrier}").leak();
    let only = Source::ALL.into_iter().filter(|source| source.text().contains(from)).collect();
    let build_with = Build { sanitizer: Some("thread"), planted: Some((from, "//")), only };
    let columns = Source::Columns.text().contains(from);
    let emulator = build("race", &build_with).unwrap().in_order(Order::Reverse);
    let driver = Driver::simt(emulator);
    if columns { bias::check_backward(&driver) } else { sample::check_settings(&driver) }
}
