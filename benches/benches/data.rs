//! Grading: how many answers a second, on all threads. With real model outputs where the `shared` folder
//! is there, else with the cases of the fixtures.
//!
//! Run with `cargo bench -p infuser-benches --bench data`.

use std::hint::black_box;

use infuser_benches::{answers, machine::median_secs};
use infuser_data::answer::{Submission, math, mcq};
use rayon::prelude::*;

/// Passes over the answers in one timing, so that it takes a while.
const ROUNDS: usize = 11;

fn main() {
    let threads = rayon::current_num_threads();
    for set in [answers::fixtures(), answers::real_outputs()].into_iter().flatten() {
        let bytes: usize = set.math.iter().map(|pair| pair.output.len()).sum();
        let secs = per_pass(20_000 / set.math.len().max(1) + 1, || {
            set.math.par_iter().for_each(|pair| {
                black_box(math::grade(Submission::Response(&pair.output), &pair.gold));
            });
        });
        report("math", &set.name, set.math.len(), bytes, secs, threads);
        if set.mcq.is_empty() {
            continue;
        }
        let bytes: usize = set.mcq.iter().map(|answer| answer.output.len()).sum();
        let passes = 500_000 / set.mcq.len() + 1;
        // Every pass is split over the threads as a whole: a batch of one pass would be hand-overs only.
        let all: Vec<_> = (0..passes).flat_map(|_| &set.mcq).collect();
        let secs = per_pass(1, || {
            all.par_iter().with_min_len(1024).for_each(|answer| {
                let grade = mcq::grade(
                    Submission::Response(&answer.output),
                    &answer.choices,
                    answer.correct,
                );
                black_box(grade);
            });
        });
        report("mcq", &set.name, all.len(), bytes * passes, secs, threads);
    }
}

fn per_pass(passes: usize, mut pass: impl FnMut()) -> f64 {
    let secs = median_secs(ROUNDS, || (0..passes).for_each(|_| pass()));
    secs / passes as f64
}

fn report(kind: &str, set: &str, count: usize, bytes: usize, secs: f64, threads: usize) {
    let rate = count as f64 / secs;
    let rate =
        if rate > 1e6 { format!("{:.2} M", rate / 1e6) } else { format!("{:.1} k", rate / 1e3) };
    let (length, flow) = (bytes / count, bytes as f64 / secs / 1e6);
    println!(
        "{kind:<5} {set:<16} {rate:>8}/s on {threads} threads; {length} bytes each, {flow:.0} MB/s"
    );
}
