//! Bugs put into the sources on purpose: each must be caught by the test that watches for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{rmsnorm::*, *};

/// Whether `check` fails in some order on kernels where `from` reads `to`.
#[track_caller]
fn assert_caught(name: &str, from: &'static str, to: &'static str, check: fn(&Driver)) {
    let emulator = build(name, &Build { sanitizer: None, planted: Some((from, to)) }).unwrap();
    let caught = ORDERS.into_iter().any(|order| {
        let driver = Driver::Simt(Arc::new(emulator.in_order(order)));
        catch_unwind(AssertUnwindSafe(|| check(&driver))).is_err()
    });
    assert!(caught, "{name}: nobody noticed");
}

#[test]
fn a_removed_barrier_is_caught() {
    let barrier = "__syncthreads();  // all stripes are written";
    assert_caught("barrier", barrier, "// all stripes are written", check_backward_weight);
}

#[test]
fn a_bound_that_is_one_too_low_is_caught() {
    let (from, to) = ("row < end; row += STRIPES", "row + 1 < end; row += STRIPES");
    assert_caught("bound", from, to, check_backward_weight);
}

#[test]
fn swapped_arguments_are_caught() {
    let from = "backward_row<8>(dy + at, x + at,";
    assert_caught("swap", from, "backward_row<8>(x + at, dy + at,", check_backward);
}

#[test]
fn swapped_parameters_of_another_type_are_refused() {
    let from = "const bf16* x, const float* rstd, float* partial";
    let to = "const float* rstd, const bf16* x, float* partial";
    assert_caught("types", from, to, check_backward_weight);
}

#[test]
fn a_barrier_that_not_all_threads_reach_is_caught() {
    let from = "    __syncthreads();  // all stripes";
    let to = "    if (stripe == 0) __syncthreads(); else if (stripe == 1) return; else __syncwarp(1); //";
    assert_caught("divergent", from, to, check_backward_weight);
}

#[test]
fn a_reduction_without_one_step_is_caught() {
    assert_caught("butterfly", "lanes = 16; lanes;", "lanes = 8; lanes;", check_forward);
}
