//! What tests of this and other crates share: hard inputs, comparison and gradient checks.
//!
//! Oracles work in f64. [`assert_close`] reports the first and the worst mismatch and how much of the
//! bound is used up, so that a shrinking margin shows before it fails.

use std::{env, sync::OnceLock};

use crate::{
    Buffer, Device,
    cuda::{
        Driver, Folders,
        simt::{Build, Emulator},
    },
    rng::Stream,
};

/// An absolute and a relative bound; a value passes if it is within their sum.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Allowed difference whatever the size of the expected value.
    pub absolute: f64,
    /// Allowed difference as a share of the expected value's magnitude.
    pub relative: f64,
}

impl Tolerance {
    /// For elementwise f32 work and short reductions: a few roundings of values near one.
    pub const F32: Self = Self { absolute: 2e-6, relative: 2e-6 };
    /// For f32 reductions over hundreds of terms, where roundings add up as their square root.
    pub const F32_SUM: Self = Self { absolute: 1e-5, relative: 2e-5 };
    /// For central differences in f64 with [`assert_gradient`]'s step.
    pub const DIFFERENCE: Self = Self { absolute: 1e-7, relative: 1e-6 };
}

/// How far bf16 moves logits, log-probabilities and entropies of a tiny model, as a [`share`]: the weights
/// and each of some twenty activations on the way lose 2⁻⁹ of a value, which adds up as a root does.
/// Measured: up to 0.015.
pub const BF16_FORWARD: f64 = 0.025;
/// How far bf16 moves a gradient of a tiny model, as a [`share`]: a softmax, a norm and a product each
/// take differences of rounded values. Measured: rounding the weights alone moves a gradient in f32 by up
/// to 0.05, rounding all activations too by up to 0.08.
pub const BF16_GRADIENT: f64 = 0.12;

/// Length of the difference as a share of the wanted length.
///
/// # Panics
/// On a length mismatch.
#[track_caller]
pub fn share(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len(), "length");
    let off = got.iter().zip(want).map(|(g, w)| (f64::from(*g) - f64::from(*w)).powi(2));
    let size = want.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
    (off.sum::<f64>() / size.max(f64::MIN_POSITIVE)).sqrt()
}

/// Standard normal values; every eleventh is an outlier twenty times as large.
pub fn hard_values(seed: u64, n: usize) -> Vec<f32> {
    let stream = Stream::new(seed);
    let scale = |i: u64| if i % 11 == 3 { 20.0 } else { 1.0 };
    (0..n as u64).map(|i| (stream.normal(i) * scale(i)) as f32).collect()
}

/// Standard normal values.
pub fn normal_values(seed: u64, n: usize) -> Vec<f32> {
    let stream = Stream::new(seed);
    (0..n as u64).map(|i| stream.normal(i) as f32).collect()
}

/// A CPU buffer holding `values`.
///
/// # Panics
/// If the count does not fit the shape.
pub fn buffer(values: &[f32], axes: &[usize]) -> Buffer {
    Device::Cpu.upload_f32(values.to_vec(), axes).expect("test buffer")
}

/// A CPU buffer of NaN: an op that reads an output it should overwrite cannot hide.
///
/// # Panics
/// If the shape is impossible.
pub fn poison(axes: &[usize]) -> Buffer {
    buffer(&vec![f32::NAN; axes.iter().product()], axes)
}

/// The values widened to f64.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// Asserts that every value is within the tolerance of the expected one.
///
/// # Panics
/// On a length mismatch or a value outside the bound; NaN matches only NaN.
#[track_caller]
pub fn assert_close(name: &str, got: &[f32], want: &[f64], tolerance: Tolerance) {
    assert_eq!(got.len(), want.len(), "{name}: length");
    let mut worst = (0, 0.0f64);
    let mut first = None;
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let bound = tolerance.absolute + tolerance.relative * w.abs();
        let same = f64::from(g) == w || (g.is_nan() && w.is_nan());
        let used = if same { 0.0 } else { (f64::from(g) - w).abs() / bound };
        let used = if used.is_nan() { f64::INFINITY } else { used };
        if used > worst.1 {
            worst = (i, used);
        }
        if used > 1.0 {
            first.get_or_insert(i);
        }
    }
    if let Some(first) = first {
        let show = |i: usize| format!("[{i}] got {} want {}", got[i], want[i]);
        panic!(
            "{name}: first mismatch {}; worst {} ({:.1} times the bound)",
            show(first),
            show(worst.0),
            worst.1
        );
    }
}

/// Asserts that `gradient` is the derivative of `f` at `at`, by central differences in f64.
///
/// # Panics
/// On the first element outside [`Tolerance::DIFFERENCE`], scaled by the size of `f`.
#[track_caller]
pub fn assert_gradient(name: &str, f: impl Fn(&[f64]) -> f64, at: &[f64], gradient: &[f64]) {
    assert_eq!(at.len(), gradient.len(), "{name}: length");
    let mut point = at.to_vec();
    let size = f(at).abs().max(1.0);
    for i in 0..at.len() {
        let step = 1e-5 * at[i].abs().max(1.0);
        point[i] = at[i] + step;
        let above = f(&point);
        point[i] = at[i] - step;
        let below = f(&point);
        point[i] = at[i];
        let difference = (above - below) / (2.0 * step);
        let bound = Tolerance::DIFFERENCE.absolute * size
            + Tolerance::DIFFERENCE.relative * difference.abs();
        let error = (difference - gradient[i]).abs();
        assert!(error <= bound, "{name}[{i}]: difference {difference}, gradient {}", gradient[i]);
    }
}

/// Runs `f` on a pool of `threads` threads, for tests that the number does not matter.
///
/// # Panics
/// If the pool cannot be built.
pub fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("thread pool");
    pool.install(f)
}

/// Whether [`emulated`] is a GPU: there a row's last bits depend on how many rows are computed with it.
pub fn on_gpu() -> bool {
    env::var("INFUSER_TEST_GPU").is_ok_and(|value| value == "1")
}

/// The kernels on the emulator, as a CUDA device; compiled once a process, and one device for all. With
/// `INFUSER_SIMT_SANITIZER` they are built with that sanitizer, whose library must be loaded already. With
/// `INFUSER_TEST_GPU=1` it is the first GPU instead ([`on_gpu`]), and `INFUSER_NVRTC` a folder with NVIDIA's
/// libraries.
///
/// # Panics
/// Without a C++17 compiler (`CXX`, or `c++`), or without the GPU.
pub fn emulated() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let build = || {
        if on_gpu() {
            return first_gpu();
        }
        let binary = env::current_exe().expect("the path of the test binary");
        let folder = binary.with_file_name(format!("simt-device-{}", std::process::id()));
        let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
        let sanitizer = env::var("INFUSER_SIMT_SANITIZER").ok().map(|name| &*name.leak());
        let build = Build { sanitizer, ..Build::default() };
        let built = Emulator::build(&compiler, &folder, &build);
        // Loaded, or of no use: the next process makes its own.
        let _ = std::fs::remove_dir_all(&folder);
        Device::Cuda(Driver::simt(built.expect("the emulator")))
    };
    DEVICE.get_or_init(build).clone()
}

fn first_gpu() -> Device {
    let libraries = env::var_os("INFUSER_NVRTC").map(std::path::PathBuf::from);
    let folders = Folders { libraries: libraries.as_deref(), cubins: None };
    Device::cuda(0, folders).expect("the GPU")
}

/// As [`emulated`], but no other test uses this device: its account of memory is the caller's own.
///
/// # Panics
/// As [`emulated`].
pub fn emulated_alone() -> Device {
    if on_gpu() {
        return first_gpu();
    }
    match emulated() {
        Device::Cuda(driver) => Device::Cuda(driver.apart().expect("the emulator")),
        Device::Cpu => unreachable!("the emulator is no CPU device"),
    }
}
