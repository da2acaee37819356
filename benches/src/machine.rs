//! What this machine can do at best: the yardsticks beside which results are printed.

use std::{hint::black_box, time::Instant};

use infuser_kernels::testing::normal_values;
use rayon::prelude::*;

/// Measured rates of all threads together.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// The `gemm` crate on squares of 1024 whose operands are already laid out as it likes them, one
    /// product a thread: no split, no transposition, no hand-over.
    pub gemm_gflops: f64,
    /// Copying 64 MiB, counting bytes read and bytes written.
    pub copy_gbytes: f64,
    /// Reading 256 MiB, far more than the caches hold.
    pub read_gbytes: f64,
}

impl Machine {
    /// Measures for about two seconds.
    pub fn measure() -> Self {
        Self { gemm_gflops: gemm_gflops(), copy_gbytes: copy_gbytes(), read_gbytes: read_gbytes() }
    }
}

/// The median time of `rounds` calls, in seconds.
pub fn median_secs(rounds: usize, mut f: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn gemm_gflops() -> f64 {
    const N: usize = 1024;
    let threads = rayon::current_num_threads();
    let a = normal_values(1, N * N);
    let mut outputs: Vec<Vec<f32>> = vec![vec![0.0; N * N]; threads];
    let secs = median_secs(9, || {
        outputs.par_iter_mut().for_each(|c| square(&a, c, N));
    });
    threads as f64 * 2.0 * (N * N * N) as f64 / secs / 1e9
}

/// `c = a a` for n × n matrices on this thread.
#[allow(unsafe_code)]
fn square(a: &[f32], c: &mut [f32], n: usize) {
    assert!(a.len() == n * n && c.len() == n * n);
    let (step, stride, serial) = (1, n as isize, gemm::Parallelism::None);
    // SAFETY: all three pointers are to n × n elements with these strides, as asserted, and c is
    // borrowed exclusively.
    unsafe {
        let (to, from) = (c.as_mut_ptr(), a.as_ptr());
        gemm::gemm(
            n, n, n, to, step, stride, false, from, step, stride, from, step, stride, 0.0, 1.0,
            false, false, false, serial,
        );
    }
}

fn copy_gbytes() -> f64 {
    const BYTES: usize = 64 << 20;
    let from = vec![1u8; BYTES];
    let mut to = vec![0u8; BYTES];
    let secs = median_secs(9, || {
        let chunk = BYTES / rayon::current_num_threads();
        to.par_chunks_mut(chunk).zip(from.par_chunks(chunk)).for_each(|(to, from)| {
            to.copy_from_slice(from);
        });
        black_box(&to);
    });
    2.0 * BYTES as f64 / secs / 1e9
}

fn read_gbytes() -> f64 {
    const WORDS: usize = 32 << 20;
    let data = vec![1u64; WORDS];
    let secs = median_secs(9, || {
        let chunk = WORDS / rayon::current_num_threads();
        let sum: u64 = data.par_chunks(chunk).map(|words| words.iter().sum::<u64>()).sum();
        black_box(sum);
    });
    8.0 * WORDS as f64 / secs / 1e9
}
