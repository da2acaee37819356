//! Kernels on the emulator against the CPU ops, on the same bf16 values.

mod advantage;
mod attention;
mod bias;
mod elementwise;
mod embedding;
mod gpu;
mod graph;
mod head;
mod influence;
mod list;
mod matmul;
mod memory;
mod optimizer;
mod paged;
mod planted;
mod planted_attention;
mod question_rows;
mod rmsnorm;
mod rope;
mod sample;
mod sanitized;
mod swiglu;
mod tolerance;

use std::{
    env,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use half::bf16;

use super::{
    Driver, Memory,
    simt::{Build, Emulator, Order},
};
use crate::testing::hard_values;

/// Three orders: a kernel without the barriers it needs is right in at most one of them.
const ORDERS: [Order; 3] = [Order::Forward, Order::Reverse, Order::Random(7)];

/// A folder beside the test binary, never the same twice: the loader gives back what it has loaded from a
/// path before, whatever lies there now.
fn build_folder(name: &str) -> PathBuf {
    static BUILDS: AtomicUsize = AtomicUsize::new(0);
    let binary = env::current_exe().expect("the path of the test binary");
    let folder = binary.parent().expect("a folder holds the binary");
    let build = BUILDS.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("simt-{name}-{}-{build}", std::process::id()))
}

fn build(name: &str, build: &Build) -> Result<Emulator, String> {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    let folder = build_folder(name);
    let built = Emulator::build(&compiler, &folder, build);
    // Loaded, or of no use: the next process makes its own.
    let _ = std::fs::remove_dir_all(&folder);
    built
}

/// The kernels as they are, compiled once a process.
fn emulator() -> &'static Emulator {
    static BUILT: OnceLock<Emulator> = OnceLock::new();
    BUILT.get_or_init(|| {
        let sanitizer = env::var("INFUSER_SIMT_SANITIZER").ok().map(|name| &*name.leak());
        build("plain", &Build { sanitizer, ..Build::default() }).unwrap()
    })
}

fn driver(order: Order) -> Driver {
    Driver::simt(emulator().in_order(order))
}

/// Hard values as bf16, and what they are in f32.
fn hard_bf16(seed: u64, n: usize) -> (Vec<bf16>, Vec<f32>) {
    let values: Vec<bf16> = hard_values(seed, n).into_iter().map(bf16::from_f32).collect();
    let wide = values.iter().map(|value| value.to_f32()).collect();
    (values, wide)
}

fn wide(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}

/// What a failed allocation or launch cannot return from in a test.
fn up<T: super::Element>(driver: &Driver, values: &[T]) -> Memory<T> {
    Memory::upload(driver, values).unwrap()
}
